//! A ViT as in DINOv2, without registers, LayerScale and dropout (Daithankar et al., 2026,
//! section C.2).

use burn::module::{Module, Param};
use burn::nn::LayerNorm;
use burn::tensor::Tensor;

use super::blocks::{Mlp, PatchEmbed, SelfAttention, embed_patches};
use super::precision::Precision;
use crate::Init;
use crate::train::nan_trace::watched;

/// The dimensions of a ViT.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct VitShape {
    /// Side of a square patch in pixels.
    pub patch: usize,
    /// Width of a token.
    pub dim: usize,
    /// Number of blocks.
    pub depth: usize,
    /// Attention heads per block.
    pub heads: usize,
    /// Rows and columns of patches in the frames that position embeddings are trained for.
    pub grid: [usize; 2],
    /// Number format of the matrix products in blocks.
    pub precision: Precision,
}

impl VitShape {
    /// Number of tokens of an image, with `[CLS]`.
    pub fn tokens(&self) -> usize {
        1 + self.grid[0] * self.grid[1]
    }

    /// A ViT with initial weights.
    pub fn init(&self, init: &mut Init) -> Vit {
        let Self { patch, dim, depth, heads, grid, precision } = *self;
        let drawn = Vit {
            patch_embed: PatchEmbed::new(patch, dim, init),
            cls_token: init.normal([1, 1, dim], 1e-6),
            pos_embed: init.normal([1, self.tokens(), dim], 0.02),
            blocks: (0..depth).map(|_| Block::new(dim, heads, precision, init)).collect(),
            norm: init.layer_norm(dim),
            grid,
        };
        init.encoder(drawn)
    }
}

/// A vision transformer: images to tokens.
#[derive(Module, Debug)]
pub struct Vit {
    cls_token: Param<Tensor<3>>,
    pos_embed: Param<Tensor<3>>,
    patch_embed: PatchEmbed,
    blocks: Vec<Block>,
    norm: LayerNorm,
    #[module(skip)]
    grid: [usize; 2],
}

impl Vit {
    /// Number of tokens of an image of the native size, with `[CLS]`.
    pub(crate) fn tokens(&self) -> usize {
        1 + self.grid[0] * self.grid[1]
    }

    /// Normalised images `[n, 3, h, w]` to tokens `[n, 1 + patches, dim]` after the final layer
    /// norm, `[CLS]` first. Images of another size than the native one interpolate positions.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<3> {
        let (cls, positions) = (&self.cls_token, &self.pos_embed);
        let tokens = embed_patches(images, &self.patch_embed, cls, positions, self.grid);
        watched::norm(&self.norm, self.blocks.iter().fold(tokens, |x, block| block.forward(x)))
    }

    /// Side of a patch in pixels.
    pub(crate) fn patch(&self) -> usize {
        self.patch_embed.side()
    }

    pub(crate) fn depth(&self) -> usize {
        self.blocks.len()
    }

    /// The tokens after each of `layers`, counted from 1, all through the final layer norm.
    pub(crate) fn layers(&self, images: Tensor<4>, layers: &[usize]) -> Vec<Tensor<3>> {
        let (cls, positions) = (&self.cls_token, &self.pos_embed);
        let mut x = embed_patches(images, &self.patch_embed, cls, positions, self.grid);
        let mut after = Vec::with_capacity(self.depth());
        for block in &self.blocks {
            x = block.forward(x);
            after.push(x.clone());
        }
        layers.iter().map(|it| watched::norm(&self.norm, after[it - 1].clone())).collect()
    }
}

/// A pre-norm transformer block.
#[derive(Module, Debug)]
struct Block {
    norm1: LayerNorm,
    attn: SelfAttention,
    norm2: LayerNorm,
    mlp: Mlp,
}

impl Block {
    fn new(dim: usize, heads: usize, precision: Precision, init: &mut Init) -> Self {
        Self {
            norm1: init.layer_norm(dim),
            attn: SelfAttention::new(dim, heads, precision, init),
            norm2: init.layer_norm(dim),
            mlp: Mlp::new(dim, precision, init),
        }
    }

    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let x = x.clone() + self.attn.forward(watched::norm(&self.norm1, x));
        x.clone() + self.mlp.forward(watched::norm(&self.norm2, x))
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution};

    use super::*;
    use crate::{DinoHeadConfig, EncoderConfig, MotionEncoder, VitSize};

    fn shape(size: VitSize) -> VitShape {
        let config = EncoderConfig { size: Some(size), ..Default::default() };
        config.shape([224, 224], Precision::Float32).unwrap().vit().unwrap()
    }

    /// Frame encoder, motion encoder, output projection and head with 32,768 prototypes.
    fn parameters(size: VitSize) -> [usize; 4] {
        let device = Device::flex();
        let (mut init, shape) = (Init::new(0, &device), shape(size));
        let frame = shape.init(&mut init).num_params();
        let motion = MotionEncoder::new(&shape, &mut init).num_params();
        let projection = init.default_linear(shape.dim, shape.dim).num_params();
        [
            frame,
            motion,
            projection,
            DinoHeadConfig::default().init(shape.dim, &mut init).num_params(),
        ]
    }

    #[test]
    fn the_named_sizes_have_the_papers_parameters() {
        assert_eq!(parameters(VitSize::Xs), [5_501_376, 7_284_672, 37_056, 13_537_536]);
        assert_eq!(parameters(VitSize::S), [21_619_584, 28_725_120, 147_840, 13_930_752]);
        assert_eq!(parameters(VitSize::B), [85_706_496, 114_073_344, 590_592, 14_717_184]);
    }

    /// No paper states this number: 24 blocks of 12·1024² + 13·1024, and the layers around them.
    #[test]
    fn the_large_size_has_the_parameters_of_its_dimensions() {
        let around = 3 * 14 * 14 * 1024 + 1024 + 1024 + 257 * 1024 + 2 * 1024;
        let blocks = 24 * (12 * 1024 * 1024 + 13 * 1024);
        let encoder = shape(VitSize::L).init(&mut Init::new(0, &Device::flex()));
        assert_eq!(encoder.num_params(), blocks + around);
    }

    fn small(grid: [usize; 2], precision: Precision) -> VitShape {
        VitShape { patch: 4, dim: 16, depth: 2, heads: 2, grid, precision }
    }

    fn distance(x: Tensor<3>, y: Tensor<3>) -> f32 {
        (x - y).abs().max().into_scalar()
    }

    #[test]
    fn positions_are_interpolated_for_other_image_sizes() {
        let device = Device::flex();
        let encoder = small([3, 4], Precision::Float32).init(&mut Init::new(0, &device));
        let native = encoder.forward(Tensor::zeros([1, 3, 12, 16], &device));
        let wide = encoder.forward(Tensor::zeros([1, 3, 24, 32], &device));
        assert_eq!([native.dims(), wide.dims()], [[1, 13, 16], [1, 49, 16]]);
        // On a constant image, tokens differ by their positions alone: a field of twice the
        // resolution has its corners nearest to the corners of the original.
        let corner = |tokens: &Tensor<3>, idx| tokens.clone().narrow(1, idx, 1);
        let near = distance(corner(&native, 1), corner(&wide, 1));
        let far = distance(corner(&native, 1), corner(&wide, 48));
        assert!(near < far, "the first corner is {near} from itself and {far} from the last");
    }

    #[test]
    fn bfloat16_blocks_stay_near_float32_and_give_float32_tokens() {
        let device = Device::flex();
        let images = Tensor::random([2, 3, 12, 16], Distribution::Normal(0.0, 1.0), &device);
        let [full, half] = [Precision::Float32, Precision::Bfloat16].map(|precision| {
            small([3, 4], precision).init(&mut Init::new(0, &device)).forward(images.clone())
        });
        assert_eq!(full.dtype(), half.dtype());
        let off = distance(full, half);
        assert!(off > 0.0 && off < 0.1, "tokens of unit variance are {off} apart");
    }
}
