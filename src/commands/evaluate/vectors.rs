//! The vectors of all items, made once and kept for the next time.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::time::UNIX_EPOCH;

use anyhow::Context as _;
use evaluation::Vectors;
use pipeline::FileFrames;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use storage::disk::{sha256, write_atomically};
use tracing::{info, warn};

use super::data::DataSet;
use super::encoders::Encoder;

/// Items that a thread decodes before it encodes their frames together.
const ITEMS: usize = 8;

/// The vectors of one encoder.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct ItemVectors {
    dim: usize,
    values: Vec<f32>,
    /// The item of each vector, by its place in the data set.
    pub(super) items: Vec<usize>,
    /// Seconds from the beginning of the item.
    pub(super) times: Vec<f64>,
}

impl ItemVectors {
    /// The rows of the items that `keep` chooses, with their items.
    pub(super) fn filter(&self, keep: impl Fn(usize) -> bool) -> (Vectors, Vec<usize>) {
        let (mut values, mut items) = (Vec::new(), Vec::new());
        for (row, item) in self.values.chunks_exact(self.dim).zip(&self.items) {
            if keep(*item) {
                values.extend_from_slice(row);
                items.push(*item);
            }
        }
        (Vectors::new(self.dim, values), items)
    }
}

/// The vectors of every encoder, in their order. Files that cannot be decoded are named and left
/// out.
///
/// # Errors
/// No file can be decoded, or the cache cannot be written.
pub(super) fn of_items(
    data: &DataSet,
    frames: &FileFrames,
    encoders: &[Encoder],
    cache: &Path,
) -> anyhow::Result<Vec<ItemVectors>> {
    let inputs = fingerprint(data, frames)?;
    let path = |encoder: &Encoder| {
        cache.join(format!("{}.vectors", sha256(format!("{inputs}\n{}", encoder.identity))))
    };
    let mut known: HashMap<usize, ItemVectors> = HashMap::new();
    for (idx, encoder) in encoders.iter().enumerate() {
        if let Some(vectors) = read(&path(encoder)) {
            known.insert(idx, vectors);
        }
    }
    let missing: Vec<usize> = (0..encoders.len()).filter(|it| !known.contains_key(it)).collect();
    if !missing.is_empty() {
        let missing_encoders: Vec<&Encoder> = missing.iter().map(|it| &encoders[*it]).collect();
        let made = make(data, frames, &missing_encoders)?;
        fs::create_dir_all(cache)
            .with_context(|| format!("cannot create the cache {}", cache.display()))?;
        for (idx, vectors) in missing.into_iter().zip(made) {
            let path = path(&encoders[idx]);
            write_atomically(&path, postcard::to_stdvec(&vectors)?)
                .with_context(|| format!("cannot keep vectors in {}", cache.display()))?;
            known.insert(idx, vectors);
        }
    }
    Ok((0..encoders.len()).filter_map(|it| known.remove(&it)).collect())
}

/// Vectors that an earlier command made. A file that cannot be read is made again.
fn read(path: &Path) -> Option<ItemVectors> {
    postcard::from_bytes(&fs::read(path).ok()?).ok()
}

/// Tells apart inputs that give other vectors: files, their sizes and times, and what is read.
fn fingerprint(data: &DataSet, frames: &FileFrames) -> anyhow::Result<String> {
    let mut text = format!("{frames:?}\n");
    for item in &data.items {
        let metadata = fs::metadata(&item.path)
            .with_context(|| format!("cannot read {}", item.path.display()))?;
        let modified = metadata.modified().ok().and_then(|it| it.duration_since(UNIX_EPOCH).ok());
        text += &format!("{} {} {modified:?}\n", item.path.display(), metadata.len());
    }
    Ok(sha256(text))
}

fn make(
    data: &DataSet,
    frames: &FileFrames,
    encoders: &[&Encoder],
) -> anyhow::Result<Vec<ItemVectors>> {
    let failed = Mutex::new(0_usize);
    let numbered: Vec<_> = data.items.iter().enumerate().collect();
    let parts: Vec<_> = numbered
        .par_chunks(ITEMS)
        .map(|items| {
            let (mut pixels, mut owners) = (Vec::new(), Vec::new());
            for (idx, item) in items {
                match frames.read(&item.path) {
                    Ok(read) => {
                        owners.extend(read.iter().map(|it| (*idx, it.time)));
                        pixels.extend(read.into_iter().map(|it| it.pixels));
                    }
                    Err(err) => {
                        warn!("left out: {err}");
                        *failed.lock().expect("no thread panicked") += 1;
                    }
                }
            }
            let encoded = match pixels.is_empty() {
                true => Vec::new(),
                false => encoders.iter().map(|it| it.encode(&pixels, frames.size)).collect(),
            };
            (encoded, owners)
        })
        .collect();
    let failed = failed.into_inner().unwrap_or_default();
    let read = data.items.len() - failed;
    anyhow::ensure!(read > 0, "no file of {} can be decoded, see above", data.folder.display());
    info!("{read} files were read, and {failed} left out");
    let empty = || ItemVectors { dim: 0, values: vec![], items: vec![], times: vec![] };
    let mut all: Vec<ItemVectors> = encoders.iter().map(|_| empty()).collect();
    for (encoded, owners) in parts {
        for (vectors, rows) in all.iter_mut().zip(encoded) {
            vectors.dim = rows.dim();
            vectors.values.extend_from_slice(rows.values());
            vectors.items.extend(owners.iter().map(|it| it.0));
            vectors.times.extend(owners.iter().map(|it| it.1));
        }
    }
    Ok(all)
}
