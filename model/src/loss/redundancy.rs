//! Penalties on the correlation of dimensions: Barlow Twins and TiCo.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::pairs::{diagonal, paired, unit_rows};
use super::validate::{share, weight};
use crate::Result;

/// Of [`barlow_twins`].
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct BarlowTwins {
    /// Weight of the correlations off the diagonal.
    pub lambda: f64,
}

impl Default for BarlowTwins {
    fn default() -> Self {
        Self { lambda: 0.0051 }
    }
}

impl BarlowTwins {
    /// # Errors
    /// A negative weight.
    pub fn validate(&self) -> Result<()> {
        weight("lambda", self.lambda)
    }
}

/// Of [`tico`].
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct TiCo {
    /// Share of the running covariance that stays, per step.
    pub beta: f64,
    /// Weight of the covariance penalty.
    pub rho: f64,
    /// Whether the gradient also goes through this batch's share of the covariance.
    pub through_covariance: bool,
}

impl Default for TiCo {
    fn default() -> Self {
        Self { beta: 0.9, rho: 8.0, through_covariance: false }
    }
}

impl TiCo {
    /// # Errors
    /// A share outside of 0 to 1, or a negative weight.
    pub fn validate(&self) -> Result<()> {
        share("beta", self.beta)?;
        weight("rho", self.rho)
    }
}

/// Added to a variance before its root.
const EPSILON: f64 = 1e-5;

/// Barlow Twins (Zbontar et al., 2021): `Σ_i (c_ii − 1)² + λ Σ_{i≠j} c_ij²`, where `c` `[d, d]`
/// is the cross-correlation of the views, standardised with the biased variance.
///
/// solo-learn multiplies the sum by 0.025; stable-pretraining takes the unbiased deviation.
pub fn barlow_twins(z1: Tensor<2>, z2: Tensor<2>, lambda: f64) -> Tensor<1> {
    let [n, d] = z1.dims();
    let correlation = standardised(z1).transpose().matmul(standardised(z2)) / n as f64;
    let on = diagonal([d, d], 0, &correlation.device());
    let redundancy = correlation.clone().mask_fill(on.clone(), 0.0).square().sum();
    let invariance = (correlation - 1.0).mask_fill(on.bool_not(), 0.0).square().sum();
    invariance + redundancy * lambda
}

/// Dimensions of mean 0 and variance 1, as a batch norm without weights makes them.
fn standardised(z: Tensor<2>) -> Tensor<2> {
    let centred = z.clone() - z.mean_dim(0);
    let deviation = (centred.clone().square().mean_dim(0) + EPSILON).sqrt();
    centred / deviation
}

/// TiCo (Zhu et al., 2022): `1 − mean ⟨z1_i, z2_i⟩ + ρ mean z1_iᵀ C z1_i` for rows on the unit
/// sphere. Gives the loss and the running covariance `C` for the next step.
///
/// `C = β C_before + (1 − β) z1ᵀ z1 / n`; `covariance` `[d, d]` is `C_before`, zeros at first, and
/// what comes back is untracked. `z2` is the momentum network's and a constant.
///
/// By default `C` is a constant, as in lightly. With `through_covariance` the gradient reaches
/// this batch's share of it, as in the unofficial sayannag/TiCo-pytorch; the value is the same.
/// There is no official code. Others leave out the constant 1, or centre first and take both
/// views (stable-pretraining).
pub fn tico(
    z1: Tensor<2>,
    z2: Tensor<2>,
    covariance: Tensor<2>,
    config: &TiCo,
) -> (Tensor<1>, Tensor<2>) {
    let [n, _] = z1.dims();
    let (a, b) = (unit_rows(z1), unit_rows(z2.inner()));
    let seen = if config.through_covariance { a.clone() } else { a.clone().inner() };
    let batch = seen.clone().transpose().matmul(seen) / n as f64;
    let covariance = covariance.inner() * config.beta + batch * (1.0 - config.beta);
    let pull = paired(a.clone(), b).mean();
    let penalty = paired(a.clone().matmul(covariance.clone()), a).mean();
    (pull.neg() + 1.0 + penalty * config.rho, covariance.inner())
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution};

    use super::*;

    fn random() -> Tensor<2> {
        Tensor::random([9, 4], Distribution::Normal(0.0, 1.0), &Device::flex())
    }

    #[test]
    fn scale_and_shift_of_a_feature_do_not_count() {
        let (z1, z2) = (random(), random());
        let row = |z: Tensor<2>| z.narrow(0, 0, 1);
        let moved = z1.clone() * (row(random()).abs() + 0.5) + row(random());
        let wanted: f32 = barlow_twins(z1, z2.clone(), 0.0051).into_scalar();
        let got: f32 = barlow_twins(moved, z2, 0.0051).into_scalar();
        assert!((got - wanted).abs() < 1e-3, "{got} is not {wanted}");
    }

    #[test]
    fn the_running_covariance_is_a_weighted_mean_of_the_batches() {
        let config = TiCo::default();
        let (z, target) = (random(), random());
        let start = Tensor::zeros([4, 4], &z.device());
        let (_, first) = tico(z.clone(), target.clone(), start, &config);
        let (_, second) = tico(z.clone(), target, first, &config);
        let unit = unit_rows(z);
        let batch = unit.clone().transpose().matmul(unit) / 9.0;
        // 0.1 · 0.9 + 0.1 of the same batch.
        let off: f32 = (second - batch * 0.19).abs().max().into_scalar();
        assert!(off < 1e-6, "off by {off}");
    }
}
