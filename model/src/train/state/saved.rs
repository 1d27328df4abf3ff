//! Tensors by name, and a text, in a safetensors file.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use burn::tensor::{DType, Device, Tensor, TensorData};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use crate::export::safetensors::{error, write_error};
use crate::{Error, Result};

/// Tensors by name, and a text.
#[derive(Debug)]
pub(crate) struct SavedState {
    tensors: BTreeMap<String, TensorData>,
    pub(crate) text: String,
}

/// The key of the text in the file's metadata.
const TEXT: &str = "onward";

impl SavedState {
    /// A text without tensors.
    pub(crate) fn new(text: String) -> Self {
        Self { tensors: BTreeMap::new(), text }
    }

    /// Adds a tensor.
    pub(crate) fn put<const D: usize>(&mut self, name: &str, tensor: Tensor<D>) {
        self.put_data(name.to_owned(), tensor.into_data());
    }

    /// Adds a tensor that is on the host.
    pub(crate) fn put_data(&mut self, name: String, data: TensorData) {
        self.tensors.insert(name, data);
    }

    /// Names in alphabetical order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Removes the tensor of that name, and gives it on `device`.
    ///
    /// # Errors
    /// There is none, or it has another rank.
    pub(crate) fn take<const D: usize>(
        &mut self,
        name: &str,
        device: &Device,
    ) -> std::result::Result<Tensor<D>, String> {
        let data = self.tensors.remove(name).ok_or_else(|| format!("lacks {name:?}"))?;
        if data.shape().len() != D {
            return Err(format!("{name:?} has the shape {:?}, not {D} dimensions", data.shape()));
        }
        Ok(Tensor::from_data(data, device))
    }

    /// All tensors with their names.
    pub(crate) fn into_tensors(self) -> impl Iterator<Item = (String, TensorData)> {
        self.tensors.into_iter()
    }

    /// Writes the file `path`.
    ///
    /// # Errors
    /// The file cannot be written, or a tensor has a number format that is not a float.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let wrong = |message: String| error(path, message);
        let views = self.tensors.iter().map(|(name, data)| {
            let dtype =
                stored(data.dtype()).ok_or_else(|| format!("{name:?}: {:?}", data.dtype()))?;
            let shape = data.shape().to_vec();
            let view = TensorView::new(dtype, shape, data.as_bytes());
            Ok((name.as_str(), view.map_err(|err| err.to_string())?))
        });
        let views = views.collect::<std::result::Result<Vec<_>, String>>().map_err(wrong)?;
        let text = HashMap::from([(TEXT.to_owned(), self.text.clone())]);
        safetensors::serialize_to_file(views, Some(text), path)
            .map_err(|err| write_error(path, err))
    }

    /// Reads what [`SavedState::write`] wrote.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).map_err(|err| error(path, err))?;
        Self::parse(&bytes).map_err(|message| error(path, message))
    }

    fn parse(bytes: &[u8]) -> std::result::Result<Self, String> {
        let message = |err: safetensors::SafeTensorError| err.to_string();
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(message)?;
        let text = header.metadata().as_ref().and_then(|it| it.get(TEXT)).cloned();
        let file = SafeTensors::deserialize(bytes).map_err(message)?;
        let mut tensors = BTreeMap::new();
        for (name, view) in file.iter() {
            let dtype =
                loaded(view.dtype()).ok_or_else(|| format!("{name:?}: {}", view.dtype()))?;
            let data = TensorData::from_bytes_vec(view.data().to_vec(), view.shape(), dtype);
            tensors.insert(name.to_owned(), data);
        }
        Ok(Self { tensors, text: text.unwrap_or_default() })
    }
}

/// Makes an error of the file `path` of a message.
pub(crate) fn in_file<T>(path: &Path, found: std::result::Result<T, String>) -> Result<T> {
    found.map_err(|message| Error::Weights { path: path.into(), message })
}

fn stored(dtype: DType) -> Option<Dtype> {
    match dtype {
        DType::F64 => Some(Dtype::F64),
        DType::F32 => Some(Dtype::F32),
        DType::BF16 => Some(Dtype::BF16),
        DType::F16 => Some(Dtype::F16),
        _ => None,
    }
}

fn loaded(dtype: Dtype) -> Option<DType> {
    match dtype {
        Dtype::F64 => Some(DType::F64),
        Dtype::F32 => Some(DType::F32),
        Dtype::BF16 => Some(DType::BF16),
        Dtype::F16 => Some(DType::F16),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_come_back_bit_for_bit() {
        let device = Device::flex();
        let path = tempfile::tempdir().unwrap().keep().join("state.safetensors");
        let mut state = SavedState::new("step 3".into());
        state.put("a", Tensor::<2>::from_floats([[0.1, f32::MIN_POSITIVE], [-0.0, 3e38]], &device));
        state.put("b/c", Tensor::<1>::from_floats([1.0 / 3.0], &device));
        state.write(&path).unwrap();
        let mut read = SavedState::read(&path).unwrap();
        assert_eq!(
            (read.text.as_str(), read.names().collect::<Vec<_>>()),
            ("step 3", vec!["a", "b/c"])
        );
        let bits = |it: Tensor<2>| -> Vec<u32> {
            it.into_data().try_to_vec::<f32>().unwrap().into_iter().map(f32::to_bits).collect()
        };
        let wanted = [0.1, f32::MIN_POSITIVE, -0.0, 3e38].map(f32::to_bits);
        assert_eq!(bits(read.take("a", &device).unwrap()), wanted);
        assert!(read.take::<2>("b/c", &device).unwrap_err().contains("b/c"));
        assert!(read.take::<1>("d", &device).unwrap_err().contains("d"));
    }
}
