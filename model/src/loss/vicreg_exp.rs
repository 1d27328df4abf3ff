//! VICReg-exp and VICReg-ctr, the variants that lead from VICReg to SimCLR (Garrido et al., 2023).

use burn::tensor::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::pairs::{diagonal, log_sum_exp_except};
use super::validate::positive;
use super::vicreg::{centred, norm_hinge, scaled, variance_hinge, weights};
use super::{Criterion, Given, mean_squared};
use crate::Result;

/// The `[model.method.loss]` table of `vicreg-exp`. The paper does not print its coefficients: the
/// defaults are VICReg's, and the temperature is not tuned.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct VicRegExp {
    /// Weight of the mean squared distance of the views.
    pub sim_coeff: f64,
    /// Weight of the hinge on the standard deviations, sum of the views.
    pub std_coeff: f64,
    /// Weight of the log-sum-exp of the covariances, sum of the views.
    pub cov_coeff: f64,
    /// Divides the covariances.
    pub temperature: f64,
}

impl Default for VicRegExp {
    fn default() -> Self {
        Self { sim_coeff: 25.0, std_coeff: 25.0, cov_coeff: 1.0, temperature: 0.1 }
    }
}

impl Criterion for VicRegExp {
    const PROJECTOR: &'static str = "8192-8192-8192";

    fn validate(&self) -> Result<()> {
        weights(self.sim_coeff, self.std_coeff, self.cov_coeff)?;
        positive("temperature", self.temperature)
    }

    fn loss(&self, z1: Tensor<2>, z2: Tensor<2>, _: Given) -> Tensor<1> {
        vicreg_exp(z1, z2, self)
    }
}

/// The `[model.method.loss]` table of `vicreg-ctr`. The paper does not print its coefficients: the
/// defaults are VICReg's, and the temperature is not tuned. SimCLR's balance of attraction and
/// repulsion is at `sim_coeff = d · cov_coeff / temperature` in the unit-norm reading, and without
/// `d` in the literal one.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct VicRegCtr {
    /// Weight of the mean squared distance of the views.
    pub sim_coeff: f64,
    /// Weight of the hinge on the norms or deviations of the samples, sum of the views.
    pub std_coeff: f64,
    /// Weight of the log-sum-exp over pairs of samples, sum of the views.
    pub cov_coeff: f64,
    /// Divides the inner products.
    pub temperature: f64,
    /// What it means to exchange samples and dimensions.
    pub reading: CtrReading,
}

impl Default for VicRegCtr {
    fn default() -> Self {
        Self {
            sim_coeff: 25.0,
            std_coeff: 25.0,
            cov_coeff: 1.0,
            temperature: 0.1,
            reading: CtrReading::UnitNorm,
        }
    }
}

impl Criterion for VicRegCtr {
    const PROJECTOR: &'static str = "8192-8192-8192";

    fn validate(&self) -> Result<()> {
        weights(self.sim_coeff, self.std_coeff, self.cov_coeff)?;
        positive("temperature", self.temperature)
    }

    fn loss(&self, z1: Tensor<2>, z2: Tensor<2>, _: Given) -> Tensor<1> {
        vicreg_ctr(z1, z2, self)
    }
}

/// Eq. 13 and table 1 of Garrido et al. (2023) define VICReg-ctr differently.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CtrReading {
    /// Eq. 13 to the letter: every sample is centred over its dimensions, and the hinge drives
    /// its norm to about `√d`.
    Literal,
    /// Table 1: dimensions are centred over the batch, and the hinge drives the norm to 1. The
    /// default, because only this gives the embeddings that the paper describes.
    #[default]
    UnitNorm,
}

/// VICReg-exp (Garrido et al., 2023, eq. 12): a log-sum-exp in the place of squared covariances,
/// `sim · mse + std · (v(z1) + v(z2)) + cov · (c_exp(z1) + c_exp(z2))`.
///
/// `c_exp` is [`covariance_log_sum_exp`]. `mse` is a mean over every element as in [`vicreg`](super::vicreg::vicreg);
/// eq. 12 sums it over the dimensions. `d` must be at least 2.
pub fn vicreg_exp(z1: Tensor<2>, z2: Tensor<2>, config: &VicRegExp) -> Tensor<1> {
    let VicRegExp { sim_coeff, std_coeff, cov_coeff, temperature } = *config;
    let variance = variance_hinge(z1.clone()) + variance_hinge(z2.clone());
    let covariance = covariance_log_sum_exp(z1.clone(), temperature)
        + covariance_log_sum_exp(z2.clone(), temperature);
    mean_squared(z1, z2) * sim_coeff + variance * std_coeff + covariance * cov_coeff
}

/// VICReg-ctr (Garrido et al., 2023, eq. 13): [`vicreg_exp`] with samples and dimensions
/// exchanged in its last two terms, in one of two readings. `n` must be at least 2.
pub fn vicreg_ctr(z1: Tensor<2>, z2: Tensor<2>, config: &VicRegCtr) -> Tensor<1> {
    let VicRegCtr { sim_coeff, std_coeff, cov_coeff, temperature, reading } = *config;
    if reading == CtrReading::Literal {
        let config = VicRegExp { sim_coeff, std_coeff, cov_coeff, temperature };
        return vicreg_exp(z1.transpose(), z2.transpose(), &config);
    }
    let views = [z1.clone(), z2.clone()].map(|z| {
        let z = centred(z);
        norm_hinge(z.clone()) * std_coeff + gram_log_sum_exp(z, temperature) * cov_coeff
    });
    views.into_iter().fold(mean_squared(z1, z2) * sim_coeff, |sum, it| sum + it)
}

/// `(1/d) Σ_i ln Σ_{j≠i} exp(C_ij/τ)` (Garrido et al., 2023, eq. 11).
pub fn covariance_log_sum_exp(z: Tensor<2>, temperature: f64) -> Tensor<1> {
    gram_log_sum_exp(scaled(z).transpose(), temperature)
}

/// `mean_i ln Σ_{j≠i} exp(⟨z_i, z_j⟩/τ)` over the rows.
fn gram_log_sum_exp(z: Tensor<2>, temperature: f64) -> Tensor<1> {
    let ([n, _], device) = (z.dims(), z.device());
    let gram = z.clone().matmul(z.transpose()) / temperature;
    log_sum_exp_except(gram, diagonal([n, n], 0, &device)).mean()
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution};

    use super::super::pairs::unit_rows;
    use super::*;

    fn random(shape: [usize; 2]) -> Tensor<2> {
        Tensor::random(shape, Distribution::Normal(0.0, 1.0), &Device::flex())
    }

    fn value(loss: Tensor<1>) -> f64 {
        loss.into_scalar::<f32>().into()
    }

    #[test]
    fn a_shift_of_the_batch_costs_nothing() {
        let z = random([6, 4]);
        let shifted = z.clone() + random([1, 4]);
        let [got, wanted] = [shifted, z].map(|it| value(covariance_log_sum_exp(it, 0.5)));
        assert!((got - wanted).abs() < 1e-5, "{got} is not {wanted}");
    }

    #[test]
    fn unit_embeddings_of_mean_zero_pay_no_hinge_in_the_unit_norm_reading() {
        let half = unit_rows(random([3, 5]));
        let z = Tensor::cat(vec![half.clone(), half.neg()], 0);
        assert!(value(norm_hinge(centred(z))) < 1e-6);
    }
}
