//! VICReg: variance, invariance, covariance.

use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::duality::dimension_contrastive;
use super::validate::weight;
use super::{Criterion, Given, mean_squared};
use crate::Result;

/// The `[model.method.loss]` table of `vicreg`.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, Serialize)]
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

impl Criterion for VicReg {
    const PROJECTOR: &'static str = "8192-8192-8192";

    fn validate(&self) -> Result<()> {
        weights(self.sim_coeff, self.std_coeff, self.cov_coeff)
    }

    fn loss(&self, z1: Tensor<2>, z2: Tensor<2>, _: Given) -> Tensor<1> {
        vicreg(z1, z2, self)
    }
}

/// Checks the three weights of VICReg and its variants.
pub(super) fn weights(sim: f64, std: f64, cov: f64) -> Result<()> {
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
/// `std_coeff` for its form.
pub fn vicreg(z1: Tensor<2>, z2: Tensor<2>, config: &VicReg) -> Tensor<1> {
    let variance = (variance_hinge(z1.clone()) + variance_hinge(z2.clone())) / 2.0;
    let covariance = covariance_penalty(z1.clone()) + covariance_penalty(z2.clone());
    mean_squared(z1, z2) * config.sim_coeff
        + variance * config.std_coeff
        + covariance * config.cov_coeff
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

/// `mean_i max(0, 1 − √(‖z_i‖² + 1e-4))` over the rows.
pub(super) fn norm_hinge(z: Tensor<2>) -> Tensor<1> {
    let norm = (z.square().sum_dim(1) + EPSILON).sqrt();
    relu(norm.neg() + 1.0).mean()
}

/// Dimensions of mean 0.
pub(super) fn centred(z: Tensor<2>) -> Tensor<2> {
    z.clone() - z.mean_dim(0)
}

/// Centred, and divided by `√(n − 1)`: its Gram matrix of dimensions is their covariance.
pub(super) fn scaled(z: Tensor<2>) -> Tensor<2> {
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
        for penalty in [variance_hinge, covariance_penalty] {
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
}
