//! Barlow Twins: the cross-correlation of two views is the identity.

use burn::tensor::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::pairs::diagonal;
use super::validate::weight;
use super::{Criterion, Given};
use crate::Result;

/// The `[model.method.loss]` table of `barlow-twins`.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, Serialize)]
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

impl Criterion for BarlowTwins {
    const PROJECTOR: &'static str = "8192-8192-8192";

    fn validate(&self) -> Result<()> {
        weight("lambda", self.lambda)
    }

    fn loss(&self, z1: Tensor<2>, z2: Tensor<2>, _: Given) -> Tensor<1> {
        barlow_twins(z1, z2, self.lambda)
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
}
