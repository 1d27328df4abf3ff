//! The number format of matrix products.

use burn::nn::Linear;
use burn::tensor::activation::softmax;
use burn::tensor::module::{attention, linear};
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{FloatDType, Tensor};
use serde::{Deserialize, Serialize};

use crate::train::nan_trace::watched;

/// The number format of matrix products inside transformer blocks. Norms, softmax, residual
/// sums, losses and the EMA stay in float32 either way.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    Float32,
    /// bfloat16, for devices that have it.
    Bfloat16,
}

impl Precision {
    fn down<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Float32 => x,
            Self::Bfloat16 => x.cast(FloatDType::BF16),
        }
    }

    pub(super) fn up<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Float32 => x,
            Self::Bfloat16 => x.cast(FloatDType::F32),
        }
    }

    /// `layer(x)` for float32 `x`; the product, and the result, are in this format.
    pub(super) fn linear<const D: usize>(self, layer: &Linear, x: Tensor<D>) -> Tensor<D> {
        let bias = layer.bias.as_ref().map(|it| self.down(it.val()));
        let product = linear(self.down(x), self.down(layer.weight.val()), bias);
        watched::output(&layer.weight, product)
    }

    /// Softmax attention over heads `[n, heads, tokens, d]`, merged to `[n, tokens, dim]` in
    /// float32. The scores are normalised in float32 in either format.
    pub(super) fn attend(self, q: Tensor<4>, k: Tensor<4>, v: Tensor<4>) -> Tensor<3> {
        let [n, heads, tokens, d] = q.dims();
        let mixed = match self {
            Self::Float32 => attention(q, k, v, None, None, AttentionModuleOptions::default()),
            Self::Bfloat16 => {
                let scores = self.up(q.matmul(k.swap_dims(2, 3))) * (d as f64).powf(-0.5);
                self.up(self.down(softmax(scores, 3)).matmul(v))
            }
        };
        mixed.swap_dims(1, 2).reshape([n, tokens, heads * d])
    }
}
