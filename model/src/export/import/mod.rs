//! Weights that a frame encoder starts from: timm's, DINOv2's, torchvision's, or our own.

use std::path::Path;

use crate::encoder::error;
use crate::encoder::vit::VitShape;
use crate::export::state_dict::{Array, StateDict};
use crate::{Arch, EncoderConfig, EncoderShape, Error, Init, Result, device};

mod positions;

/// What other networks have that an encoder needs not: classifiers, and a token that hides patches.
const NEEDLESS: [&str; 3] = ["head.", "fc.", "mask_token"];

/// The weights that an encoder of these dimensions starts from, where a file has them.
///
/// # Errors
/// The file does not fit, or there is nothing that can be frozen.
pub(crate) fn weights(config: &EncoderConfig, shape: &EncoderShape) -> Result<Option<StateDict>> {
    if config.frozen && config.weights.is_none() {
        return Err(error("frozen", "without weights there is nothing worth keeping"));
    }
    if config.frozen && config.arch != Arch::Vit {
        let message = "only a ViT can be frozen: batch norms go on to follow the batches";
        return Err(error("frozen", message));
    }
    config.weights.as_ref().map(|path| read(path, shape)).transpose()
}

/// The weights in a file, made to fit an encoder: its own in a student's networks, positions of
/// another grid interpolated, and LayerScale multiplied into the layer before it.
///
/// # Errors
/// The file cannot be read, or is of another architecture: which tensor, and how it differs.
fn read(path: &Path, shape: &EncoderShape) -> Result<StateDict> {
    fit(path, shape).map_err(|message| Error::Config {
        key: "model.encoder.weights".into(),
        message: format!("{path:?} {message}"),
    })
}

fn fit(path: &Path, shape: &EncoderShape) -> std::result::Result<StateDict, String> {
    let read = StateDict::read(path)?;
    let wanted = StateDict::of(&shape.init(&mut Init::new(0, &device::host())));
    let mut found = read.encoder(&wanted);
    found.0.retain(|name, _| !NEEDLESS.iter().any(|it| name.starts_with(it)));
    if let EncoderShape::Vit(vit) = shape {
        fold_layer_scale(&mut found);
        fit_positions(&mut found, vit)?;
    }
    found.check(&wanted)?;
    Ok(found)
}

/// x + γ (W y + b) is x + (γ W) y + γ b.
fn fold_layer_scale(found: &mut StateDict) {
    for (scale, layer) in [(".ls1.gamma", ".attn.proj"), (".ls2.gamma", ".mlp.fc2")] {
        let names: Vec<_> = found.0.keys().filter(|it| it.ends_with(scale)).cloned().collect();
        for name in names {
            let Some(gamma) = found.0.remove(&name) else { continue };
            let block = name.trim_end_matches(scale);
            for part in ["weight", "bias"] {
                if let Some(array) = found.0.get_mut(&format!("{block}{layer}.{part}")) {
                    scale_rows(array, &gamma.values);
                }
            }
        }
    }
}

/// Multiplies row after row, `[out, ..]`, with a number each.
fn scale_rows(array: &mut Array, factors: &[f32]) {
    let row = (array.values.len() / factors.len().max(1)).max(1);
    for (row, factor) in array.values.chunks_mut(row).zip(factors) {
        row.iter_mut().for_each(|it| *it *= factor);
    }
}

/// Positions `[1, 1 + patches, dim]` of a square grid, for the grid that is wanted. As many as
/// are wanted are taken as they are.
fn fit_positions(found: &mut StateDict, wanted: &VitShape) -> std::result::Result<(), String> {
    let Some(Array { shape, values }) = found.0.get_mut("pos_embed") else { return Ok(()) };
    let [1, tokens, dim] = shape[..] else { return Ok(()) };
    if tokens == wanted.tokens() || tokens == 0 {
        return Ok(());
    }
    let side = (tokens - 1).isqrt();
    if side * side != tokens - 1 || side == 0 {
        let [rows, columns] = wanted.grid;
        return Err(format!(
            "has {tokens} positions, which are not [CLS] and a square of patches, and cannot be \
             interpolated to [CLS] and {rows} x {columns}"
        ));
    }
    let patches = positions::resample(&values[dim..], [side; 2], wanted.grid, dim);
    values.truncate(dim);
    values.extend(patches);
    *shape = vec![1, wanted.tokens(), dim];
    Ok(())
}

#[cfg(test)]
mod tests;
