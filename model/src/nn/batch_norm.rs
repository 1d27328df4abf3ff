//! Batch norm as in PyTorch. The caller chooses the statistics: a teacher normalises with the
//! batch while it computes targets, and with running statistics when its embeddings are stored.

use burn::module::{Module, Param, RunningState};
use burn::tensor::Tensor;
use burn::tensor::module::{batch_norm, batch_norm_train};

use crate::Init;
use crate::train::nan_trace::watched;

const EPSILON: f64 = 1e-5;
/// Weight of a new batch in the running statistics.
const MOMENTUM: f64 = 0.1;

/// Which mean and variance a batch norm uses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NormMode {
    /// Those of the batch; they also update the running statistics.
    Train,
    /// The running statistics.
    Evaluate,
}

/// Normalises every feature over the batch (Ioffe and Szegedy, 2015).
#[derive(Module, Debug)]
pub(crate) struct BatchNorm {
    /// Scale and shift, unless the norm is not affine.
    gamma: Option<Param<Tensor<1>>>,
    beta: Option<Param<Tensor<1>>>,
    running_mean: RunningState<Tensor<1>>,
    running_var: RunningState<Tensor<1>>,
}

impl BatchNorm {
    /// A batch norm whose scale starts at `gamma` and whose shift starts at zero.
    pub(crate) fn affine(dim: usize, gamma: f32, init: &mut Init) -> Self {
        let (gamma, beta) = (init.constant([dim], gamma), init.constant([dim], 0.0));
        Self { gamma: Some(gamma), beta: Some(beta), ..Self::plain(dim, init) }
    }

    /// A batch norm without scale and shift.
    pub(crate) fn plain(dim: usize, init: &Init) -> Self {
        let running_mean = RunningState::new(Tensor::zeros([dim], init.device()));
        let running_var = RunningState::new(Tensor::ones([dim], init.device()));
        Self { gamma: None, beta: None, running_mean, running_var }
    }

    /// Normalises `x` `[n, dim, ...]`.
    pub(crate) fn forward<const D: usize>(&self, x: Tensor<D>, mode: NormMode) -> Tensor<D> {
        let (dim, device) = (x.dims()[1], x.device());
        let gamma = self.gamma.as_ref().map_or_else(|| Tensor::ones([dim], &device), Param::val);
        let beta = self.beta.as_ref().map_or_else(|| Tensor::zeros([dim], &device), Param::val);
        if mode == NormMode::Evaluate {
            let (mean, var) = (self.running_mean.value(), self.running_var.value());
            let y = batch_norm(x, gamma, beta, on(mean, &device), on(var, &device), EPSILON);
            return self.watched(y);
        }
        let rows = x.dims().iter().product::<usize>() / dim;
        let out = batch_norm_train(x, gamma, beta, EPSILON);
        // PyTorch keeps the unbiased variance.
        let unbiased = out.variance * (rows as f64 / (rows.max(2) - 1) as f64);
        update(&self.running_mean, out.mean);
        update(&self.running_var, unbiased);
        self.watched(out.output)
    }

    /// Watches for NaN under the name of the scale; a norm without scale has no name.
    fn watched<const D: usize>(&self, y: Tensor<D>) -> Tensor<D> {
        match &self.gamma {
            Some(gamma) => watched::output(gamma, y),
            None => y,
        }
    }
}

fn update(state: &RunningState<Tensor<1>>, batch: Tensor<1>) {
    let old = state.value();
    let batch = on(batch.detach(), &old.device());
    state.update(old * (1.0 - MOMENTUM) + batch * MOMENTUM);
    // Burn holds the update back until the value is synced.
    state.value_sync();
}

/// The same values, with gradient tracking if `device` has it.
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
    fn a_batch_is_normalised_and_updates_the_running_statistics_as_in_pytorch() {
        let device = Device::flex();
        let norm = BatchNorm::affine(2, 1.0, &mut Init::new(0, &device));
        let x = Tensor::<2>::from_floats([[1.0, 10.0], [3.0, 10.0], [5.0, 40.0]], &device);
        let y = norm.forward(x, NormMode::Train);
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
    fn evaluation_normalises_a_row_alike_in_any_batch() {
        let device = Device::flex();
        let norm = BatchNorm::affine(3, 1.0, &mut Init::new(0, &device));
        let x = Tensor::<2>::random([8, 3], Distribution::Normal(2.0, 3.0), &device);
        norm.forward(x.clone(), NormMode::Train);
        let all = norm.forward(x.clone(), NormMode::Evaluate).narrow(0, 2, 1);
        let alone = norm.forward(x.narrow(0, 2, 1), NormMode::Evaluate);
        let off: f32 = (all - alone).abs().max().into_scalar();
        assert!(off < 1e-6, "{off}");
    }
}
