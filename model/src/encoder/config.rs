//! The `[model.encoder]` table.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Conv3dShape, EncoderShape, Precision, ResNetShape, VitShape};
use crate::{Error, Result};

/// The architecture of an encoder.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Arch {
    /// A ViT. Keys: `size`, or `dim`, `depth` and `heads`; `patch`.
    #[default]
    Vit,
    /// ResNet-18 as in torchvision, 512 wide. Key: `small_images`.
    Resnet18,
    /// Five 3D convolutions over a few frames, for toy video. Keys: `channels`, `frames`.
    Conv3d,
}

/// The papers' named sizes of a ViT. Each attention head is 64 wide.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum VitSize {
    /// 192 wide, 12 deep, 3 heads.
    Xs,
    /// 384 wide, 12 deep, 6 heads.
    S,
    /// 768 wide, 12 deep, 12 heads.
    B,
    /// 1024 wide, 24 deep, 16 heads.
    L,
}

/// The `[model.encoder]` table: an architecture and its dimensions. A ViT needs a named `size`, or
/// all of `dim`, `depth` and `heads`; each of these overrides that dimension of a named size.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct EncoderConfig {
    /// The architecture: `"vit"` (default), `"resnet18"` or `"conv3d"`.
    pub arch: Arch,
    /// ViT: a named size, `"xs"` (192 wide), `"s"` (384), `"b"` (768) or `"l"` (1024).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<VitSize>,
    /// ViT: side of a square patch in pixels; it must divide the frame's height and width.
    /// Default: 14.
    pub patch: usize,
    /// ViT: width of a token. Default: that of `size`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dim: Option<usize>,
    /// ViT: number of transformer blocks. Default: that of `size`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub depth: Option<usize>,
    /// ViT: attention heads per block; it must divide `dim`. Default: that of `size`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heads: Option<usize>,
    /// ResNet-18: the first convolution is 3 x 3 without pooling, as for CIFAR. Default: false.
    pub small_images: bool,
    /// 3D convolutions: output channels of the five layers. Default: 32, 64, 128, 128, 256.
    pub channels: [usize; 5],
    /// 3D convolutions: frames per window, which become one token. Default: 3.
    pub frames: usize,
    /// A safetensors file with weights to start from: an export, a file of a checkpoint, or weights
    /// of this architecture from timm, DINOv2 or torchvision. Default: random weights.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<PathBuf>,
    /// Whether the encoder keeps these weights, so that only the networks behind it are trained.
    /// Only for a ViT: batch norms of the other encoders would still change. Default: false.
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

impl EncoderConfig {
    /// The dimensions of the encoder for images of `[height, width]` pixels.
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
                    return Err(config_error(
                        "channels",
                        "channels and frames must all be at least 1",
                    ));
                }
                Ok(EncoderShape::Conv3d(Conv3dShape { channels, frames }))
            }
        }
    }

    fn vit(&self, image: [usize; 2], precision: Precision) -> Result<VitShape> {
        let named = self.size.map(|size| match size {
            VitSize::Xs => (192, 12, 3),
            VitSize::S => (384, 12, 6),
            VitSize::B => (768, 12, 12),
            VitSize::L => (1024, 24, 16),
        });
        let missing = || {
            config_error(
                "size",
                "is missing; write \"xs\", \"s\", \"b\" or \"l\", or all of dim, depth and heads",
            )
        };
        let dim = self.dim.or(named.map(|it| it.0)).ok_or_else(missing)?;
        let depth = self.depth.or(named.map(|it| it.1)).ok_or_else(missing)?;
        let heads = self.heads.or(named.map(|it| it.2)).ok_or_else(missing)?;
        for (key, value) in
            [("dim", dim), ("depth", depth), ("heads", heads), ("patch", self.patch)]
        {
            if value == 0 {
                return Err(config_error(key, "must be at least 1"));
            }
        }
        if !dim.is_multiple_of(heads) {
            return Err(config_error(
                "heads",
                &format!("{heads} does not divide dim = {dim}; change one of them"),
            ));
        }
        let [height, width] = image;
        if !height.is_multiple_of(self.patch) || !width.is_multiple_of(self.patch) {
            let message = format!(
                "{} does not divide frames of {height} x {width} pixels; change it or pipeline.size",
                self.patch
            );
            return Err(config_error("patch", &message));
        }
        let grid = [height / self.patch, width / self.patch];
        Ok(VitShape { patch: self.patch, dim, depth, heads, grid, precision })
    }
}

/// An error about a key of `[model.encoder]`.
pub(crate) fn config_error(key: &str, message: &str) -> Error {
    Error::Config { key: format!("model.encoder.{key}"), message: message.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_key_of_a_wrong_dimension() {
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
