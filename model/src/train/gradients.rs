//! The gradients of a whole network: their joint norm, and those of frozen parameters.

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};

/// Scales all gradients so that their joint norm is at most `max_norm`, as
/// `torch.nn.utils.clip_grad_norm_` does; returns the norm before. Burn's own clipping is per
/// parameter.
pub(crate) fn clip<M: Module>(
    network: &M,
    grads: &mut GradientsParams,
    max_norm: f64,
    device: &Device,
) -> Tensor<1> {
    let mut squares = Squares { grads, sum: Tensor::zeros([1], device) };
    network.visit(&mut squares);
    let norm = squares.sum.sqrt();
    let factor = ((norm.clone() + 1e-6).recip() * max_norm).clamp_max(1.0);
    network.visit(&mut Scale { grads, factor });
    norm
}

/// Removes the gradients of frozen parameters. The optimizer does not change a parameter without a
/// gradient, not even by weight decay.
pub(crate) fn drop_frozen<M: Module>(network: &M, grads: &mut GradientsParams, ids: &[ParamId]) {
    if !ids.is_empty() {
        network.visit(&mut DropFrozen { grads, ids });
    }
}

struct Squares<'a> {
    grads: &'a GradientsParams,
    sum: Tensor<1>,
}

impl ModuleVisitor for Squares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(grad) = self.grads.get::<D>(param.id) {
            self.sum = self.sum.clone() + grad.square().sum();
        }
    }
}

struct Scale<'a> {
    grads: &'a mut GradientsParams,
    factor: Tensor<1>,
}

impl ModuleVisitor for Scale<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(grad) = self.grads.remove::<D>(param.id) {
            self.grads.register(param.id, grad * self.factor.clone().unsqueeze());
        }
    }
}

struct DropFrozen<'a> {
    grads: &'a mut GradientsParams,
    ids: &'a [ParamId],
}

impl ModuleVisitor for DropFrozen<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if self.ids.contains(&param.id) {
            self.grads.remove::<D>(param.id);
        }
    }
}
