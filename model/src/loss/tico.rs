//! TiCo: a running covariance of the projections keeps them apart.

use burn::tensor::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::pairs::{paired, unit_rows};
use super::validate::{share, weight};
use crate::Result;

/// The `[model.method.loss]` table of `tico`.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct TiCo {
    /// Share of the running covariance that is kept at every step.
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
    /// Checks the constants.
    ///
    /// # Errors
    /// A share outside of 0 to 1, or a negative weight.
    pub fn validate(&self) -> Result<()> {
        share("beta", self.beta)?;
        weight("rho", self.rho)
    }
}

/// TiCo (Zhu et al., 2022): `1 − mean ⟨z1_i, z2_i⟩ + ρ mean z1_iᵀ C z1_i` for rows on the unit
/// sphere. Gives the loss and the running covariance `C` for the next step.
///
/// `C = β C_before + (1 − β) z1ᵀ z1 / n`; `covariance` `[d, d]` is `C_before`, zeros at first.
/// The returned covariance has no gradient. `z2` is the teacher's projection and a constant.
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
    let rows = if config.through_covariance { a.clone() } else { a.clone().inner() };
    let batch = rows.clone().transpose().matmul(rows) / n as f64;
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
