//! Layers that the frame encoder and the motion encoder share. They have the layout and names of
//! DINOv2 (`vision_transformer.py`), so that weights can be imported and exported.

use burn::module::{Module, Param};
use burn::nn::{
    LayerNorm, Linear,
    conv::{Conv2d, Conv2dConfig},
};
use burn::tensor::Tensor;
use burn::tensor::activation::gelu;
use burn::tensor::module::{interpolate, linear};
use burn::tensor::ops::{InterpolateMode, InterpolateOptions};

use super::precision::Precision;
use crate::Init;
use crate::train::nan_trace::watched;

/// Splits an image into patches and projects each to a token.
#[derive(Module, Debug)]
pub(crate) struct PatchEmbed {
    proj: Conv2d,
}

impl PatchEmbed {
    pub(crate) fn new(patch: usize, dim: usize, init: &mut Init) -> Self {
        let bound = ((3 * patch * patch) as f32).sqrt().recip();
        let mut proj = Conv2dConfig::new([3, dim], [patch, patch])
            .with_stride([patch, patch])
            .init(init.device());
        proj.weight = init.uniform([dim, 3, patch, patch], bound);
        proj.bias = Some(init.uniform([dim], bound));
        Self { proj }
    }

    /// Side of a patch in pixels.
    pub(crate) fn side(&self) -> usize {
        self.proj.weight.dims()[2]
    }

    /// Images `[n, 3, h, w]` to tokens `[n, h/patch · w/patch, dim]` in row-major order, and the
    /// grid `[h/patch, w/patch]`.
    ///
    /// The convolution has stride = kernel size: as one matrix product it is faster.
    fn forward(&self, images: Tensor<4>) -> (Tensor<3>, [usize; 2]) {
        let [n, c, h, w] = images.dims();
        let [dim, _, p, _] = self.proj.weight.dims();
        let grid @ [rows, columns] = [h / p, w / p];
        let patches = images
            .reshape([n, c, rows, p, columns, p])
            .permute([0, 2, 4, 1, 3, 5])
            .reshape([n, rows * columns, c * p * p]);
        let weight = self.proj.weight.val().reshape([dim, c * p * p]).transpose();
        let projected = linear(patches, weight, self.proj.bias.as_ref().map(|it| it.val()));
        (watched::output(&self.proj.weight, projected), grid)
    }
}

/// Images to `[CLS]` and patch tokens with positions added, `[n, 1 + patches, dim]`.
pub(crate) fn embed_patches(
    images: Tensor<4>,
    patch_embed: &PatchEmbed,
    cls_token: &Param<Tensor<3>>,
    pos_embed: &Param<Tensor<3>>,
    native: [usize; 2],
) -> Tensor<3> {
    let (patches, grid) = patch_embed.forward(images);
    let [n, _, dim] = patches.dims();
    let cls = cls_token.val().expand([n, 1, dim]);
    Tensor::cat(vec![cls, patches], 1) + interpolate_positions(pos_embed.val(), native, grid)
}

/// Position embeddings `[1, 1 + patches, dim]` of the grid `native`, interpolated to the grid
/// `wanted`: bicubic as in DINOv2. The position of `[CLS]` stays.
fn interpolate_positions(learned: Tensor<3>, native: [usize; 2], wanted: [usize; 2]) -> Tensor<3> {
    if native == wanted {
        return learned;
    }
    let dim = learned.dims()[2];
    let cls = learned.clone().narrow(1, 0, 1);
    let patches = learned
        .narrow(1, 1, native[0] * native[1])
        .reshape([1, native[0], native[1], dim])
        .permute([0, 3, 1, 2]);
    let options = InterpolateOptions::new(InterpolateMode::Bicubic)
        .with_align_corners(false)
        .with_output_size(wanted);
    let patches = interpolate(patches, options).permute([0, 2, 3, 1]).reshape([
        1,
        wanted[0] * wanted[1],
        dim,
    ]);
    Tensor::cat(vec![cls, patches], 1)
}

/// Multi-head self-attention.
#[derive(Module, Debug)]
pub(crate) struct SelfAttention {
    qkv: Linear,
    proj: Linear,
    #[module(skip)]
    heads: usize,
    #[module(skip)]
    precision: Precision,
}

impl SelfAttention {
    pub(crate) fn new(dim: usize, heads: usize, precision: Precision, init: &mut Init) -> Self {
        let (qkv, proj) = (init.linear(dim, 3 * dim), init.linear(dim, dim));
        Self { qkv, proj, heads, precision }
    }

    /// Tokens `[n, tokens, dim]` to tokens of the same shape.
    pub(crate) fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let qkv = self.precision.linear(&self.qkv, x);
        let [q, k, v] = split_heads(qkv, self.heads);
        self.precision.to_float32(self.precision.linear(&self.proj, self.precision.attend(q, k, v)))
    }
}

/// Multi-head cross-attention from one sequence to another.
#[derive(Module, Debug)]
pub(crate) struct CrossAttention {
    q: Linear,
    kv: Linear,
    proj: Linear,
    #[module(skip)]
    heads: usize,
    #[module(skip)]
    precision: Precision,
}

impl CrossAttention {
    pub(crate) fn new(dim: usize, heads: usize, precision: Precision, init: &mut Init) -> Self {
        let (q, kv) = (init.linear(dim, dim), init.linear(dim, 2 * dim));
        Self { q, kv, proj: init.linear(dim, dim), heads, precision }
    }

    /// Queries from `x` `[n, tokens, dim]`, keys and values from `memory` `[n, others, dim]`.
    pub(crate) fn forward(&self, x: Tensor<3>, memory: Tensor<3>) -> Tensor<3> {
        let [q] = split_heads(self.precision.linear(&self.q, x), self.heads);
        let [k, v] = split_heads(self.precision.linear(&self.kv, memory), self.heads);
        self.precision.to_float32(self.precision.linear(&self.proj, self.precision.attend(q, k, v)))
    }
}

/// `[n, tokens, parts · dim]` to `parts` tensors `[n, heads, tokens, dim/heads]`.
fn split_heads<const PARTS: usize>(x: Tensor<3>, heads: usize) -> [Tensor<4>; PARTS] {
    let [n, tokens, width] = x.dims();
    let d = width / PARTS / heads;
    let parts = x.reshape([n, tokens, PARTS, heads, d]).permute([2, 0, 3, 1, 4]);
    std::array::from_fn(|part| parts.clone().narrow(0, part, 1).squeeze_dim(0))
}

/// The MLP of a transformer block: two linear layers with an exact GELU between them.
#[derive(Module, Debug)]
pub(crate) struct Mlp {
    fc1: Linear,
    fc2: Linear,
    #[module(skip)]
    precision: Precision,
}

impl Mlp {
    /// The hidden width is four times `dim`.
    pub(crate) fn new(dim: usize, precision: Precision, init: &mut Init) -> Self {
        Self { fc1: init.linear(dim, 4 * dim), fc2: init.linear(4 * dim, dim), precision }
    }

    /// Tokens `[n, tokens, dim]` to tokens of the same shape.
    pub(crate) fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let hidden = gelu(self.precision.linear(&self.fc1, x));
        self.precision.to_float32(self.precision.linear(&self.fc2, hidden))
    }
}

/// A pre-norm transformer block: self-attention, cross-attention, MLP.
#[derive(Module, Debug)]
pub(crate) struct CrossBlock {
    norm1: LayerNorm,
    self_attn: SelfAttention,
    norm_cross_attn: LayerNorm,
    cross_attn: CrossAttention,
    norm2: LayerNorm,
    mlp: Mlp,
}

impl CrossBlock {
    pub(crate) fn new(dim: usize, heads: usize, precision: Precision, init: &mut Init) -> Self {
        Self {
            norm1: init.layer_norm(dim),
            self_attn: SelfAttention::new(dim, heads, precision, init),
            norm_cross_attn: init.layer_norm(dim),
            cross_attn: CrossAttention::new(dim, heads, precision, init),
            norm2: init.layer_norm(dim),
            mlp: Mlp::new(dim, precision, init),
        }
    }

    /// `x` `[n, tokens, dim]` attends to itself and to `memory` `[n, others, dim]`.
    pub(crate) fn forward(&self, x: Tensor<3>, memory: Tensor<3>) -> Tensor<3> {
        let x = x.clone() + self.self_attn.forward(watched::norm(&self.norm1, x));
        let x =
            x.clone() + self.cross_attn.forward(watched::norm(&self.norm_cross_attn, x), memory);
        x.clone() + self.mlp.forward(watched::norm(&self.norm2, x))
    }
}
