//! The small networks behind an encoder: projectors, predictors, editors. All are stacks of
//! `Linear, BatchNorm, ReLU` with a bare `Linear` at the end, and are written as the papers
//! write them: `"8192-8192-2048"` is two hidden layers and the width of the output.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use serde::{Deserialize, Serialize};

use super::batch_norm::{BatchNorm, Mode};
use crate::train::nan_trace::watched;
use crate::{Error, Init, Result};

/// Widths of the layers after the input, in the papers' notation.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Widths(Vec<usize>);

impl Widths {
    /// The width of the output.
    pub(crate) fn output(&self) -> usize {
        *self.0.last().expect("never empty")
    }

    /// Refuses an output of another width than `wanted`.
    pub(crate) fn ends_with(&self, wanted: usize, key: &str) -> Result<()> {
        if self.output() == wanted {
            return Ok(());
        }
        let message = format!("must end with {wanted}, the width of what it is compared with");
        Err(Error::Config { key: format!("model.method.{key}"), message })
    }
}

impl TryFrom<String> for Widths {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Self, String> {
        let widths: Option<Vec<usize>> = text.split('-').map(|it| it.trim().parse().ok()).collect();
        match widths {
            Some(widths) if !widths.contains(&0) => Ok(Self(widths)),
            _ => Err(format!("{text:?} is no list of layer widths as in \"2048-2048-128\"")),
        }
    }
}

impl From<&str> for Widths {
    /// Panics on what is no list of widths: for constants.
    fn from(text: &str) -> Self {
        Self::try_from(text.to_owned()).expect("a list of widths")
    }
}

impl<const N: usize> From<[usize; N]> for Widths {
    fn from(widths: [usize; N]) -> Self {
        Self(widths.into())
    }
}

impl From<Widths> for String {
    fn from(widths: Widths) -> Self {
        let widths: Vec<_> = widths.0.iter().map(ToString::to_string).collect();
        widths.join("-")
    }
}

/// What stands between two linear layers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Hidden {
    /// A batch norm, which takes the place of a bias, and a ReLU.
    Normed,
    /// A bias and a ReLU.
    Biased,
}

/// What follows the last linear layer, and whether it has a bias.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Last {
    /// Nothing, without bias.
    Bare,
    /// Nothing, with bias.
    Biased,
    /// A batch norm without scale and shift.
    Normed,
}

/// `Linear, BatchNorm, ReLU` and so on, and a last `Linear`.
#[derive(Module, Debug)]
pub(crate) struct NormedMlp {
    linears: Vec<Linear>,
    norms: Vec<Option<BatchNorm>>,
}

impl NormedMlp {
    /// Fresh weights, uniform as PyTorch's, with batch norms between the layers.
    pub(crate) fn new(input: usize, widths: &Widths, last: Last, init: &mut Init) -> Self {
        Self::with_hidden(input, widths, Hidden::Normed, last, init)
    }

    /// Fresh weights, uniform as PyTorch's.
    pub(crate) fn with_hidden(
        input: usize,
        widths: &Widths,
        hidden: Hidden,
        last: Last,
        init: &mut Init,
    ) -> Self {
        let inputs = [input].into_iter().chain(widths.0.iter().copied());
        let deepest = widths.0.len() - 1;
        let layers = inputs.zip(&widths.0).enumerate();
        let (linears, norms) = layers
            .map(|(idx, (d_in, &d_out))| {
                let biased =
                    if idx < deepest { hidden == Hidden::Biased } else { last == Last::Biased };
                let mut linear = init.default_linear(d_in, d_out);
                linear.bias = linear.bias.filter(|_| biased);
                let norm = if idx < deepest {
                    (hidden == Hidden::Normed).then(|| BatchNorm::affine(d_out, 1.0, init))
                } else {
                    (last == Last::Normed).then(|| BatchNorm::plain(d_out, init))
                };
                (linear, norm)
            })
            .unzip();
        Self { linears, norms }
    }

    /// Weights uniform in ±√2 · √(6 / (in + out)) and biases zero, as AdaSSL's networks start.
    pub(crate) fn xavier(mut self, init: &mut Init) -> Self {
        for linear in &mut self.linears {
            let [d_in, d_out] = linear.weight.dims();
            let bound = (12.0 / (d_in + d_out) as f32).sqrt();
            linear.weight = init.uniform([d_in, d_out], bound);
            linear.bias = linear.bias.take().map(|_| init.constant([d_out], 0.0));
        }
        self
    }

    /// `[n, input]` to `[n, output]`.
    pub(crate) fn forward(&self, x: Tensor<2>, mode: Mode) -> Tensor<2> {
        let deepest = self.linears.len() - 1;
        self.linears.iter().zip(&self.norms).enumerate().fold(x, |x, (idx, (linear, norm))| {
            let x = watched::linear(linear, x);
            let x = match norm {
                Some(norm) => norm.forward(x, mode),
                None => x,
            };
            if idx < deepest { relu(x) } else { x }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_are_read_and_written_alike() {
        for text in ["128", "8192-8192-2048"] {
            assert_eq!(String::from(Widths::from(text)), text);
        }
        for text in ["", "12-", "a-b", "0-4", "-3"] {
            assert!(Widths::try_from(text.to_owned()).is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn only_the_last_layer_has_no_norm() {
        let device = burn::tensor::Device::flex();
        let widths = Widths::from("8-8-6");
        let mlp = NormedMlp::new(4, &widths, Last::Bare, &mut Init::new(0, &device));
        let linears: usize = mlp.linears.iter().map(Module::num_params).sum();
        assert_eq!(linears, 4 * 8 + 8 * 8 + 8 * 6);
        let norms: Vec<bool> = mlp.norms.iter().map(Option::is_some).collect();
        assert_eq!(norms, [true, true, false]);
    }
}
