//! The frame encoder: a plain ViT as in DINOv2, without registers, LayerScale or dropout
//! (Daithankar et al., 2026, section C.2).

use burn::module::{Module, Param};
use burn::nn::LayerNorm;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::layers::{Mlp, PatchEmbed, Precision, SelfAttention, embed};
use crate::{Error, Init, Result};

/// Named sizes of the papers; each has twelve blocks or more and heads of 64.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Size {
    /// 192 wide, 12 deep, 3 heads.
    Xs,
    /// 384 wide, 12 deep, 6 heads.
    S,
    /// 768 wide, 12 deep, 12 heads.
    B,
    /// 1024 wide, 24 deep, 16 heads.
    L,
}

/// The `[model.encoder]` table: a named size, or `dim`, `depth` and `heads`; what is given
/// beside a size replaces that part of it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderConfig {
    /// A named size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<Size>,
    /// Side of a square patch, pixels.
    #[serde(default = "default_patch")]
    pub patch: usize,
    /// Width of a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dim: Option<usize>,
    /// Number of blocks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub depth: Option<usize>,
    /// Attention heads in a block.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heads: Option<usize>,
}

fn default_patch() -> usize {
    14
}

/// An encoder's dimensions, all of them known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct EncoderShape {
    /// Side of a square patch, pixels.
    pub patch: usize,
    /// Width of a token.
    pub dim: usize,
    /// Number of blocks.
    pub depth: usize,
    /// Attention heads in a block.
    pub heads: usize,
    /// Patches down and across at the size that positions are learned for.
    pub grid: [usize; 2],
    /// The number format inside blocks.
    pub precision: Precision,
}

impl EncoderConfig {
    /// The dimensions for images of `[height, width]`.
    ///
    /// # Errors
    /// A dimension is missing or zero, `heads` does not divide `dim`, or the patch does not
    /// divide the image.
    pub fn shape(&self, image: [usize; 2], precision: Precision) -> Result<EncoderShape> {
        let named = self.size.map(|size| match size {
            Size::Xs => (192, 12, 3),
            Size::S => (384, 12, 6),
            Size::B => (768, 12, 12),
            Size::L => (1024, 24, 16),
        });
        let missing = || error("size", "give a size (xs, s, b, l), or all of dim, depth and heads");
        let dim = self.dim.or(named.map(|it| it.0)).ok_or_else(missing)?;
        let depth = self.depth.or(named.map(|it| it.1)).ok_or_else(missing)?;
        let heads = self.heads.or(named.map(|it| it.2)).ok_or_else(missing)?;
        for (key, value) in
            [("dim", dim), ("depth", depth), ("heads", heads), ("patch", self.patch)]
        {
            if value == 0 {
                return Err(error(key, "must be at least 1"));
            }
        }
        if !dim.is_multiple_of(heads) {
            return Err(error("heads", &format!("{heads} heads do not divide dim = {dim}")));
        }
        let [height, width] = image;
        if !height.is_multiple_of(self.patch) || !width.is_multiple_of(self.patch) {
            let message = format!("{} does not divide frames of {height} x {width}", self.patch);
            return Err(error("patch", &message));
        }
        let grid = [height / self.patch, width / self.patch];
        Ok(EncoderShape { patch: self.patch, dim, depth, heads, grid, precision })
    }
}

fn error(key: &str, message: &str) -> Error {
    Error::Config { key: format!("model.encoder.{key}"), message: message.into() }
}

impl EncoderShape {
    /// Tokens of one image, `[CLS]` included.
    pub fn tokens(&self) -> usize {
        1 + self.grid[0] * self.grid[1]
    }

    /// A frame encoder with fresh weights.
    pub fn init(&self, init: &mut Init) -> FrameEncoder {
        let Self { patch, dim, depth, heads, grid, precision } = *self;
        FrameEncoder {
            patch_embed: PatchEmbed::new(patch, dim, init),
            cls_token: init.normal([1, 1, dim], 1e-6),
            pos_embed: init.normal([1, self.tokens(), dim], 0.02),
            blocks: (0..depth).map(|_| Block::new(dim, heads, precision, init)).collect(),
            norm: init.layer_norm(dim),
            grid,
        }
    }
}

/// Images to tokens.
#[derive(Module, Debug)]
pub struct FrameEncoder {
    cls_token: Param<Tensor<3>>,
    pos_embed: Param<Tensor<3>>,
    patch_embed: PatchEmbed,
    blocks: Vec<Block>,
    norm: LayerNorm,
    #[module(skip)]
    grid: [usize; 2],
}

impl FrameEncoder {
    /// Normalised images `[n, 3, h, w]` to tokens `[n, 1 + patches, dim]`, `[CLS]` first, out of
    /// the final layer norm. Sizes other than the native one interpolate the positions.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<3> {
        let (cls, positions) = (&self.cls_token, &self.pos_embed);
        let tokens = embed(images, &self.patch_embed, cls, positions, self.grid);
        self.norm.forward(self.blocks.iter().fold(tokens, |x, block| block.forward(x)))
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
        let x = x.clone() + self.attn.forward(self.norm1.forward(x));
        x.clone() + self.mlp.forward(self.norm2.forward(x))
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution};

    use super::*;
    use crate::{HeadConfig, MotionEncoder};

    fn shape(size: Size) -> EncoderShape {
        let config =
            EncoderConfig { size: Some(size), patch: 14, dim: None, depth: None, heads: None };
        config.shape([224, 224], Precision::Float32).unwrap()
    }

    /// Frame encoder, motion encoder, output projection and head with 32,768 prototypes.
    fn parameters(size: Size) -> [usize; 4] {
        let device = Device::flex();
        let (mut init, shape) = (Init::new(0, &device), shape(size));
        let frame = shape.init(&mut init).num_params();
        let motion = MotionEncoder::new(&shape, &mut init).num_params();
        let projection = init.default_linear(shape.dim, shape.dim).num_params();
        [frame, motion, projection, HeadConfig::default().init(shape.dim, &mut init).num_params()]
    }

    #[test]
    fn the_named_sizes_have_the_papers_parameters() {
        assert_eq!(parameters(Size::Xs), [5_501_376, 7_284_672, 37_056, 13_537_536]);
        assert_eq!(parameters(Size::S), [21_619_584, 28_725_120, 147_840, 13_930_752]);
        assert_eq!(parameters(Size::B), [85_706_496, 114_073_344, 590_592, 14_717_184]);
    }

    /// No document states this one: 24 blocks of 12·1024² + 13·1024, and what is around them.
    #[test]
    fn the_large_size_has_the_parameters_of_its_dimensions() {
        let around = 3 * 14 * 14 * 1024 + 1024 + 1024 + 257 * 1024 + 2 * 1024;
        let blocks = 24 * (12 * 1024 * 1024 + 13 * 1024);
        let encoder = shape(Size::L).init(&mut Init::new(0, &Device::flex()));
        assert_eq!(encoder.num_params(), blocks + around);
    }

    fn small(grid: [usize; 2], precision: Precision) -> EncoderShape {
        EncoderShape { patch: 4, dim: 16, depth: 2, heads: 2, grid, precision }
    }

    fn apart(x: Tensor<3>, y: Tensor<3>) -> f32 {
        (x - y).abs().max().into_scalar()
    }

    #[test]
    fn other_sizes_interpolate_positions_and_the_native_one_does_not() {
        let device = Device::flex();
        let encoder = small([3, 4], Precision::Float32).init(&mut Init::new(0, &device));
        let native = encoder.forward(Tensor::zeros([1, 3, 12, 16], &device));
        let wide = encoder.forward(Tensor::zeros([1, 3, 24, 32], &device));
        assert_eq!([native.dims(), wide.dims()], [[1, 13, 16], [1, 49, 16]]);
        // On a constant image, tokens differ by their positions alone: a field of twice the
        // resolution has its corners nearest to the corners of the original.
        let corner = |tokens: &Tensor<3>, idx| tokens.clone().narrow(1, idx, 1);
        let near = apart(corner(&native, 1), corner(&wide, 1));
        let far = apart(corner(&native, 1), corner(&wide, 48));
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
        let off = apart(full, half);
        assert!(off > 0.0 && off < 0.1, "tokens of unit variance are {off} apart");
    }

    #[test]
    fn what_cannot_be_built_names_its_key() {
        let config = |patch, heads| EncoderConfig {
            size: None,
            patch,
            dim: Some(16),
            depth: Some(1),
            heads,
        };
        for (config, key) in [
            (config(4, None), "model.encoder.size"),
            (config(4, Some(3)), "model.encoder.heads"),
            (config(5, Some(2)), "model.encoder.patch"),
            (config(0, Some(2)), "model.encoder.patch"),
        ] {
            let err = config.shape([12, 16], Precision::Float32).unwrap_err().to_string();
            assert!(err.starts_with(key), "{err} is not about {key}");
        }
    }
}
