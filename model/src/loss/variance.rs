//! VICReg, and the variants that lead from it to SimCLR.

use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use serde::{Deserialize, Serialize};

use super::duality::dimension_contrastive;
use super::mean_squared;
use super::pairs::{diagonal, log_sum_exp_except};
use super::validate::{positive, weight};
use crate::Result;

/// Of [`vicreg`].
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct VicReg {
    /// Weight of the mean squared distance of the views.
    pub sim_coeff: f64,
    /// Weight of the hinge on the standard deviations, mean of the views.
    pub std_coeff: f64,
    /// Weight of the squared covariances, sum of the views.
    pub cov_coeff: f64,
}

impl Default for VicReg {
    fn default() -> Self {
        Self { sim_coeff: 25.0, std_coeff: 25.0, cov_coeff: 1.0 }
    }
}

impl VicReg {
    /// # Errors
    /// A negative weight.
    pub fn validate(&self) -> Result<()> {
        weights(self.sim_coeff, self.std_coeff, self.cov_coeff)
    }
}

/// Of [`vicreg_exp`]. The paper's text does not give its
/// coefficients: the defaults are VICReg's, and a temperature that nobody has tuned.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
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

impl VicRegExp {
    /// # Errors
    /// A negative weight, or a temperature that nothing can be divided by.
    pub fn validate(&self) -> Result<()> {
        weights(self.sim_coeff, self.std_coeff, self.cov_coeff)?;
        positive("temperature", self.temperature)
    }
}

/// Of [`vicreg_ctr`]. The paper's text does not give its
/// coefficients: the defaults are VICReg's, and a temperature that nobody has tuned. SimCLR's
/// balance of attraction and repulsion is at `sim_coeff = d · cov_coeff / temperature` in the
/// unit-norm reading, and without `d` in the literal one.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
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

impl VicRegCtr {
    /// # Errors
    /// A negative weight, or a temperature that nothing can be divided by.
    pub fn validate(&self) -> Result<()> {
        weights(self.sim_coeff, self.std_coeff, self.cov_coeff)?;
        positive("temperature", self.temperature)
    }
}

/// Eq. 13 and table 1 of Garrido et al. (2023) do not say the same of VICReg-ctr.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
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

fn weights(sim: f64, std: f64, cov: f64) -> Result<()> {
    weight("sim_coeff", sim)?;
    weight("std_coeff", std)?;
    weight("cov_coeff", cov)
}

/// Added to a variance before its root.
const EPSILON: f64 = 1e-4;

/// VICReg (Bardes et al., 2022), as its authors' code has it:
/// `sim · mse + std · (v(z1) + v(z2))/2 + cov · (c(z1) + c(z2))`, where `mse` is a mean over every
/// element, `v` is [`variance_hinge`] and `c` is [`covariance_penalty`].
///
/// The paper's `mse` sums over dimensions. solo-learn does not halve `v(z1) + v(z2)`: double
/// `std_coeff` for its form. For eb_jepa's see [`vicreg_eb_jepa`].
pub fn vicreg(z1: Tensor<2>, z2: Tensor<2>, config: &VicReg) -> Tensor<1> {
    let variance = (variance_hinge(z1.clone()) + variance_hinge(z2.clone())) / 2.0;
    let covariance = covariance_penalty(z1.clone()) + covariance_penalty(z2.clone());
    mean_squared(z1, z2) * config.sim_coeff
        + variance * config.std_coeff
        + covariance * config.cov_coeff
}

/// eb_jepa's VICReg: `mse + std · (v(z1) + v(z2)) + cov · (c'(z1) + c'(z2))`, where `c'` is the
/// mean of the `d (d − 1)` squared covariances. Its own coefficients are 1 and 80.
pub fn vicreg_eb_jepa(z1: Tensor<2>, z2: Tensor<2>, std_coeff: f64, cov_coeff: f64) -> Tensor<1> {
    let [_, d] = z1.dims();
    let (std_coeff, cov_coeff) = (2.0 * std_coeff, cov_coeff / (d.max(2) - 1) as f64);
    vicreg(z1, z2, &VicReg { sim_coeff: 1.0, std_coeff, cov_coeff })
}

/// VICReg-exp (Garrido et al., 2023, eq. 12): a log-sum-exp in the place of squared covariances,
/// `sim · mse + std · (v(z1) + v(z2)) + cov · (c_exp(z1) + c_exp(z2))`.
///
/// `c_exp` is [`covariance_log_sum_exp`]. `mse` is a mean over every element as in [`vicreg`];
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

/// `mean_j max(0, 1 − √(var_j + 1e-4))`, with the unbiased variance of each dimension.
pub fn variance_hinge(z: Tensor<2>) -> Tensor<1> {
    norm_hinge(scaled(z).transpose())
}

/// `(1/d) Σ_{i≠j} C_ij²`, with the unbiased covariance `C` of the dimensions.
///
/// It is the dimension-contrastive criterion of centred embeddings, and as cheap where `d` is
/// much more than `n`.
pub fn covariance_penalty(z: Tensor<2>) -> Tensor<1> {
    let [_, d] = z.dims();
    dimension_contrastive(scaled(z)) / d as f64
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

/// `mean_i max(0, 1 − √(‖z_i‖² + 1e-4))` over the rows.
fn norm_hinge(z: Tensor<2>) -> Tensor<1> {
    let norm = (z.square().sum_dim(1) + EPSILON).sqrt();
    relu(norm.neg() + 1.0).mean()
}

fn centred(z: Tensor<2>) -> Tensor<2> {
    z.clone() - z.mean_dim(0)
}

/// Centred, and divided by `√(n − 1)`: its Gram matrix of dimensions is their covariance.
fn scaled(z: Tensor<2>) -> Tensor<2> {
    let [n, _] = z.dims();
    centred(z) / (n.max(2) as f64 - 1.0).sqrt()
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution};

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
        for penalty in [variance_hinge, covariance_penalty, |z| covariance_log_sum_exp(z, 0.5)] {
            let (got, wanted) = (value(penalty(shifted.clone())), value(penalty(z.clone())));
            assert!((got - wanted).abs() < 1e-5, "{got} is not {wanted}");
        }
    }

    #[test]
    fn a_collapsed_batch_pays_the_whole_hinge() {
        let z = random([1, 8]).repeat_dim(0, 5);
        assert!((value(variance_hinge(z)) - 0.99).abs() < 1e-5);
    }

    #[test]
    fn the_penalty_is_the_squared_covariance_for_wide_and_narrow_batches() {
        for shape in [[4, 30], [30, 4], [6, 6]] {
            let z = random(shape);
            let covariance = z.clone().cov(0, 1);
            let diagonal = Tensor::<2>::eye(shape[1], &z.device()) * covariance.clone();
            let wanted = value((covariance - diagonal).square().sum()) / shape[1] as f64;
            let got = value(covariance_penalty(z));
            assert!((got - wanted).abs() < 1e-5 * (1.0 + wanted), "{got} is not {wanted}");
        }
    }

    #[test]
    fn unit_embeddings_of_mean_zero_pay_no_hinge_in_the_unit_norm_reading() {
        let half = super::super::pairs::unit_rows(random([3, 5]));
        let z = Tensor::cat(vec![half.clone(), half.neg()], 0);
        assert!(value(norm_hinge(centred(z))) < 1e-6);
    }
}
