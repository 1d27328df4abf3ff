//! Linear probes while a run goes on: how much of an action a representation tells, by ridge
//! regression from what was seen before to what is seen now.

use std::collections::VecDeque;

use burn::tensor::{Device, Int, Tensor};

use super::cholesky::Square;
use super::r2::{r2_pooled, r2_uniform};
use crate::train::state::SavedState;

/// Steps whose features are kept: enough rows for a fit, and few enough that the network has not
/// changed much since.
const STEPS: u64 = 32;
/// The part of its mean square below which a target's variance is rounding: it is the same for
/// everybody.
const CONSTANT: f64 = 1e-6;
/// The penalty, as a part of the mean square of the features.
const RIDGE: f64 = 1e-3;

/// Features and targets of the last steps.
#[derive(Debug, Default)]
pub(crate) struct Probe {
    seen: VecDeque<Seen>,
}

#[derive(Debug)]
struct Seen {
    step: u64,
    features: Tensor<2>,
    targets: Tensor<2>,
}

/// Both definitions of R² on rows that the fit has not seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Score {
    /// Per output, then their mean: scikit-learn's and seq-JEPA's.
    pub(crate) uniform: f64,
    /// All outputs at once: SIE's.
    pub(crate) pooled: f64,
}

impl Probe {
    /// Keeps `features` `[rows, d]` and `targets` `[rows, k]` of a step, untracked.
    pub(crate) fn keep(&mut self, step: u64, features: Tensor<2>, targets: Tensor<2>) {
        while self.seen.pop_front_if(|it| it.step + STEPS <= step).is_some() {}
        self.seen.push_back(Seen { step, features, targets });
    }

    /// Puts all that it has seen under `name` into `kept`.
    pub(crate) fn save_state(&self, name: &str, state: &mut SavedState) {
        for (idx, Seen { step, features, targets }) in self.seen.iter().enumerate() {
            state.put(&format!("{name}/{idx:06}/{step}/features"), features.clone());
            state.put(&format!("{name}/{idx:06}/{step}/targets"), targets.clone());
        }
    }

    /// What was put under `name`, on `device`.
    ///
    /// # Errors
    /// Half of a step is missing.
    pub(crate) fn load_state(
        name: &str,
        state: &mut SavedState,
        device: &Device,
    ) -> Result<Self, String> {
        let own = |it: &&str| it.starts_with(&format!("{name}/")) && it.ends_with("/features");
        let places: Vec<_> = state.names().filter(own).map(str::to_owned).collect();
        let mut seen = VecDeque::new();
        for place in places {
            let at = place.trim_end_matches("/features");
            let step = at.rsplit('/').next().and_then(|it| it.parse().ok());
            let step = step.ok_or_else(|| format!("{place:?} names no step"))?;
            let features = state.take(&place, device)?;
            let targets = state.take(&format!("{at}/targets"), device)?;
            seen.push_back(Seen { step, features, targets });
        }
        Ok(Self { seen })
    }

    /// How well a fit to the steps before `step` tells these targets, those left out that do not
    /// vary; none at first, or when none varies.
    pub(crate) fn score(
        &self,
        step: u64,
        features: Tensor<2>,
        targets: Tensor<2>,
    ) -> Option<Score> {
        let before = || self.seen.iter().filter(|it| it.step < step);
        let x: Vec<_> = before().map(|it| it.features.clone()).collect();
        let y: Vec<_> = before().map(|it| it.targets.clone()).collect();
        if x.is_empty() {
            return None;
        }
        let varying = varying(&targets)?;
        let y = Tensor::cat(y, 0).select(1, varying.clone());
        let targets = targets.select(1, varying);
        let predicted = Fit::of(Tensor::cat(x, 0), y).predict(features);
        let uniform = r2_uniform(predicted.clone(), targets.clone());
        Some(Score { uniform, pooled: r2_pooled(predicted, targets) })
    }
}

/// The columns of `[rows, k]` that are not the same in all rows.
fn varying(targets: &Tensor<2>) -> Option<Tensor<1, Int>> {
    let centred = targets.clone() - targets.clone().mean_dim(0);
    let [variances, squares] =
        [centred, targets.clone()].map(|it| it.square().mean_dim(0).into_data());
    let both = variances.iter::<f64>().zip(squares.iter::<f64>()).enumerate();
    let columns = both.filter(|(_, (variance, square))| *variance > CONSTANT * square);
    let columns: Vec<i64> = columns.map(|it| it.0 as i64).collect();
    (!columns.is_empty()).then(|| Tensor::from_data(columns.as_slice(), &targets.device()))
}

/// A linear map with an intercept.
struct Fit {
    mean: Tensor<2>,
    weights: Tensor<2>,
    intercept: Tensor<2>,
}

impl Fit {
    /// Ridge regression of centred `y` `[rows, k]` on centred `x` `[rows, d]`.
    fn of(x: Tensor<2>, y: Tensor<2>) -> Self {
        let (mean, intercept) = (x.clone().mean_dim(0), y.clone().mean_dim(0));
        let x = x - mean.clone();
        let gram = x.clone().transpose().matmul(x.clone());
        let [rows, _] = x.dims();
        let square: f64 = x.clone().square().mean().into_scalar::<f32>().into();
        let penalty = (RIDGE * square * rows as f64).max(1e-12);
        let inverse = Square::inverse_of(gram / penalty).to_tensor(&x.device());
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
    fn a_linear_target_is_told_and_noise_is_not() {
        let device = Device::flex();
        device.seed(5);
        let normal =
            |shape: [usize; 2]| Tensor::<2>::random(shape, Distribution::Normal(0.0, 1.0), &device);
        let map = normal([6, 2]);
        let [mut linear, mut noise] = [Probe::default(), Probe::default()];
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
            linear.keep(step, x.clone(), y);
            noise.keep(step, x, z);
        }
    }

    #[test]
    fn what_is_the_same_for_everybody_does_not_count() {
        let device = Device::flex();
        let x = Tensor::<2>::from_floats([[1.0], [2.0], [4.0]], &device);
        let constant = x.ones_like() * 0.7;
        let mut probe = Probe::default();
        let both = Tensor::cat(vec![x.clone(), constant.clone()], 1);
        probe.keep(1, x.clone(), both.clone());
        assert!(probe.score(2, x.clone(), both).unwrap().uniform > 0.99);
        let mut probe = Probe::default();
        probe.keep(1, x.clone(), constant.clone());
        assert!(probe.score(2, x, constant).is_none());
    }

    #[test]
    fn a_fit_does_not_see_what_it_is_scored_on() {
        let device = Device::flex();
        let x = Tensor::<2>::from_floats([[1.0], [2.0]], &device);
        let mut probe = Probe::default();
        probe.keep(4, x.clone(), x.clone());
        assert!(probe.score(4, x.clone(), x.clone()).is_none());
        assert!(probe.score(5, x.clone(), x).is_some());
    }
}
