//! A run in a folder, without training.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::UNIX_EPOCH;

use tempfile::TempDir;

use crate::checkpoint_names::step_name;
use crate::{Config, Metrics, Record, RunIdentity, Store, Watermark};

/// A run in a folder, whose checkpoints are a file of some size and its checksums.
pub(super) struct Local {
    dir: TempDir,
}

impl Local {
    pub(super) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(super) fn open(&self, watermark: &Watermark) -> Store {
        let config = Config { dir: self.path().to_owned(), ..Config::default() };
        let run = RunIdentity { name: "first".into(), id: "id".into(), config_hash: "hash".into() };
        crate::resume(&config, &run, watermark).unwrap()
    }

    /// Writes one part of the metrics, and then a checkpoint.
    pub(super) fn step(&self, store: &Store, step: u64, bytes: usize) -> Watermark {
        write(store, step);
        let watermark = store.sync().unwrap();
        let folder = self.path().join(format!("checkpoints/{}", step_name(step)));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("encoder.safetensors"), vec![step as u8; bytes]).unwrap();
        fs::write(folder.join("SHA256SUMS"), format!("of step {step}")).unwrap();
        watermark
    }

    pub(super) fn remove_checkpoint(&self, step: u64) {
        fs::remove_dir_all(self.path().join(format!("checkpoints/{}", step_name(step)))).unwrap();
    }

    /// The files that the store should have, without `views.sql` and `run.json`.
    pub(super) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut found = BTreeMap::new();
        for folder in crate::table::columns::TABLES.into_iter().chain(["checkpoints"]) {
            collect(self.path(), folder, &mut found);
        }
        for file in ["dataset.json", "config.toml"] {
            let bytes = fs::read(self.path().join(file));
            found.extend(bytes.ok().map(|bytes| (file.to_owned(), bytes)));
        }
        found
    }
}

/// The files below a folder of a run, by their names in it.
pub(super) fn collect(dir: &Path, name: &str, found: &mut BTreeMap<String, Vec<u8>>) {
    for entry in crate::disk::folder::list_names(&dir.join(name)).unwrap() {
        let name = format!("{name}/{entry}");
        match fs::read(dir.join(&name)) {
            Ok(bytes) => drop(found.insert(name, bytes)),
            Err(_) => collect(dir, &name, found),
        }
    }
}

/// One row of the metrics.
pub(super) fn write(store: &Store, step: u64) {
    let values = vec![("loss".to_owned(), step as f64)];
    store.write(Record::Metrics(Metrics { step, time: UNIX_EPOCH, values })).unwrap();
}
