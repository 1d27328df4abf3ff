//! The DINO head: an MLP to a small unit sphere, and prototypes on it (Caron et al., 2021).

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::Tensor;
use burn::tensor::activation::gelu;
use serde::{Deserialize, Serialize};

use crate::Init;
use crate::train::nan_trace::watched;

/// The `[model.method.head]` table.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct HeadConfig {
    /// Width of the two hidden layers.
    pub hidden: usize,
    /// Width of the sphere that prototypes live on.
    pub bottleneck: usize,
    /// Number of prototypes.
    pub prototypes: usize,
    /// Tokens whose logits are held at once; bounds the memory, changes no result.
    pub chunk: usize,
}

impl Default for HeadConfig {
    fn default() -> Self {
        Self { hidden: 2048, bottleneck: 256, prototypes: 32_768, chunk: 1024 }
    }
}

/// Tokens to prototype logits.
#[derive(Module, Debug)]
pub struct Head {
    mlp: Vec<Linear>,
    last_layer: WeightNorm,
}

/// Weight-normalised prototypes: `weight_g · weight_v / ‖weight_v‖`, a row each.
#[derive(Module, Debug)]
struct WeightNorm {
    weight_g: Param<Tensor<2>>,
    weight_v: Param<Tensor<2>>,
}

impl HeadConfig {
    /// Fresh weights for tokens of width `dim`.
    pub fn init(&self, dim: usize, init: &mut Init) -> Head {
        let Self { hidden, bottleneck, prototypes, .. } = *self;
        let mlp = [(dim, hidden), (hidden, hidden), (hidden, bottleneck)];
        let mlp = mlp.into_iter().map(|(d_in, d_out)| init.linear(d_in, d_out)).collect();
        let bound = (bottleneck as f32).sqrt().recip();
        let weight_g = init.constant([prototypes, 1], 1.0);
        let weight_v = init.uniform([prototypes, bottleneck], bound);
        Head { mlp, last_layer: WeightNorm { weight_g, weight_v } }
    }
}

impl Head {
    /// Tokens `[rows, dim]` to points on the unit sphere `[rows, bottleneck]`.
    pub fn project(&self, tokens: Tensor<2>) -> Tensor<2> {
        let last = self.mlp.len() - 1;
        let x = self.mlp.iter().enumerate().fold(tokens, |x, (idx, layer)| {
            let x = watched::linear(layer, x);
            if idx < last { gelu(x) } else { x }
        });
        let norm = x.clone().square().sum_dim(1).sqrt().clamp_min(1e-12);
        x / norm
    }

    /// The prototypes `[prototypes, bottleneck]`. Build them once a step.
    pub fn prototypes(&self) -> Tensor<2> {
        let v = self.last_layer.weight_v.val();
        let norm = v.clone().square().sum_dim(1).sqrt();
        v * (self.last_layer.weight_g.val() / norm)
    }

    /// Tokens `[rows, dim]` to logits `[rows, prototypes]`, all at once.
    pub fn forward(&self, tokens: Tensor<2>) -> Tensor<2> {
        self.project(tokens).matmul(self.prototypes().transpose())
    }
}
