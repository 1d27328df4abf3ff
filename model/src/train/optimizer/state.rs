//! An optimizer's moments as a file.
//!
//! Burn keys them by numbers that are drawn anew in every process. A file names them by the
//! parameters that they belong to: `frame_encoder.norm.gamma/momentum.moment_1`, in Burn's layout.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn::tensor::{Bytes, TensorData};
use burn_pack::{Reader, Scalar, Writer};
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::nn::parameters;
use crate::train::state::tensors::{Kept, within};

/// What of an optimizer is no tensor, by parameter.
#[derive(Debug, Default, Deserialize, Serialize)]
struct Numbers {
    scalars: BTreeMap<String, Scalar>,
    /// Where the optimizer met a parameter.
    paths: BTreeMap<String, String>,
}

/// Writes the moments that `optimizer` keeps of `network`'s parameters.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn save<M: Module>(optimizer: &ModuleOptimizer, network: &M, path: &Path) -> Result<()> {
    let kept = within(path, named(optimizer, network))?;
    kept.write(path)
}

/// Reads what [`save`] wrote, for a network of the same shape.
///
/// # Errors
/// The file cannot be read, or is of another network.
pub(crate) fn load<M: Module>(
    optimizer: ModuleOptimizer,
    network: &M,
    path: &Path,
) -> Result<ModuleOptimizer> {
    let record = within(path, numbered(Kept::read(path)?, network))?;
    within(path, optimizer.from_bytes(record).map_err(|err| err.to_string()))
}

fn named<M: Module>(optimizer: &ModuleOptimizer, network: &M) -> std::result::Result<Kept, String> {
    let names: HashMap<u64, String> =
        parameters::named(network).into_iter().map(|(name, id)| (id.val(), name)).collect();
    let bytes = optimizer.into_bytes().map_err(|err| err.to_string())?;
    let record = Reader::from_bytes(bytes).map_err(|err| err.to_string())?;
    let rename = |key: &str| exchange(key, ('.', '/'), |id| names.get(&id.parse().ok()?).cloned());
    let mut numbers = Numbers::default();
    for (key, value) in record.scalars() {
        numbers.scalars.insert(rename(key)?, *value);
    }
    for (id, path) in record.metadata() {
        let name = id.parse().ok().and_then(|it| names.get(&it));
        let name = name.ok_or_else(|| format!("no parameter has the number {id}"))?;
        numbers.paths.insert(name.clone(), path.clone());
    }
    let note = serde_json::to_string(&numbers).map_err(|err| err.to_string())?;
    let mut kept = Kept::noted(note);
    for tensor in record.into_tensors().map_err(|err| err.to_string())? {
        let (name, dtype, shape, _, bytes) = tensor.into_parts().map_err(|err| err.to_string())?;
        kept.put_data(rename(&name)?, TensorData::from_bytes(bytes, shape, dtype));
    }
    Ok(kept)
}

fn numbered<M: Module>(kept: Kept, network: &M) -> std::result::Result<Bytes, String> {
    let ids: HashMap<String, u64> =
        parameters::named(network).into_iter().map(|(name, id)| (name, id.val())).collect();
    let numbers: Numbers = serde_json::from_str(&kept.note).map_err(|err| err.to_string())?;
    let id = |name: &str| ids.get(name).map(u64::to_string);
    let rename = |key: &str| exchange(key, ('/', '.'), id);
    let mut tensors = Vec::new();
    for (name, data) in kept.into_tensors() {
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

/// `owner<from>field` with another owner, as `owner<to>field`.
fn exchange(
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
