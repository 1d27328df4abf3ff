//! The DINO head: an MLP, L2 normalisation, and a weight-normalised linear layer whose rows are
//! prototypes (Caron et al., 2021).

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::Tensor;
use burn::tensor::activation::gelu;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Init;
use crate::train::nan_trace::watched;

/// The `[model.method.head]` table.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct DinoHeadConfig {
    /// Width of the two hidden layers of the MLP. Default: 2048.
    pub hidden: usize,
    /// Width of the bottleneck, and so of a prototype. Default: 256.
    pub bottleneck: usize,
    /// Number of prototypes. Default: 32768.
    pub prototypes: usize,
    /// Tokens whose logits are in memory at the same time. Lower it to save memory; the result is
    /// the same. Default: 1024.
    pub chunk: usize,
}

impl Default for DinoHeadConfig {
    fn default() -> Self {
        Self { hidden: 2048, bottleneck: 256, prototypes: 32_768, chunk: 1024 }
    }
}

/// The DINO head: tokens to logits of prototypes.
#[derive(Module, Debug)]
pub struct DinoHead {
    mlp: Vec<Linear>,
    last_layer: WeightNorm,
}

/// Weight-normalised prototypes, one per row: `weight_g · weight_v / ‖weight_v‖`.
#[derive(Module, Debug)]
struct WeightNorm {
    weight_g: Param<Tensor<2>>,
    weight_v: Param<Tensor<2>>,
}

impl DinoHeadConfig {
    /// A head with new weights, for tokens of width `dim`.
    pub fn init(&self, dim: usize, init: &mut Init) -> DinoHead {
        let Self { hidden, bottleneck, prototypes, .. } = *self;
        let mlp = [(dim, hidden), (hidden, hidden), (hidden, bottleneck)];
        let mlp = mlp.into_iter().map(|(d_in, d_out)| init.linear(d_in, d_out)).collect();
        let bound = (bottleneck as f32).sqrt().recip();
        let weight_g = init.constant([prototypes, 1], 1.0);
        let weight_v = init.uniform([prototypes, bottleneck], bound);
        DinoHead { mlp, last_layer: WeightNorm { weight_g, weight_v } }
    }
}

impl DinoHead {
    /// Tokens `[rows, dim]` to unit vectors `[rows, bottleneck]`.
    pub fn project(&self, tokens: Tensor<2>) -> Tensor<2> {
        let last = self.mlp.len() - 1;
        let x = self.mlp.iter().enumerate().fold(tokens, |x, (idx, layer)| {
            let x = watched::linear(layer, x);
            if idx < last { gelu(x) } else { x }
        });
        let norm = x.clone().square().sum_dim(1).sqrt().clamp_min(1e-12);
        x / norm
    }

    /// The prototypes `[prototypes, bottleneck]`. Compute them once per step.
    pub fn prototypes(&self) -> Tensor<2> {
        let v = self.last_layer.weight_v.val();
        let norm = v.clone().square().sum_dim(1).sqrt();
        v * (self.last_layer.weight_g.val() / norm)
    }

    /// Tokens `[rows, dim]` to logits `[rows, prototypes]`, in one chunk.
    pub fn forward(&self, tokens: Tensor<2>) -> Tensor<2> {
        self.project(tokens).matmul(self.prototypes().transpose())
    }
}
