//! The frame encoder, in one of three architectures.

pub(crate) mod blocks;
mod config;
pub(crate) mod conv3d;
mod embed;
mod precision;
pub(crate) mod resnet;
pub(crate) mod vit;

pub(crate) use config::config_error;
pub use config::{Arch, EncoderConfig, VitSize};
pub use conv3d::{Conv3dEncoder, Conv3dShape};
pub use embed::{Embedder, Tokens, VectorBatch};
pub use precision::Precision;
pub use resnet::{ResNet18, ResNetShape};
pub use vit::{Vit, VitShape};

use burn::module::Module;
use burn::tensor::Tensor;

use crate::nn::batch_norm::NormMode;
use crate::{Init, Result};

/// The dimensions of an encoder, checked and complete.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EncoderShape {
    /// Of a ViT.
    Vit(VitShape),
    /// Of a ResNet-18.
    ResNet18(ResNetShape),
    /// Of the 3D convolutions.
    Conv3d(Conv3dShape),
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

    /// Frames per window: one window becomes one set of tokens.
    pub fn window(&self) -> usize {
        match self {
            Self::Vit(_) | Self::ResNet18(_) => 1,
            Self::Conv3d(it) => it.frames,
        }
    }

    /// The dimensions of the ViT.
    ///
    /// # Errors
    /// The encoder is not a ViT.
    pub(crate) fn vit(&self) -> Result<VitShape> {
        match self {
            Self::Vit(it) => Ok(*it),
            _ => Err(config_error(
                "arch",
                "this method needs the patch tokens of a ViT; write \"vit\"",
            )),
        }
    }

    /// A frame encoder with initial weights.
    pub fn init(&self, init: &mut Init) -> FrameEncoder {
        match self {
            Self::Vit(it) => FrameEncoder::Vit(it.init(init)),
            Self::ResNet18(it) => FrameEncoder::ResNet18(it.init(init)),
            Self::Conv3d(it) => FrameEncoder::Conv3d(it.init(init)),
        }
    }
}

/// The frame encoder: images to tokens.
#[derive(Module, Debug)]
pub enum FrameEncoder {
    /// A ViT: `[CLS]` and patch tokens.
    Vit(Vit),
    /// ResNet-18: the cells of its last feature map, after their mean.
    ResNet18(ResNet18),
    /// 3D convolutions: one token for a window of frames.
    Conv3d(Conv3dEncoder),
}

impl FrameEncoder {
    /// Frames per window: one window becomes one set of tokens.
    pub fn window(&self) -> usize {
        match self {
            Self::Vit(_) | Self::ResNet18(_) => 1,
            Self::Conv3d(it) => it.frames(),
        }
    }

    /// Whether the tokens of an image depend on the other images in the batch during training.
    /// Then a batch cannot be encoded in parts.
    pub(crate) fn has_batch_norm(&self) -> bool {
        !matches!(self, Self::Vit(_))
    }

    /// Normalised images `[n, 3 · window, h, w]`, the frames of a window stacked in the channels, to
    /// tokens `[n, 1 + cells, dim]`. The first token stands for the whole image.
    pub fn forward(&self, images: Tensor<4>, mode: NormMode) -> Tensor<3> {
        match self {
            Self::Vit(it) => it.forward(images),
            Self::ResNet18(it) => it.forward(images, mode),
            Self::Conv3d(it) => it.forward(images, mode),
        }
    }
}
