//! Batch norm as PyTorch has it, with the choice of statistics left to the caller: a teacher
//! normalises with its own batch while it gives targets, and with running statistics when its
//! embeddings are stored.

use burn::module::{Module, Param, RunningState};
use burn::tensor::Tensor;
use burn::tensor::module::{batch_norm, batch_norm_train};

use crate::Init;
use crate::train::nan_trace::watched;

const EPSILON: f64 = 1e-5;
/// How far a batch moves the running statistics.
const MOMENTUM: f64 = 0.1;

/// Whose mean and variance a batch norm divides by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// The batch's own, which also move the running ones.
    Train,
    /// The running ones.
    Evaluate,
}

/// Normalises every feature over the batch (Ioffe and Szegedy, 2015).
#[derive(Module, Debug)]
pub(crate) struct BatchNorm {
    /// Scale and shift; absent where the norm is not affine.
    gamma: Option<Param<Tensor<1>>>,
    beta: Option<Param<Tensor<1>>>,
    running_mean: RunningState<Tensor<1>>,
    running_var: RunningState<Tensor<1>>,
}

impl BatchNorm {
    /// With a scale that starts at `gamma` and a shift at zero.
    pub(crate) fn affine(dim: usize, gamma: f32, init: &mut Init) -> Self {
        let (gamma, beta) = (init.constant([dim], gamma), init.constant([dim], 0.0));
        Self { gamma: Some(gamma), beta: Some(beta), ..Self::plain(dim, init) }
    }

    /// Without scale and shift.
    pub(crate) fn plain(dim: usize, init: &Init) -> Self {
        let running_mean = RunningState::new(Tensor::zeros([dim], init.device()));
        let running_var = RunningState::new(Tensor::ones([dim], init.device()));
        Self { gamma: None, beta: None, running_mean, running_var }
    }

    /// `[n, dim, ...]` to the same.
    pub(crate) fn forward<const D: usize>(&self, x: Tensor<D>, mode: Mode) -> Tensor<D> {
        let (dim, device) = (x.dims()[1], x.device());
        let gamma = self.gamma.as_ref().map_or_else(|| Tensor::ones([dim], &device), Param::val);
        let beta = self.beta.as_ref().map_or_else(|| Tensor::zeros([dim], &device), Param::val);
        if mode == Mode::Evaluate {
            let (mean, var) = (self.running_mean.value(), self.running_var.value());
            let y = batch_norm(x, gamma, beta, on(mean, &device), on(var, &device), EPSILON);
            return self.watched(y);
        }
        let rows = x.dims().iter().product::<usize>() / dim;
        let out = batch_norm_train(x, gamma, beta, EPSILON);
        // The running variance is the unbiased one, as in PyTorch.
        let unbiased = out.variance * (rows as f64 / (rows.max(2) - 1) as f64);
        follow(&self.running_mean, out.mean);
        follow(&self.running_var, unbiased);
        self.watched(out.output)
    }

    /// Without a scale there is no name to tell it by.
    fn watched<const D: usize>(&self, y: Tensor<D>) -> Tensor<D> {
        match &self.gamma {
            Some(gamma) => watched::output(gamma, y),
            None => y,
        }
    }
}

fn follow(state: &RunningState<Tensor<1>>, batch: Tensor<1>) {
    let old = state.value();
    let batch = on(batch.detach(), &old.device());
    state.update(old * (1.0 - MOMENTUM) + batch * MOMENTUM);
    // Burn keeps the update apart until somebody asks for it.
    state.value_sync();
}

/// The same numbers, tracked or not as `device` is.
fn on(x: Tensor<1>, device: &burn::tensor::Device) -> Tensor<1> {
    match (x.is_autodiff(), device.is_autodiff()) {
        (true, false) => x.inner(),
        (false, true) => Tensor::from_inner(x),
        _ => x,
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution};

    use super::*;

    #[test]
    fn a_batch_is_whitened_and_moves_the_running_statistics_as_in_pytorch() {
        let device = Device::flex();
        let norm = BatchNorm::affine(2, 1.0, &mut Init::new(0, &device));
        let x = Tensor::<2>::from_floats([[1.0, 10.0], [3.0, 10.0], [5.0, 40.0]], &device);
        let y = norm.forward(x, Mode::Train);
        let mean: f32 = y.clone().mean_dim(0).abs().max().into_scalar();
        let variance: f32 = (y.square().mean_dim(0) - 1.0).abs().max().into_scalar();
        assert!(mean < 1e-5 && variance < 1e-4, "{mean} {variance}");
        let close = |state: &RunningState<Tensor<1>>, wanted: [f32; 2]| {
            let got = state.value().into_data().try_to_vec::<f32>().unwrap();
            assert!(got.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-4), "{got:?}");
        };
        // 0.9 · 0 + 0.1 · mean, and 0.9 · 1 + 0.1 · unbiased variance.
        close(&norm.running_mean, [0.3, 2.0]);
        close(&norm.running_var, [1.3, 30.9]);
    }

    #[test]
    fn running_statistics_leave_a_row_alone_whatever_is_beside_it() {
        let device = Device::flex();
        let norm = BatchNorm::affine(3, 1.0, &mut Init::new(0, &device));
        let x = Tensor::<2>::random([8, 3], Distribution::Normal(2.0, 3.0), &device);
        norm.forward(x.clone(), Mode::Train);
        let all = norm.forward(x.clone(), Mode::Evaluate).narrow(0, 2, 1);
        let alone = norm.forward(x.narrow(0, 2, 1), Mode::Evaluate);
        let off: f32 = (all - alone).abs().max().into_scalar();
        assert!(off < 1e-6, "{off}");
    }
}
