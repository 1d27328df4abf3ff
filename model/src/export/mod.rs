//! Exports a frame encoder to timm or DINOv2: weights under their names, and a config for timm.

pub(crate) mod import;
pub(crate) mod safetensors;
pub(crate) mod state_dict;
mod timm;

pub use safetensors::{load, save};
pub use timm::timm_config;

use std::path::Path;

use self::safetensors::error;
use self::state_dict::{Array, StateDict};
use crate::encoder::resnet::ResNetShape;
use crate::encoder::vit::VitShape;
use crate::{EncoderShape, Error, Init, Result, device};

/// The program whose names an export uses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Layout {
    /// timm. Of a ResNet the names are also torchvision's.
    Timm,
    /// DINOv2, which also has a LayerScale (here of ones) and a mask token (here unused).
    Dinov2,
}

/// Writes the frame encoder in `from`, a file of a checkpoint, to `to`. `from` holds an encoder
/// alone or all networks of a student.
///
/// # Errors
/// The other program cannot build this architecture, `from` has other dimensions than `shape`, or
/// a file cannot be read or written.
pub fn export(shape: &EncoderShape, layout: Layout, from: &Path, to: &Path) -> Result<()> {
    check(shape, layout)?;
    let read = StateDict::read(from).map_err(|err| error(from, err))?;
    let wanted = StateDict::of(&shape.init(&mut Init::new(0, &device::cpu())));
    let mut found = read.encoder(&wanted);
    found.check(&wanted).map_err(|err| {
        error(from, format!("{err}; take the checkpoint and the config of the same run"))
    })?;
    if let (EncoderShape::Vit(vit), Layout::Dinov2) = (shape, layout) {
        found.0.extend(only_dinov2(vit));
    }
    found.write(to).map_err(|err| safetensors::write_error(to, err))
}

/// Checks that the other program can build this encoder.
fn check(shape: &EncoderShape, layout: Layout) -> Result<()> {
    let (key, message) = match (shape, layout) {
        (EncoderShape::Conv3d(_), _) => (
            "model.encoder.arch",
            "neither timm nor DINOv2 has 3D convolutions, so \"conv3d\" cannot be exported; \
             read encoder.safetensors of the checkpoint instead",
        ),
        (EncoderShape::ResNet18(ResNetShape { small_images: true }), _) => (
            "model.encoder.small_images",
            "timm has no ResNet-18 with this first convolution, so it cannot be exported; read \
             encoder.safetensors of the checkpoint instead",
        ),
        (EncoderShape::ResNet18(_), Layout::Dinov2) => {
            ("model.encoder.arch", "DINOv2 has no ResNet; export with the names of timm")
        }
        (EncoderShape::Vit(VitShape { grid: [rows, columns], .. }), Layout::Dinov2)
            if rows != columns =>
        {
            ("pipeline.size", "DINOv2 needs square frames; export with the names of timm")
        }
        _ => return Ok(()),
    };
    Err(Error::Config { key: key.into(), message: message.into() })
}

/// The tensors that only DINOv2's ViT has, with values that have no effect.
fn only_dinov2(shape: &VitShape) -> impl Iterator<Item = (String, Array)> {
    let VitShape { dim, depth, .. } = *shape;
    let scales = (0..depth).flat_map(|block| [1, 2].map(|idx| format!("blocks.{block}.ls{idx}")));
    let scales = scales.map(move |it| (format!("{it}.gamma"), Array::full(vec![dim], 1.0)));
    scales.chain([("mask_token".to_owned(), Array::full(vec![1, dim], 0.0))])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Precision;
    use crate::encoder::conv3d::Conv3dShape;

    #[test]
    fn an_encoder_that_the_other_program_lacks_is_refused_with_its_key() {
        let vit = |grid| {
            let precision = Precision::Float32;
            EncoderShape::Vit(VitShape { patch: 4, dim: 12, depth: 2, heads: 3, grid, precision })
        };
        let resnet = |small_images| EncoderShape::ResNet18(ResNetShape { small_images });
        let toy = EncoderShape::Conv3d(Conv3dShape { channels: [4; 5], frames: 2 });
        let (timm, dinov2) = (Layout::Timm, Layout::Dinov2);
        for (shape, layout, key) in [
            (toy, timm, "model.encoder.arch"),
            (resnet(false), dinov2, "model.encoder.arch"),
            (resnet(true), timm, "model.encoder.small_images"),
            (vit([2, 3]), dinov2, "pipeline.size"),
        ] {
            let message = check(&shape, layout).unwrap_err().to_string();
            assert!(message.starts_with(key), "{message}");
        }
        for (shape, layout) in [(vit([2, 3]), timm), (vit([2, 2]), dinov2), (resnet(false), timm)] {
            check(&shape, layout).unwrap();
        }
    }
}
