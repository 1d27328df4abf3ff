//! An optimizer's moments as a file.
//!
//! Burn's keys are numbers that differ in every process. The file has the names of the parameters
//! in their place: `frame_encoder.norm.gamma/momentum.moment_1`, in Burn's layout.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn::tensor::{Bytes, TensorData};
use burn_pack::{Reader, Scalar, Writer};
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::nn::parameters;
use crate::train::state::{SavedState, in_file};

/// The optimizer's state apart from tensors, by parameter.
#[derive(Debug, Default, Deserialize, Serialize)]
struct Numbers {
    scalars: BTreeMap<String, Scalar>,
    /// The path under which the optimizer knows a parameter.
    paths: BTreeMap<String, String>,
}

/// Writes the moments of `network`'s parameters.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn save<M: Module>(optimizer: &ModuleOptimizer, network: &M, path: &Path) -> Result<()> {
    in_file(path, named(optimizer, network))?.write(path)
}

/// Reads what [`save`] wrote, for a network of the same shape.
///
/// # Errors
/// The file cannot be read, or belongs to another network.
pub(crate) fn load<M: Module>(
    optimizer: ModuleOptimizer,
    network: &M,
    path: &Path,
) -> Result<ModuleOptimizer> {
    let record = in_file(path, numbered(SavedState::read(path)?, network))?;
    in_file(path, optimizer.from_bytes(record).map_err(|err| err.to_string()))
}

fn named<M: Module>(
    optimizer: &ModuleOptimizer,
    network: &M,
) -> std::result::Result<SavedState, String> {
    let names: HashMap<u64, String> =
        parameters::named(network).into_iter().map(|(name, id)| (id.val(), name)).collect();
    let bytes = optimizer.into_bytes().map_err(|err| err.to_string())?;
    let record = Reader::from_bytes(bytes).map_err(|err| err.to_string())?;
    let rename =
        |key: &str| rename_owner(key, ('.', '/'), |id| names.get(&id.parse().ok()?).cloned());
    let mut numbers = Numbers::default();
    for (key, value) in record.scalars() {
        numbers.scalars.insert(rename(key)?, *value);
    }
    for (id, path) in record.metadata() {
        let name = id.parse().ok().and_then(|it| names.get(&it));
        let name = name.ok_or_else(|| format!("no parameter has the id {id}"))?;
        numbers.paths.insert(name.clone(), path.clone());
    }
    let text = serde_json::to_string(&numbers).map_err(|err| err.to_string())?;
    let mut state = SavedState::new(text);
    for tensor in record.into_tensors().map_err(|err| err.to_string())? {
        let (name, dtype, shape, _, bytes) = tensor.into_parts().map_err(|err| err.to_string())?;
        state.put_data(rename(&name)?, TensorData::from_bytes(bytes, shape, dtype));
    }
    Ok(state)
}

fn numbered<M: Module>(state: SavedState, network: &M) -> std::result::Result<Bytes, String> {
    let ids: HashMap<String, u64> =
        parameters::named(network).into_iter().map(|(name, id)| (name, id.val())).collect();
    let numbers: Numbers = serde_json::from_str(&state.text).map_err(|err| err.to_string())?;
    let id = |name: &str| ids.get(name).map(u64::to_string);
    let rename = |key: &str| rename_owner(key, ('/', '.'), id);
    let mut tensors = Vec::new();
    for (name, data) in state.into_tensors() {
        let name = rename(&name)?;
        let owner = name.split('.').next().and_then(|it| it.parse().ok());
        let (bytes, shape, dtype) = data.into_parts();
        tensors.push(burn_pack::Tensor::new(name, dtype, shape, owner, bytes));
    }
    let mut writer = Writer::new(tensors);
    for (key, value) in &numbers.scalars {
        writer = writer.with_scalar(&rename(key)?, *value);
    }
    for (name, path) in &numbers.paths {
        let id = id(name).ok_or_else(|| format!("no parameter is called {name:?}"))?;
        writer = writer.with_metadata(&id, path);
    }
    writer.into_bytes().map_err(|err| err.to_string())
}

/// `owner<from>field` with the owner's other name, as `owner<to>field`.
fn rename_owner(
    key: &str,
    (from, to): (char, char),
    other: impl Fn(&str) -> Option<String>,
) -> std::result::Result<String, String> {
    let renamed = key.split_once(from).and_then(|(owner, field)| {
        let owner = other(owner)?;
        Some(format!("{owner}{to}{field}"))
    });
    renamed.ok_or_else(|| format!("{key:?} belongs to no parameter of this network"))
}
