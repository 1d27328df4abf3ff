//! The spectral contrastive loss.

use burn::tensor::{Bool, Tensor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::pairs::{diagonal, paired};
use super::validate::positive;
use super::{Criterion, Given};
use crate::Result;

/// The `[model.method.loss]` table of `spectral`.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Spectral {
    /// Squared radius of the ball that embeddings are kept in. The authors' 10 is for ImageNet;
    /// they take 1 for CIFAR.
    pub mu: f64,
}

impl Default for Spectral {
    fn default() -> Self {
        Self { mu: 10.0 }
    }
}

impl Criterion for Spectral {
    const PROJECTOR: &'static str = "8192-8192-8192";
    const HAS_NEGATIVES: bool = true;

    fn validate(&self) -> Result<()> {
        positive("mu", self.mu)
    }

    fn loss(&self, z1: Tensor<2>, z2: Tensor<2>, given: Given) -> Tensor<1> {
        spectral(z1, z2, self.mu, given.same_video)
    }
}

/// The spectral contrastive loss (HaoChen et al., 2021; the authors' code):
/// `(−2 mean ⟨a_i, b_i⟩ + mean_{i≠j} ⟨a_i, b_j⟩²) / μ`, with rows longer than `√μ` scaled to `√μ`.
/// Without the pairs `[2n, 2n]` of `same_video`.
pub fn spectral(
    z1: Tensor<2>,
    z2: Tensor<2>,
    mu: f64,
    same_video: Option<Tensor<2, Bool>>,
) -> Tensor<1> {
    let [n, _] = z1.dims();
    assert!(n > 1, "a batch of one has no negatives");
    let (a, b) = (bounded_rows(z1, mu), bounded_rows(z2, mu));
    let attract = paired(a.clone(), b.clone()).mean() * -2.0;
    let own = diagonal([n, n], 0, &a.device());
    let products = a.matmul(b.transpose());
    let repel = match same_video {
        None => products.mask_fill(own, 0.0).square().sum() / (n * (n - 1)) as f64,
        Some(same) => {
            let negatives = same.slice([0..n, 0..n]).bool_not();
            let count = negatives.clone().int().sum().float().clamp_min(1.0);
            products.mask_fill(negatives.bool_not(), 0.0).square().sum() / count
        }
    };
    (attract + repel) / mu
}

/// Rows inside the ball of squared radius `mu`.
fn bounded_rows(z: Tensor<2>, mu: f64) -> Tensor<2> {
    let norm = z.clone().square().sum_dim(1).clamp_min(mu).sqrt();
    z * (norm.recip() * mu.sqrt())
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution};

    use super::*;

    fn assert_close(got: Tensor<1>, wanted: f64) {
        let got: f64 = got.into_scalar::<f32>().into();
        assert!((got - wanted).abs() < 1e-5, "{got} is not {wanted}");
    }

    #[test]
    fn rows_inside_the_ball_keep_their_length() {
        let device = Device::flex();
        let z = Tensor::<2>::random([4, 3], Distribution::Uniform(-1.0, 1.0), &device);
        let off: f32 = (bounded_rows(z.clone(), 3.0) - z).abs().max().into_scalar();
        assert!(off < 1e-6, "off by {off}");
    }

    #[test]
    fn orthonormal_pairs_are_the_spectral_minimum() {
        let z = Tensor::<2>::eye(4, &Device::flex());
        assert_close(spectral(z.clone() * 3.0, z, 1.0, None), -2.0);
    }
}
