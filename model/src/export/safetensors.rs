//! Weights as safetensors with PyTorch's names and layouts: `blocks.0.attn.qkv.weight` is
//! `[out, in]`, as DINOv2 and timm write it.

use std::path::Path;

use burn::module::Module;
use burn::store::{BurnToPyTorchAdapter, ModuleSnapshot, PyTorchToBurnAdapter, SafetensorsStore};

use crate::{Error, Result};

/// Writes all weights of `network` to `path`, by way of a temporary file.
///
/// # Errors
/// The file cannot be written.
pub fn save<M: Module>(network: &M, path: &Path) -> Result<()> {
    let whole = path.with_extension("tmp");
    let mut store = SafetensorsStore::from_file(&whole)
        .overwrite(true)
        .skip_enum_variants(true)
        .with_to_adapter(BurnToPyTorchAdapter);
    network.save_into(&mut store).map_err(|err| error(path, err))?;
    let synced = std::fs::File::open(&whole).and_then(|file| file.sync_all());
    synced.and_then(|()| std::fs::rename(&whole, path)).map_err(|err| error(path, err))
}

/// Reads all weights of `network` from `path`.
///
/// # Errors
/// The file cannot be read, or lacks one of the weights.
pub fn load<M: Module>(network: M, path: &Path) -> Result<M> {
    let store = SafetensorsStore::from_file(path);
    load_store(network, store).map_err(|message| error(path, message))
}

/// Reads all weights from a store that may hold more than those.
pub(crate) fn load_store<M: Module>(
    mut network: M,
    store: SafetensorsStore,
) -> std::result::Result<M, String> {
    let mut store =
        store.with_from_adapter(PyTorchToBurnAdapter).allow_partial(true).skip_enum_variants(true);
    let read = network.load_from(&mut store).map_err(|err| err.to_string())?;
    if !read.errors.is_empty() || !read.missing.is_empty() {
        return Err(format!("missing {:?}, errors {:?}", read.missing, read.errors));
    }
    Ok(network)
}

pub(crate) fn error(path: &Path, message: impl ToString) -> Error {
    Error::Weights { path: path.into(), message: message.to_string() }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution, Tensor};

    use super::*;
    use crate::{Init, Precision, VitShape};

    #[test]
    fn an_encoder_read_back_gives_the_same_tokens() {
        let device = Device::flex();
        let shape = VitShape {
            patch: 7,
            dim: 12,
            depth: 2,
            heads: 3,
            grid: [2, 3],
            precision: Precision::Float32,
        };
        let encoder = shape.init(&mut Init::new(1, &device));
        let path = tempfile::tempdir().unwrap().keep().join("encoder.safetensors");
        save(&encoder, &path).unwrap();
        let other = shape.init(&mut Init::new(2, &device));
        let images = Tensor::random([2, 3, 14, 21], Distribution::Normal(0.0, 1.0), &device);
        let wanted = encoder.forward(images.clone());
        let apart =
            |tokens: Tensor<3>| -> f32 { (tokens - wanted.clone()).abs().max().into_scalar() };
        assert!(apart(other.forward(images.clone())) > 1e-3, "the seeds give the same weights");
        let loaded = load(other, &path).unwrap();
        assert!(apart(loaded.forward(images)) < 1e-6);
        let names = std::fs::read(&path).unwrap();
        let names = safetensors::SafeTensors::deserialize(&names).unwrap();
        assert_eq!(names.tensor("blocks.0.attn.qkv.weight").unwrap().shape(), [36, 12]);
        assert_eq!(names.tensor("norm.weight").unwrap().shape(), [12]);
    }

    #[test]
    fn a_missing_weight_is_named() {
        let device = Device::flex();
        let mut init = Init::new(0, &device);
        let path = tempfile::tempdir().unwrap().keep().join("layer.safetensors");
        let mut without_bias = init.linear(4, 4);
        without_bias.bias = None;
        save(&without_bias, &path).unwrap();
        let message = load(init.linear(4, 4), &path).unwrap_err().to_string();
        assert!(message.contains("layer.safetensors") && message.contains("bias"), "{message}");
    }
}
