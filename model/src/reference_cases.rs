//! Reads the reference cases that tests compare with: numbers computed by the authors' code. They
//! are in `tests/reference`, or in the folder that `ONWARD_REFERENCE_DIR` names, and run on the
//! device that `ONWARD_TEST_DEVICE` names.
//!
//! A case is `NAME.json`, `NAME_inputs.safetensors` and `NAME_expected.safetensors`. Sizes come from
//! the JSON, not from the tests.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::store::{ModuleSnapshot as _, PyTorchToBurnAdapter, SafetensorsStore};
use burn::tensor::{Device, Tensor, TensorData};
use safetensors::SafeTensors;
use serde_json::Value;

use crate::DeviceChoice;
use crate::nn::parameters::is_statistic;

/// The device that tests run on.
pub(crate) fn device() -> Device {
    let name = std::env::var("ONWARD_TEST_DEVICE").unwrap_or_else(|_| "cpu".into());
    DeviceChoice::try_from(name).unwrap().open().unwrap()
}

/// The JSON files for which `wanted` holds, in alphabetical order: from the folder that the
/// environment names, or from `tests/reference` if that folder has none.
pub(crate) fn json_files(wanted: impl Fn(&Value) -> bool) -> Vec<(PathBuf, Value)> {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/reference");
    let theirs = std::env::var_os("ONWARD_REFERENCE_DIR").map(PathBuf::from);
    for folder in theirs.into_iter().chain([ours]) {
        let mut paths: Vec<_> =
            fs::read_dir(&folder).unwrap().map(|it| it.unwrap().path()).collect();
        paths.retain(|it| it.extension().is_some_and(|it| it == "json"));
        paths.sort();
        let read = |path: PathBuf| {
            let json = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            (path, json)
        };
        let found: Vec<_> = paths.into_iter().map(read).filter(|it| wanted(&it.1)).collect();
        if !found.is_empty() {
            return found;
        }
    }
    panic!("no reference folder has a case of this kind");
}

/// A tensor below this fraction of its group (the tensors of the same network) is zero but for
/// rounding: with a tolerance of 1e-4, a few units in the last place of the group.
const ZERO: f32 = 1e-2;

/// A reference case of a method.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) json: Value,
    inputs: PathBuf,
    expected: BTreeMap<String, Vec<f32>>,
}

/// All cases for which `wanted` holds.
pub(crate) fn cases(wanted: impl Fn(&Value) -> bool) -> Vec<Case> {
    let files = json_files(wanted).into_iter();
    let cases = files.map(|(path, json)| {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let beside = |suffix: &str| path.with_file_name(format!("{name}_{suffix}.safetensors"));
        let (inputs, expected) = (beside("inputs"), beside("expected"));
        let expected = tensors(&expected).into_iter().map(|(name, (_, it))| (name, it)).collect();
        Case { name, json, inputs, expected }
    });
    cases.collect()
}

fn tensors(path: &Path) -> BTreeMap<String, (Vec<usize>, Vec<f32>)> {
    let bytes = fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let floats = |bytes: &[u8]| {
        bytes.chunks_exact(4).map(|it| f32::from_le_bytes(it.try_into().unwrap())).collect()
    };
    let tensors = file.tensors().into_iter();
    tensors.map(|(name, it)| (name, (it.shape().to_vec(), floats(it.data())))).collect()
}

/// `network` with the weights of a store; `renamed` maps their names to Burn's. Cases have no
/// running statistics.
pub(crate) fn load<M: Module>(
    mut network: M,
    store: SafetensorsStore,
    renamed: &[(&str, &str)],
) -> M {
    let store = store
        .map_indices_contiguous(false)
        .with_from_adapter(PyTorchToBurnAdapter)
        .allow_partial(true);
    let mut store =
        renamed.iter().fold(store, |store, (torch, burn)| store.with_key_remapping(torch, *burn));
    let read = network.load_from(&mut store).unwrap();
    let mut missing: Vec<_> = read.missing.iter().map(|it| format!("{it:?}")).collect();
    missing.retain(|it| !it.contains("running_"));
    assert!(read.errors.is_empty() && missing.is_empty(), "{:?} {missing:?}", read.errors);
    network
}

impl Case {
    pub(crate) fn number(&self, pointer: &str) -> f64 {
        let value = self.json.pointer(pointer).and_then(Value::as_f64);
        value.unwrap_or_else(|| panic!("{}: no {pointer}", self.name))
    }

    pub(crate) fn text(&self, key: &str) -> &str {
        self.json[key].as_str().unwrap_or_else(|| panic!("{}: no {key}", self.name))
    }

    /// The input of that name.
    pub(crate) fn input<const D: usize>(&self, name: &str, device: &Device) -> Tensor<D> {
        let all = tensors(&self.inputs);
        let (shape, values) =
            all.get(name).unwrap_or_else(|| panic!("{}: no input {name}", self.name));
        Tensor::from_data(TensorData::new::<f32, _>(values.clone(), shape.clone()), device)
    }

    /// `network` with the weights of the case; `renamed` maps their names to Burn's.
    pub(crate) fn load<M: Module>(&self, network: M, renamed: &[(&str, &str)]) -> M {
        load(network, SafetensorsStore::from_file(&self.inputs), renamed)
    }

    /// Checks that the largest |difference| divided by the largest |expected| is at most
    /// `tolerance`. A tensor that is zero but for rounding, such as the gradient of a shift before a
    /// batch norm, is divided by the largest of its group: the tensors whose names start alike.
    pub(crate) fn assert_close<const D: usize>(&self, key: &str, got: Tensor<D>, tolerance: f64) {
        let got: Vec<f32> = got.into_data().try_to_vec().unwrap();
        let wanted = self.expected.get(key).unwrap_or_else(|| panic!("no expected {key}"));
        assert_eq!(got.len(), wanted.len(), "{}: {key} has another size", self.name);
        let largest = |values: &mut dyn Iterator<Item = f32>| values.fold(0.0, f32::max);
        let group = key.split('.').next().unwrap();
        let group = self.expected.iter().filter(|it| it.0.split('.').next() == Some(group));
        let group = largest(&mut group.flat_map(|it| it.1).map(|it| it.abs()));
        let scale = largest(&mut wanted.iter().map(|it| it.abs())).max(ZERO * group);
        let off = largest(&mut got.iter().zip(wanted).map(|(a, b)| (a - b).abs())) / scale;
        let sound = got.iter().all(|it| it.is_finite());
        assert!(sound && f64::from(off) <= tolerance, "{}: {key} is off by {off:e}", self.name);
    }

    pub(crate) fn assert_number(&self, pointer: &str, got: f64, tolerance: f64) {
        let wanted = self.number(pointer);
        let off = (got - wanted).abs() / wanted.abs();
        assert!(off <= tolerance, "{}: {pointer} is {got}, not {wanted}: {off:e}", self.name);
    }

    /// Number of expected tensors whose names start with `prefix`.
    pub(crate) fn expects(&self, prefix: &str) -> usize {
        self.expected.keys().filter(|it| it.starts_with(prefix)).count()
    }

    /// Whether the case expects a tensor of that name.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.expected.contains_key(key)
    }

    /// Compares the gradient of each parameter of `network` with the expected one. Its name is
    /// `prefix` and the parameter's path, which `torch` maps from Burn's to PyTorch's. Gives the names
    /// that were compared.
    pub(crate) fn compare_gradients<M: Module>(
        &self,
        network: &M,
        grads: &GradientsParams,
        prefix: &str,
        torch: impl Fn(&str) -> String,
    ) -> BTreeSet<String> {
        let mut compare =
            Compare { case: self, grads, prefix, torch, path: vec![], compared: BTreeSet::new() };
        network.visit(&mut compare);
        compare.compared
    }
}

struct Compare<'a, F> {
    case: &'a Case,
    grads: &'a GradientsParams,
    prefix: &'a str,
    torch: F,
    path: Vec<String>,
    compared: BTreeSet<String>,
}

impl<F: Fn(&str) -> String> ModuleVisitor for Compare<'_, F> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if is_statistic(self.path.last().unwrap()) {
            return;
        }
        let path = self.path.join(".").replace("gamma", "weight").replace("beta", "bias");
        let path = (self.torch)(&path);
        let grad = self.grads.get::<D>(param.id).unwrap_or_else(|| panic!("no gradient of {path}"));
        let transposed = D == 2 && path.ends_with("weight");
        let grad = if transposed { grad.swap_dims(0, 1) } else { grad };
        let key = format!("{}{path}", self.prefix);
        self.case.assert_close(&key, grad, 1e-4);
        assert!(self.compared.insert(key), "{path} was compared before");
    }
}
