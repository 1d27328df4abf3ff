//! A state dict as in PyTorch: the tensors of a safetensors file by name, in float32 and PyTorch's
//! layout.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use burn::module::Module;
use burn::store::{BurnToPyTorchAdapter, ModuleSnapshot, SafetensorsStore};
use burn::tensor::{DType, TensorData};
use safetensors::tensor::{Dtype, SafeTensors, TensorView, View, serialize, serialize_to_file};

use super::safetensors::load_store;

/// Prefixes of the frame encoder's names among a student's networks. In a file of an encoder alone
/// there is no prefix.
const PREFIXES: [&str; 5] =
    ["", "encoder.", "branch.encoder.", "frame_encoder.", "tdv.frame_encoder."];

/// Tensors by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct StateDict(pub(crate) BTreeMap<String, Array>);

/// A tensor in memory.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Array {
    pub(crate) shape: Vec<usize>,
    /// In row-major order.
    pub(crate) values: Vec<f32>,
}

impl Array {
    /// `value` everywhere.
    pub(crate) fn full(shape: Vec<usize>, value: f32) -> Self {
        let values = vec![value; shape.iter().product()];
        Self { shape, values }
    }
}

impl StateDict {
    /// The weights of a network.
    pub(crate) fn of(network: &impl Module) -> Self {
        let mut store = SafetensorsStore::from_bytes(None)
            .skip_enum_variants(true)
            .with_to_adapter(BurnToPyTorchAdapter);
        let saved = network.save_into(&mut store).and_then(|()| store.get_bytes());
        Self::parse(&saved.expect("writing to memory")).expect("just written")
    }

    /// Reads a file. Tensors of integers are left out, such as torchvision's `num_batches_tracked`.
    ///
    /// # Errors
    /// The file cannot be read, or is not a safetensors file.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let bytes = std::fs::read(path).map_err(|err| format!("cannot be read: {err}"))?;
        Self::parse(&bytes).map_err(|err| format!("is not a safetensors file: {err}"))
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let tensors = SafeTensors::deserialize(bytes).map_err(|err| err.to_string())?;
        let floats = tensors.iter().filter_map(|(name, view)| {
            Some((name.to_owned(), Array { shape: view.shape().to_vec(), values: floats(&view)? }))
        });
        Ok(Self(floats.collect()))
    }

    /// Writes a file that PyTorch programs read, through a temporary file that is renamed.
    pub(crate) fn write(&self, path: &Path) -> std::io::Result<()> {
        let temporary = path.with_extension("tmp");
        let format = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        serialize_to_file(&self.0, Some(format), &temporary).map_err(std::io::Error::other)?;
        std::fs::File::open(&temporary)?.sync_all()?;
        std::fs::rename(&temporary, path)
    }

    /// `network` with these weights.
    ///
    /// # Errors
    /// A weight is missing or has another shape.
    pub(crate) fn fill<M: Module>(&self, network: M) -> Result<M, String> {
        let bytes = serialize(&self.0, None).map_err(|err| err.to_string())?;
        load_store(network, SafetensorsStore::from_bytes(Some(bytes)))
    }

    /// The frame encoder's tensors among those of a student, with the names of `wanted`.
    pub(crate) fn encoder(self, wanted: &Self) -> Self {
        let prefix = self.encoder_prefix(wanted);
        let inside = self.0.into_iter().filter_map(|(name, array)| {
            name.strip_prefix(prefix).map(|name| (name.to_owned(), array))
        });
        Self(inside.collect())
    }

    /// The prefix under which the most names of `wanted` are found.
    pub(crate) fn encoder_prefix(&self, wanted: &Self) -> &'static str {
        let missing = |prefix: &&str| {
            let has = |name: &str| self.0.contains_key(&format!("{prefix}{name}"));
            wanted.0.keys().filter(|name| !has(name)).count()
        };
        PREFIXES.into_iter().min_by_key(missing).unwrap_or_default()
    }

    /// Checks that names and shapes are those of `wanted`.
    ///
    /// # Errors
    /// The first tensor that is missing, unknown or of another shape.
    pub(crate) fn check(&self, wanted: &Self) -> Result<(), String> {
        let missing: Vec<_> = wanted.0.keys().filter(|name| !self.0.contains_key(*name)).collect();
        if let Some(first) = missing.first() {
            let (count, all) = (missing.len(), wanted.0.len());
            return Err(format!(
                "lacks {count} of {all} tensors of this encoder, such as {first:?}"
            ));
        }
        for (name, Array { shape, .. }) in &self.0 {
            match wanted.0.get(name) {
                None => return Err(format!("has {name:?}, which this encoder does not have")),
                Some(it) if it.shape != *shape => {
                    return Err(format!("has {name:?} of shape {shape:?}, not {:?}", it.shape));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }
}

impl View for &Array {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        self.values.iter().flat_map(|it| it.to_le_bytes()).collect()
    }

    fn data_len(&self) -> usize {
        4 * self.values.len()
    }
}

/// The values as float32, unless they are integers.
fn floats(view: &TensorView<'_>) -> Option<Vec<f32>> {
    let dtype = match view.dtype() {
        Dtype::F64 => DType::F64,
        Dtype::F32 => DType::F32,
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::BF16,
        _ => return None,
    };
    let data = TensorData::from_bytes_vec(view.data().to_vec(), view.shape().to_vec(), dtype);
    data.convert::<f32>().try_into_vec().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrays(names: &[&str]) -> StateDict {
        let ones = |name: &&str| ((*name).to_owned(), Array::full(vec![1], 1.0));
        StateDict(names.iter().map(ones).collect())
    }

    #[test]
    fn the_frame_encoder_is_found_among_similar_networks() {
        let student = arrays(&[
            "frame_encoder.norm.bias",
            "frame_encoder.norm.weight",
            "head.norm.weight",
            "motion_encoder.norm.bias",
            "motion_encoder.norm.weight",
        ]);
        let wanted = arrays(&["norm.bias", "norm.weight"]);
        assert_eq!(student.encoder(&wanted).0, wanted.0);
    }

    #[test]
    fn a_tensor_that_does_not_fit_is_named() {
        let wanted = arrays(&["a", "b"]);
        let check = |names: &[&str]| arrays(names).check(&wanted);
        assert_eq!(check(&["a", "b"]), Ok(()));
        assert!(
            check(&["b"])
                .unwrap_err()
                .contains("lacks 1 of 2 tensors of this encoder, such as \"a\"")
        );
        assert!(check(&["a", "b", "reg_token"]).unwrap_err().contains("\"reg_token\""));
        let mut longer = arrays(&["a", "b"]);
        longer.0.insert("b".into(), Array::full(vec![2, 3], 0.0));
        let message = longer.check(&wanted).unwrap_err();
        assert_eq!(message, "has \"b\" of shape [2, 3], not [1]");
    }

    #[test]
    fn half_precision_is_read_and_integers_are_left_out() {
        let view = |dtype, bytes| TensorView::new(dtype, vec![1], bytes).unwrap();
        let (half, brain, count) = ([0x00, 0x3e], [0xc0, 0x3f], [7; 8]);
        let tensors = [
            ("half", view(Dtype::F16, &half)),
            ("brain", view(Dtype::BF16, &brain)),
            ("count", view(Dtype::I64, &count)),
        ];
        let read = StateDict::parse(&serialize(tensors, None).unwrap()).unwrap();
        let wanted = Array { shape: vec![1], values: vec![1.5] };
        assert_eq!(read.0, ["brain", "half"].map(|it| (it.to_owned(), wanted.clone())).into());
    }
}
