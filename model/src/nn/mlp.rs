//! The MLPs behind an encoder: projectors, predictors and editors. Their layers are `Linear,
//! BatchNorm, ReLU`, and the last is a `Linear`. Configs write their widths as papers do:
//! `"8192-8192-2048"` has two hidden layers of 8192 and an output of 2048.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::batch_norm::{BatchNorm, NormMode};
use crate::train::nan_trace::watched;
use crate::{Error, Init, Result};

/// Widths of an MLP's layers after its input, as in `"8192-8192-2048"`.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Widths(Vec<usize>);

impl Widths {
    /// The width of the output.
    pub(crate) fn output(&self) -> usize {
        *self.0.last().expect("never empty")
    }

    /// Checks that the output has the width `wanted`.
    ///
    /// # Errors
    /// It has another one; `key` names the MLP in `[model.method]`.
    pub(crate) fn ends_with(&self, wanted: usize, key: &str) -> Result<()> {
        if self.output() == wanted {
            return Ok(());
        }
        let message = format!(
            "ends with {}, but its output is compared with vectors of width {wanted}; end it with \
             {wanted}",
            self.output()
        );
        Err(Error::Config { key: format!("model.method.{key}"), message })
    }
}

impl TryFrom<String> for Widths {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Self, String> {
        let widths: Option<Vec<usize>> = text.split('-').map(|it| it.trim().parse().ok()).collect();
        match widths {
            Some(widths) if !widths.contains(&0) => Ok(Self(widths)),
            _ => Err(format!(
                "{text:?} is not a list of layer widths; write one like \"2048-2048-128\""
            )),
        }
    }
}

impl From<&str> for Widths {
    /// For constants: panics if the text is not a list of widths.
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

/// What follows each linear layer but the last.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum HiddenLayers {
    /// A batch norm, which replaces the bias, and a ReLU.
    BatchNorm,
    /// A bias and a ReLU.
    Bias,
}

/// What follows the last linear layer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum LastLayer {
    /// Nothing: the layer has no bias.
    NoBias,
    /// A bias.
    Bias,
    /// A batch norm without scale and shift, which replaces the bias.
    BatchNorm,
}

/// An MLP with or without batch norms between its layers.
#[derive(Module, Debug)]
pub(crate) struct NormedMlp {
    linears: Vec<Linear>,
    norms: Vec<Option<BatchNorm>>,
}

impl NormedMlp {
    /// An MLP with batch norms between its layers and PyTorch's uniform initial weights.
    pub(crate) fn new(input: usize, widths: &Widths, last: LastLayer, init: &mut Init) -> Self {
        Self::with_hidden(input, widths, HiddenLayers::BatchNorm, last, init)
    }

    /// An MLP with PyTorch's uniform initial weights.
    pub(crate) fn with_hidden(
        input: usize,
        widths: &Widths,
        hidden: HiddenLayers,
        last: LastLayer,
        init: &mut Init,
    ) -> Self {
        let inputs = [input].into_iter().chain(widths.0.iter().copied());
        let last_idx = widths.0.len() - 1;
        let layers = inputs.zip(&widths.0).enumerate();
        let (linears, norms) = layers
            .map(|(idx, (d_in, &d_out))| {
                let biased = if idx < last_idx {
                    hidden == HiddenLayers::Bias
                } else {
                    last == LastLayer::Bias
                };
                let mut linear = init.default_linear(d_in, d_out);
                linear.bias = linear.bias.filter(|_| biased);
                let norm = if idx < last_idx {
                    (hidden == HiddenLayers::BatchNorm).then(|| BatchNorm::affine(d_out, 1.0, init))
                } else {
                    (last == LastLayer::BatchNorm).then(|| BatchNorm::plain(d_out, init))
                };
                (linear, norm)
            })
            .unzip();
        Self { linears, norms }
    }

    /// The same MLP with new weights, uniform in ±√2 · √(6 / (in + out)), and zero biases: AdaSSL's
    /// initialisation.
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
    pub(crate) fn forward(&self, x: Tensor<2>, mode: NormMode) -> Tensor<2> {
        let last_idx = self.linears.len() - 1;
        self.linears.iter().zip(&self.norms).enumerate().fold(x, |x, (idx, (linear, norm))| {
            let x = watched::linear(linear, x);
            let x = match norm {
                Some(norm) => norm.forward(x, mode),
                None => x,
            };
            if idx < last_idx { relu(x) } else { x }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_survive_a_round_trip() {
        for text in ["128", "8192-8192-2048"] {
            assert_eq!(String::from(Widths::from(text)), text);
        }
        for text in ["", "12-", "a-b", "0-4", "-3"] {
            assert!(Widths::try_from(text.to_owned()).is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn every_layer_but_the_last_has_a_batch_norm() {
        let device = burn::tensor::Device::flex();
        let widths = Widths::from("8-8-6");
        let mlp = NormedMlp::new(4, &widths, LastLayer::NoBias, &mut Init::new(0, &device));
        let linears: usize = mlp.linears.iter().map(Module::num_params).sum();
        assert_eq!(linears, 4 * 8 + 8 * 8 + 8 * 6);
        let norms: Vec<bool> = mlp.norms.iter().map(Option::is_some).collect();
        assert_eq!(norms, [true, true, false]);
    }
}
