//! A run that is always the same: its records, its checkpoints, and the rows of its tables.

use std::fs;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use storage::{Config, EventRow, Events, Record, Store, Streams, Watermark};

use super::{embeddings, metrics, named, noon, parts, read, row};

/// The tables of every run.
pub(crate) const TABLES: [&str; 4] = ["metrics", "embeddings", "streams", "events"];

/// Records of the run.
pub(crate) const RECORDS: u64 = 84;

/// Records from one checkpoint to the next.
pub(crate) const CHECKPOINT_EVERY: u64 = 20;

/// Small parts, so that some close between two checkpoints.
pub(crate) fn config(dir: &Path) -> Config {
    Config { rows_per_part: 5, ..super::config(dir) }
}

/// The record of that number, of each table in turn.
pub(crate) fn record(number: u64) -> Record {
    match number % 4 {
        0 => metrics(number + 1),
        1 => Record::Embeddings(embeddings(number, 3, 4)),
        2 => {
            let rows = vec![row("camera", None), row("archive", Some("no such file"))];
            Record::Streams(Streams { step: number, time: noon(), rows })
        }
        _ => {
            let event = EventRow {
                time: noon(),
                kind: "warning".to_owned(),
                stream: None,
                state: None,
                epoch: Some(number),
                message: format!("the event of step {number}"),
            };
            Record::Events(Events { step: number, rows: vec![event] })
        }
    }
}

/// Rows of a table among the records before that number.
pub(crate) fn rows_before(table: usize, number: u64) -> usize {
    let a_record = [2, 3, 2, 1][table];
    (0..number).filter(|it| it % 4 == table as u64).count() * a_record
}

/// The checkpoint of a run: the watermark, and the number of records before it.
pub(crate) fn checkpoint(dir: &Path) -> (Watermark, u64) {
    match fs::read_to_string(dir.join("checkpoint.json")) {
        Ok(text) => serde_json::from_str(&text).unwrap(),
        Err(_) => (Watermark::default(), 0),
    }
}

/// Continues from the newest checkpoint to the end, and reports its progress.
pub(crate) fn continue_run(dir: &Path, mut progress: impl FnMut(u64)) {
    let (watermark, done) = checkpoint(dir);
    let store = storage::resume(&config(dir), &named("sequence"), &watermark).unwrap();
    progress(done);
    for number in done..RECORDS {
        store.write(record(number)).unwrap();
        if (number + 1) % CHECKPOINT_EVERY == 0 {
            keep(dir, &store, number + 1);
        }
        progress(number + 1);
    }
    keep(dir, &store, RECORDS);
    store.finish().unwrap();
}

/// Writes a checkpoint at once.
fn keep(dir: &Path, store: &Store, done: u64) {
    let text = serde_json::to_string(&(store.sync().unwrap(), done)).unwrap();
    fs::write(dir.join("checkpoint.new"), text).unwrap();
    fs::rename(dir.join("checkpoint.new"), dir.join("checkpoint.json")).unwrap();
}

/// All rows that a reader finds in the folder of a table now; nothing when it has no parts.
pub(crate) fn rows(dir: &Path, table: &str) -> Option<RecordBatch> {
    if !dir.join(table).exists() {
        return None;
    }
    let read = |path: &PathBuf| read(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let batches: Vec<RecordBatch> = parts(dir, table).iter().map(read).collect();
    let schema = batches.first()?.schema();
    Some(concat_batches(&schema, &batches).unwrap())
}

/// The tables of a run that nothing interrupted.
pub(crate) struct Expected([RecordBatch; 4]);

impl Expected {
    pub(crate) fn write() -> Self {
        let dir = tempfile::tempdir().unwrap();
        continue_run(dir.path(), |_| {});
        let tables = TABLES.map(|it| rows(dir.path(), it).unwrap());
        for (idx, table) in tables.iter().enumerate() {
            assert_eq!(table.num_rows(), rows_before(idx, RECORDS));
        }
        Self(tables)
    }

    /// Every row exactly once.
    pub(crate) fn equals(&self, dir: &Path) {
        for (table, expected) in TABLES.iter().zip(&self.0) {
            assert_eq!(rows(dir, table).as_ref(), Some(expected), "{table}");
        }
    }

    /// The run's rows up to some moment after its checkpoint, each once. Returns how many.
    pub(crate) fn begins_with(&self, dir: &Path) -> usize {
        let done = checkpoint(dir).1;
        let tables = TABLES.iter().zip(&self.0).enumerate();
        let found = tables.map(|(idx, (table, expected))| {
            let synced = rows_before(idx, done);
            let Some(found) = rows(dir, table) else {
                assert_eq!(synced, 0, "{table}");
                return 0;
            };
            let count = found.num_rows();
            assert!(
                (synced..=expected.num_rows()).contains(&count),
                "{table}: {count} of {synced}"
            );
            assert_eq!(found, expected.slice(0, count), "{table}");
            count
        });
        found.sum()
    }

    /// Superseded rows are in readable parts, each table a consecutive range of the run.
    pub(crate) fn contains_superseded(&self, dir: &Path) {
        let Ok(entries) = fs::read_dir(dir.join("superseded")) else { return };
        for path in entries.map(|it| it.unwrap().path()) {
            assert!(path.extension().is_none(), "{path:?} was never completed");
            let tables = TABLES.iter().zip(&self.0).filter(|(it, _)| path.join(it).exists());
            for (table, expected) in tables {
                let Some(found) = rows(&path, table) else { continue };
                let last = expected.num_rows() - found.num_rows();
                let somewhere = (0..=last).any(|it| expected.slice(it, found.num_rows()) == found);
                assert!(somewhere, "{path:?}/{table} is no consecutive range of the run");
            }
        }
    }
}
