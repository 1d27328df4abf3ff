//! Imports weights that a frame encoder starts from: of timm, DINOv2, torchvision or this crate.

use std::path::Path;

use crate::encoder::config_error;
use crate::encoder::vit::VitShape;
use crate::export::state_dict::{Array, StateDict};
use crate::{Arch, EncoderConfig, EncoderShape, Error, Init, Result, device};

mod positions;

/// Tensors of other programs that an encoder does not need: classifiers and the mask token.
const IGNORED_PREFIXES: [&str; 3] = ["head.", "fc.", "mask_token"];

/// The weights that an encoder of these dimensions starts from, or none where the config names no
/// file.
///
/// # Errors
/// The file cannot be read or does not fit, or `frozen` is set for an encoder that cannot be frozen.
pub(crate) fn weights(config: &EncoderConfig, shape: &EncoderShape) -> Result<Option<StateDict>> {
    if config.frozen && config.weights.is_none() {
        return Err(config_error(
            "frozen",
            "needs trained weights; set model.encoder.weights, or remove frozen",
        ));
    }
    if config.frozen && config.arch != Arch::Vit {
        let message = "only a ViT can be frozen, because batch norms would still change; use \
                       arch = \"vit\", or remove frozen";
        return Err(config_error("frozen", message));
    }
    config.weights.as_ref().map(|path| read(path, shape)).transpose()
}

/// The weights in a file, adapted to an encoder: the encoder is taken out of a student's networks,
/// positions of another grid are interpolated, and LayerScale is multiplied into the layer before.
///
/// # Errors
/// The file cannot be read, or a tensor is missing or has another shape.
fn read(path: &Path, shape: &EncoderShape) -> Result<StateDict> {
    fit(path, shape).map_err(|message| Error::Config {
        key: "model.encoder.weights".into(),
        message: format!(
            "{path:?} {message}; name a safetensors file of this architecture and size"
        ),
    })
}

fn fit(path: &Path, shape: &EncoderShape) -> std::result::Result<StateDict, String> {
    let read = StateDict::read(path)?;
    let wanted = StateDict::of(&shape.init(&mut Init::new(0, &device::cpu())));
    let mut found = read.encoder(&wanted);
    found.0.retain(|name, _| !IGNORED_PREFIXES.iter().any(|it| name.starts_with(it)));
    if let EncoderShape::Vit(vit) = shape {
        fold_layer_scale(&mut found);
        fit_positions(&mut found, vit)?;
    }
    found.check(&wanted)?;
    Ok(found)
}

/// Multiplies LayerScale into the layer before it: x + γ (W y + b) is x + (γ W) y + γ b.
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

/// Multiplies each row of `[out, ..]` with its factor.
fn scale_rows(array: &mut Array, factors: &[f32]) {
    let row = (array.values.len() / factors.len().max(1)).max(1);
    for (row, factor) in array.values.chunks_mut(row).zip(factors) {
        row.iter_mut().for_each(|it| *it *= factor);
    }
}

/// Interpolates positions `[1, 1 + patches, dim]` of a square grid to the grid of `wanted`. If the
/// number of positions is the same, they stay as they are.
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
            "has {tokens} positions, which are not [CLS] and a square grid of patches and so cannot \
             be interpolated to [CLS] and {rows} x {columns} patches"
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
