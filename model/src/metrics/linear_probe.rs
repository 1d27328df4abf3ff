//! Linear probes during training: how well a representation predicts an action. A ridge regression
//! is fitted on the last steps and scored on the current step.

use std::collections::VecDeque;

use burn::tensor::{Device, Int, Tensor};

use super::cholesky::SquareMatrix;
use super::r2::{r2_pooled, r2_uniform};
use crate::train::state::SavedState;

/// Steps that a fit uses: enough rows, and few enough that the network has hardly changed.
const STEPS: u64 = 32;
/// A target is constant if its variance is below this fraction of its mean square, and so mere
/// rounding.
const CONSTANT: f64 = 1e-6;
/// The ridge penalty, as a fraction of the features' mean square.
const RIDGE: f64 = 1e-3;

/// A linear probe: features and targets of the last steps.
#[derive(Debug, Default)]
pub(crate) struct LinearProbe {
    steps: VecDeque<ProbeStep>,
}

/// Features and targets of one step.
#[derive(Debug)]
struct ProbeStep {
    step: u64,
    features: Tensor<2>,
    targets: Tensor<2>,
}

/// R² on rows that the fit did not use, by both definitions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct R2Scores {
    /// Mean over outputs; see [`r2_uniform`].
    pub(crate) uniform: f64,
    /// All outputs pooled; see [`r2_pooled`].
    pub(crate) pooled: f64,
}

impl LinearProbe {
    /// Adds `features` `[rows, d]` and `targets` `[rows, k]` of a step, without gradient tracking.
    pub(crate) fn push(&mut self, step: u64, features: Tensor<2>, targets: Tensor<2>) {
        while self.steps.pop_front_if(|it| it.step + STEPS <= step).is_some() {}
        self.steps.push_back(ProbeStep { step, features, targets });
    }

    /// Puts all steps into `state`, under `name`.
    pub(crate) fn save_state(&self, name: &str, state: &mut SavedState) {
        for (idx, ProbeStep { step, features, targets }) in self.steps.iter().enumerate() {
            state.put(&format!("{name}/{idx:06}/{step}/features"), features.clone());
            state.put(&format!("{name}/{idx:06}/{step}/targets"), targets.clone());
        }
    }

    /// Reads the steps that [`LinearProbe::save_state`] put under `name`, onto `device`.
    ///
    /// # Errors
    /// The features or targets of a step are missing.
    pub(crate) fn load_state(
        name: &str,
        state: &mut SavedState,
        device: &Device,
    ) -> Result<Self, String> {
        let own = |it: &&str| it.starts_with(&format!("{name}/")) && it.ends_with("/features");
        let names: Vec<_> = state.names().filter(own).map(str::to_owned).collect();
        let mut steps = VecDeque::new();
        for features in names {
            let prefix = features.trim_end_matches("/features");
            let step = prefix.rsplit('/').next().and_then(|it| it.parse().ok());
            let step = step.ok_or_else(|| format!("the name {features:?} has no step"))?;
            let features = state.take(&features, device)?;
            let targets = state.take(&format!("{prefix}/targets"), device)?;
            steps.push_back(ProbeStep { step, features, targets });
        }
        Ok(Self { steps })
    }

    /// Scores a fit on the steps before `step` with `features` and `targets`. Constant targets are
    /// left out. None if there are no earlier steps, or all targets are constant.
    pub(crate) fn score(
        &self,
        step: u64,
        features: Tensor<2>,
        targets: Tensor<2>,
    ) -> Option<R2Scores> {
        let before = || self.steps.iter().filter(|it| it.step < step);
        let x: Vec<_> = before().map(|it| it.features.clone()).collect();
        let y: Vec<_> = before().map(|it| it.targets.clone()).collect();
        if x.is_empty() {
            return None;
        }
        let varying = varying_columns(&targets)?;
        let y = Tensor::cat(y, 0).select(1, varying.clone());
        let targets = targets.select(1, varying);
        let predicted = RidgeFit::of(Tensor::cat(x, 0), y).predict(features);
        let uniform = r2_uniform(predicted.clone(), targets.clone());
        Some(R2Scores { uniform, pooled: r2_pooled(predicted, targets) })
    }
}

/// The columns of `[rows, k]` that are not constant.
fn varying_columns(targets: &Tensor<2>) -> Option<Tensor<1, Int>> {
    let centred = targets.clone() - targets.clone().mean_dim(0);
    let [variances, squares] =
        [centred, targets.clone()].map(|it| it.square().mean_dim(0).into_data());
    let both = variances.iter::<f64>().zip(squares.iter::<f64>()).enumerate();
    let columns = both.filter(|(_, (variance, square))| *variance > CONSTANT * square);
    let columns: Vec<i64> = columns.map(|it| it.0 as i64).collect();
    (!columns.is_empty()).then(|| Tensor::from_data(columns.as_slice(), &targets.device()))
}

/// A linear regression with an intercept.
struct RidgeFit {
    mean: Tensor<2>,
    weights: Tensor<2>,
    intercept: Tensor<2>,
}

impl RidgeFit {
    /// Ridge regression of centred `y` `[rows, k]` on centred `x` `[rows, d]`.
    fn of(x: Tensor<2>, y: Tensor<2>) -> Self {
        let (mean, intercept) = (x.clone().mean_dim(0), y.clone().mean_dim(0));
        let x = x - mean.clone();
        let gram = x.clone().transpose().matmul(x.clone());
        let [rows, _] = x.dims();
        let square: f64 = x.clone().square().mean().into_scalar::<f32>().into();
        let penalty = (RIDGE * square * rows as f64).max(1e-12);
        let inverse = SquareMatrix::inverse_of_identity_plus(gram / penalty).to_tensor(&x.device());
        let weights = inverse.matmul(x.transpose()).matmul(y - intercept.clone()) / penalty;
        Self { mean, weights, intercept }
    }

    fn predict(&self, x: Tensor<2>) -> Tensor<2> {
        (x - self.mean.clone()).matmul(self.weights.clone()) + self.intercept.clone()
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Distribution;

    use super::*;

    #[test]
    fn a_linear_target_is_predicted_and_noise_is_not() {
        let device = Device::flex();
        device.seed(5);
        let normal =
            |shape: [usize; 2]| Tensor::<2>::random(shape, Distribution::Normal(0.0, 1.0), &device);
        let map = normal([6, 2]);
        let [mut linear, mut noise] = [LinearProbe::default(), LinearProbe::default()];
        for step in 0..8 {
            let x = normal([50, 6]);
            let y = x.clone().matmul(map.clone()) + 3.0;
            let z = normal([50, 2]);
            if step == 0 {
                assert!(linear.score(step, x.clone(), y.clone()).is_none());
            }
            if step == 7 {
                let told = linear.score(step, x.clone(), y).unwrap();
                assert!(told.uniform > 0.999 && told.pooled > 0.999, "{told:?}");
                let none = noise.score(step, x, z).unwrap();
                assert!(none.uniform.abs() < 0.2 && none.pooled.abs() < 0.2, "{none:?}");
                return;
            }
            linear.push(step, x.clone(), y);
            noise.push(step, x, z);
        }
    }

    #[test]
    fn constant_targets_are_left_out() {
        let device = Device::flex();
        let x = Tensor::<2>::from_floats([[1.0], [2.0], [4.0]], &device);
        let constant = x.ones_like() * 0.7;
        let mut probe = LinearProbe::default();
        let both = Tensor::cat(vec![x.clone(), constant.clone()], 1);
        probe.push(1, x.clone(), both.clone());
        assert!(probe.score(2, x.clone(), both).unwrap().uniform > 0.99);
        let mut probe = LinearProbe::default();
        probe.push(1, x.clone(), constant.clone());
        assert!(probe.score(2, x, constant).is_none());
    }

    #[test]
    fn a_fit_does_not_use_the_step_it_is_scored_on() {
        let device = Device::flex();
        let x = Tensor::<2>::from_floats([[1.0], [2.0]], &device);
        let mut probe = LinearProbe::default();
        probe.push(4, x.clone(), x.clone());
        assert!(probe.score(4, x.clone(), x.clone()).is_none());
        assert!(probe.score(5, x.clone(), x).is_some());
    }
}
