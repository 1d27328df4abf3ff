//! The frame encoder, whichever architecture it has.

pub(crate) mod blocks;
pub(crate) mod conv3d;
mod embed;
mod precision;
pub(crate) mod resnet;
pub(crate) mod vit;

pub use conv3d::{Conv3dEncoder, Conv3dShape};
pub use embed::{Embedder, Tokens, Vectors};
pub use precision::Precision;
pub use resnet::{ResNet18, ResNetShape};
pub use vit::{Vit, VitShape};

use std::path::PathBuf;

use burn::module::Module;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::nn::batch_norm::Mode;
use crate::{Error, Init, Result};

/// Which architecture an encoder has.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Arch {
    /// A ViT: `size`, or `dim`, `depth` and `heads`; `patch`.
    #[default]
    Vit,
    /// ResNet-18 of torchvision, 512 wide; `small_images`.
    Resnet18,
    /// Five 3D convolutions over a few frames, for toy video; `channels`, `frames`.
    Conv3d,
}

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

/// The `[model.encoder]` table: an architecture and what belongs to it. Of a ViT, a named size,
/// or `dim`, `depth` and `heads`; what is given beside a size replaces that part of it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct EncoderConfig {
    /// The architecture.
    pub arch: Arch,
    /// ViT: a named size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<Size>,
    /// ViT: side of a square patch, pixels.
    pub patch: usize,
    /// ViT: width of a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dim: Option<usize>,
    /// ViT: number of blocks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub depth: Option<usize>,
    /// ViT: attention heads in a block.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heads: Option<usize>,
    /// ResNet-18: a first convolution of 3 x 3 and no pooling after it, as for CIFAR.
    pub small_images: bool,
    /// 3D convolutions: channels of the five layers.
    pub channels: [usize; 5],
    /// 3D convolutions: frames that are seen at once.
    pub frames: usize,
    /// A safetensors file that the encoder starts from, under the names of timm, DINOv2 or
    /// torchvision: an export, a file of a checkpoint, or somebody else's of this architecture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<PathBuf>,
    /// Keeps those weights as they are, so that only what is behind the encoder learns. A ViT's
    /// only: batch norms would go on to follow the batches.
    pub frozen: bool,
}

impl Default for EncoderConfig {
    fn default() -> Self {
        Self {
            arch: Arch::Vit,
            size: None,
            patch: 14,
            dim: None,
            depth: None,
            heads: None,
            small_images: false,
            channels: [32, 64, 128, 128, 256],
            frames: 3,
            weights: None,
            frozen: false,
        }
    }
}

/// An encoder's dimensions, all of them known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EncoderShape {
    /// A ViT's.
    Vit(VitShape),
    /// ResNet-18's.
    ResNet18(ResNetShape),
    /// The 3D convolutions'.
    Conv3d(Conv3dShape),
}

impl EncoderConfig {
    /// The dimensions for images of `[height, width]`.
    ///
    /// # Errors
    /// A dimension is missing or zero, `heads` does not divide `dim`, or the patch does not
    /// divide the image.
    pub fn shape(&self, image: [usize; 2], precision: Precision) -> Result<EncoderShape> {
        match self.arch {
            Arch::Vit => Ok(EncoderShape::Vit(self.vit(image, precision)?)),
            Arch::Resnet18 => {
                Ok(EncoderShape::ResNet18(ResNetShape { small_images: self.small_images }))
            }
            Arch::Conv3d => {
                let Self { channels, frames, .. } = *self;
                if channels.contains(&0) || frames == 0 {
                    return Err(error("channels", "channels and frames must be at least 1"));
                }
                Ok(EncoderShape::Conv3d(Conv3dShape { channels, frames }))
            }
        }
    }

    fn vit(&self, image: [usize; 2], precision: Precision) -> Result<VitShape> {
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
        Ok(VitShape { patch: self.patch, dim, depth, heads, grid, precision })
    }
}

pub(crate) fn error(key: &str, message: &str) -> Error {
    Error::Config { key: format!("model.encoder.{key}"), message: message.into() }
}

impl EncoderShape {
    /// Width of a token.
    pub fn dim(&self) -> usize {
        match self {
            Self::Vit(it) => it.dim,
            Self::ResNet18(_) => ResNetShape::DIM,
            Self::Conv3d(it) => it.dim(),
        }
    }

    /// Frames that become one set of tokens.
    pub fn window(&self) -> usize {
        match self {
            Self::Vit(_) | Self::ResNet18(_) => 1,
            Self::Conv3d(it) => it.frames,
        }
    }

    /// The ViT's dimensions.
    ///
    /// # Errors
    /// The encoder is no ViT.
    pub(crate) fn vit(&self) -> Result<VitShape> {
        match self {
            Self::Vit(it) => Ok(*it),
            _ => Err(error("arch", "this method needs the tokens of arch = \"vit\"")),
        }
    }

    /// A frame encoder with fresh weights.
    pub fn init(&self, init: &mut Init) -> FrameEncoder {
        match self {
            Self::Vit(it) => FrameEncoder::Vit(it.init(init)),
            Self::ResNet18(it) => FrameEncoder::ResNet18(it.init(init)),
            Self::Conv3d(it) => FrameEncoder::Conv3d(it.init(init)),
        }
    }
}

/// Images to tokens.
#[derive(Module, Debug)]
pub enum FrameEncoder {
    /// Tokens of a transformer.
    Vit(Vit),
    /// Cells of a feature map, their mean in front.
    ResNet18(ResNet18),
    /// One token for a few frames.
    Conv3d(Conv3dEncoder),
}

impl FrameEncoder {
    /// Frames that become one set of tokens.
    pub fn window(&self) -> usize {
        match self {
            Self::Vit(_) | Self::ResNet18(_) => 1,
            Self::Conv3d(it) => it.frames(),
        }
    }

    /// Whether an image's tokens depend on the images beside it while training: then a batch
    /// cannot be encoded in parts.
    pub(crate) fn has_batch_norm(&self) -> bool {
        !matches!(self, Self::Vit(_))
    }

    /// Normalised images `[n, 3 · window, h, w]`, the frames of a window one after the other, to
    /// tokens `[n, 1 + places, dim]`: in front the one that stands for the whole image.
    pub fn forward(&self, images: Tensor<4>, mode: Mode) -> Tensor<3> {
        match self {
            Self::Vit(it) => it.forward(images),
            Self::ResNet18(it) => it.forward(images, mode),
            Self::Conv3d(it) => it.forward(images, mode),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_built_names_its_key() {
        let config = |patch, heads| EncoderConfig {
            size: None,
            patch,
            dim: Some(16),
            depth: Some(1),
            heads,
            ..Default::default()
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
