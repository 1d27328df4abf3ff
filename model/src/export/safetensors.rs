//! Reads and writes weights as safetensors with PyTorch's names and layouts:
//! `blocks.0.attn.qkv.weight` is `[out, in]`, as in DINOv2 and timm.

use std::path::Path;

use burn::module::Module;
use burn::store::{BurnToPyTorchAdapter, ModuleSnapshot, PyTorchToBurnAdapter, SafetensorsStore};

use crate::{Error, Result};

/// Writes all weights of `network` to `path`, through a temporary file that is renamed.
///
/// # Errors
/// The file cannot be written.
pub fn save<M: Module>(network: &M, path: &Path) -> Result<()> {
    let temporary = path.with_extension("tmp");
    let mut store = SafetensorsStore::from_file(&temporary)
        .overwrite(true)
        .skip_enum_variants(true)
        .with_to_adapter(BurnToPyTorchAdapter);
    network.save_into(&mut store).map_err(|err| write_error(path, err))?;
    let synced = std::fs::File::open(&temporary).and_then(|file| file.sync_all());
    synced.and_then(|()| std::fs::rename(&temporary, path)).map_err(|err| write_error(path, err))
}

/// Reads all weights of `network` from `path`.
///
/// # Errors
/// The file cannot be read, or a weight is missing in it.
pub fn load<M: Module>(network: M, path: &Path) -> Result<M> {
    let store = SafetensorsStore::from_file(path);
    load_store(network, store).map_err(|message| error(path, message))
}

/// Reads all weights of `network` from a store, which may hold other tensors too.
pub(crate) fn load_store<M: Module>(
    mut network: M,
    store: SafetensorsStore,
) -> std::result::Result<M, String> {
    let mut store =
        store.with_from_adapter(PyTorchToBurnAdapter).allow_partial(true).skip_enum_variants(true);
    let read = network.load_from(&mut store).map_err(|err| err.to_string())?;
    if !read.errors.is_empty() || !read.missing.is_empty() {
        return Err(format!(
            "weights are missing ({:?}) or do not fit ({:?}); the file is of another network: use one \
             of a run with the same [model] config",
            read.missing, read.errors
        ));
    }
    Ok(network)
}

/// An error about a file of weights that cannot be written.
pub(crate) fn write_error(path: &Path, cause: impl std::fmt::Display) -> Error {
    let advice = "check the folder, and that its disk has room";
    error(path, format!("cannot be written: {cause}; {advice}"))
}

/// An error about a file of weights.
pub(crate) fn error(path: &Path, message: impl ToString) -> Error {
    Error::Weights { path: path.into(), message: message.to_string() }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution, Tensor};

    use super::*;
    use crate::{Init, Precision, VitShape};

    #[test]
    fn a_saved_encoder_gives_the_same_tokens_after_loading() {
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
        let distance =
            |tokens: Tensor<3>| -> f32 { (tokens - wanted.clone()).abs().max().into_scalar() };
        assert!(distance(other.forward(images.clone())) > 1e-3, "two seeds give the same weights");
        let loaded = load(other, &path).unwrap();
        assert!(distance(loaded.forward(images)) < 1e-6);
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
