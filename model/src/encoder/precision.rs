//! Number format of matrix products.

use burn::nn::Linear;
use burn::tensor::activation::softmax;
use burn::tensor::module::{attention, linear};
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{FloatDType, Tensor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::train::nan_trace::watched;

/// Number format of the matrix products in transformer blocks. Norms, softmax, residual sums,
/// losses and the EMA are always float32.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    Float32,
    /// bfloat16, on devices that support it.
    Bfloat16,
}

impl Precision {
    fn lower<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Float32 => x,
            Self::Bfloat16 => x.cast(FloatDType::BF16),
        }
    }

    pub(super) fn to_float32<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Float32 => x,
            Self::Bfloat16 => x.cast(FloatDType::F32),
        }
    }

    /// `layer(x)` for float32 `x`. The product and the result are in this format.
    pub(super) fn linear<const D: usize>(self, layer: &Linear, x: Tensor<D>) -> Tensor<D> {
        let bias = layer.bias.as_ref().map(|it| self.lower(it.val()));
        let product = linear(self.lower(x), self.lower(layer.weight.val()), bias);
        watched::output(&layer.weight, product)
    }

    /// Softmax attention over heads `[n, heads, tokens, d]`, merged to `[n, tokens, dim]` in
    /// float32. The scores are normalised in float32 in either format.
    pub(super) fn attend(self, q: Tensor<4>, k: Tensor<4>, v: Tensor<4>) -> Tensor<3> {
        let [n, heads, tokens, d] = q.dims();
        let mixed = match self {
            Self::Float32 => attention(q, k, v, None, None, AttentionModuleOptions::default()),
            Self::Bfloat16 => {
                let scores = self.to_float32(q.matmul(k.swap_dims(2, 3))) * (d as f64).powf(-0.5);
                self.to_float32(self.lower(softmax(scores, 3)).matmul(v))
            }
        };
        mixed.swap_dims(1, 2).reshape([n, tokens, heads * d])
    }
}
