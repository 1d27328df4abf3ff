//! Finds the first numbers of a step that are not finite.

mod step;
pub(crate) mod watched;

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

use crate::nn::parameters::named;

/// A tensor of a step with numbers that are not finite.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NotFinite {
    /// What it is, as in `the gradient of frame_encoder.norm.gamma`.
    pub what: String,
    /// How many of its numbers are not finite.
    pub wrong: usize,
    /// How many numbers it has.
    pub of: usize,
}

impl NotFinite {
    /// Of a tensor; none if all its numbers are finite.
    pub(crate) fn of<const D: usize>(what: String, tensor: Tensor<D>) -> Option<Self> {
        let tensor = if tensor.is_autodiff() { tensor.inner() } else { tensor };
        let numbers = tensor.into_data();
        let of = numbers.num_elements();
        let wrong = numbers.iter::<f64>().filter(|it| !it.is_finite()).count();
        (wrong > 0).then_some(Self { what, wrong, of })
    }
}

/// The weights of a network that are not finite; `when` is part of their names.
pub(crate) fn weights<M: Module>(network: &M, when: &str) -> Vec<NotFinite> {
    let mut search = Search { path: Vec::new(), found: Vec::new(), when, gradients: None };
    network.visit(&mut search);
    search.found
}

/// The gradients of a network that are not finite.
pub(crate) fn gradients<M: Module>(network: &M, gradients: &GradientsParams) -> Vec<NotFinite> {
    let gradients = Some(gradients);
    let mut search = Search { path: Vec::new(), found: Vec::new(), when: "", gradients };
    network.visit(&mut search);
    search.found
}

/// The layer of a network that has this parameter.
pub(crate) fn layer<M: Module>(network: &M, parameter: ParamId) -> Option<String> {
    let (name, _) = named(network).into_iter().find(|it| it.1 == parameter)?;
    Some(name.rsplit_once('.').map_or(name.as_str(), |it| it.0).to_owned())
}

struct Search<'a> {
    path: Vec<String>,
    found: Vec<NotFinite>,
    when: &'a str,
    /// Checked in the place of the weights.
    gradients: Option<&'a GradientsParams>,
}

impl ModuleVisitor for Search<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let name = self.path.join(".");
        let found = match self.gradients {
            None => NotFinite::of(format!("the weight {name} {}", self.when), param.val()),
            Some(all) => all
                .get::<D>(param.id)
                .and_then(|it| NotFinite::of(format!("the gradient of {name}"), it)),
        };
        self.found.extend(found);
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::Init;

    #[test]
    fn what_is_not_finite_is_named_and_counted() {
        let device = Device::flex().autodiff();
        let layer = Init::new(0, &device).linear(2, 3);
        assert_eq!(weights(&layer, "before"), []);
        let loss = layer.forward(Tensor::<2>::from_floats([[f32::INFINITY, 1.0]], &device)).sum();
        let grads = GradientsParams::from_grads(loss.backward(), &layer);
        let found = gradients(&layer, &grads);
        let wanted = NotFinite { what: "the gradient of weight".into(), wrong: 3, of: 6 };
        assert_eq!(found, [wanted]);
    }
}
