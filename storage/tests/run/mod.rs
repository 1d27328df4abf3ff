//! The records of a small run, and what a reader finds of them.

// Each test program uses only some of this, and a test may unwrap.
#![allow(dead_code, clippy::unwrap_used)]

pub(crate) mod dying;
pub(crate) mod sequence;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use storage::{
    Config, Embeddings, Metrics, Record, RunIdentity, StreamCount, StreamRow, VectorColumn,
};

/// A configuration whose parts are never closed by age within a test.
pub(crate) fn config(dir: &Path) -> Config {
    Config { dir: dir.to_owned(), seconds_per_part: 3600.0, ..Config::default() }
}

/// A run with this name.
pub(crate) fn named(name: &str) -> RunIdentity {
    RunIdentity { name: name.to_owned(), id: format!("{name}-1"), config_hash: "5eed".to_owned() }
}

/// A moment with a fraction of a second.
pub(crate) fn noon() -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(1_700_000_000_250)
}

/// Two metrics.
pub(crate) fn metrics(step: u64) -> Record {
    let values = vec![("loss".to_owned(), 1.0 / step as f64), ("learning_rate".to_owned(), 1e-3)];
    Record::Metrics(Metrics { step, time: noon(), values })
}

/// `n` different vectors of width `dim`, which compress badly, as embeddings do.
pub(crate) fn embeddings(step: u64, n: usize, dim: usize) -> Embeddings {
    let mut state = step + 1;
    let mut number = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    };
    let values = (0..n * dim).map(|_| number()).collect();
    let mut term = || (0..n).map(|_| number().abs()).collect();
    Embeddings {
        step,
        encoder: "teacher".to_owned(),
        stream: (0..n).map(|it| ["camera", "archive"][it % 2].to_owned()).collect(),
        item: (0..n).map(|it| format!("file-{it}.mp4")).collect(),
        epoch: (0..n as u64).collect(),
        pts: (0..n).map(|it| it as f64 / 25.0).collect(),
        captured: (0..n).map(|it| (it % 2 == 0).then(noon)).collect(),
        captured_by: (0..n).map(|it| (it % 2 == 0).then_some("camera")).collect(),
        terms: vec![("total".to_owned(), term()), ("invariance".to_owned(), term())],
        dim,
        values,
        vectors: Vec::new(),
    }
}

/// The same with another vector of width `dim` for each embedding.
pub(crate) fn with_vectors(mut record: Embeddings, name: &str, dim: usize) -> Embeddings {
    let values = (0..record.stream.len() * dim).map(|it| (it as f32 * 0.37).sin()).collect();
    record.vectors.push(VectorColumn { name: name.to_owned(), dim, values });
    record
}

/// Counts of a row of the ledger: `decoded` is the sum of the next ten.
pub(crate) const COUNTS: [(&str, u64); 19] = [
    ("decoded", 271),
    ("trained", 10),
    ("untrained", 20),
    ("off_grid", 30),
    ("scene_cut", 40),
    ("discontinuity", 50),
    ("irregular", 55),
    ("light_change", 1),
    ("static", 2),
    ("dropped", 3),
    ("unfinished", 60),
    ("epochs", 1),
    ("errors", 2),
    ("reconnects", 4),
    ("stalls", 5),
    ("dropped_backlog", 6),
    ("skipped_gop", 7),
    ("abandoned_pipelines", 8),
    ("clips", 3),
];

/// A row of the ledger.
pub(crate) fn row(stream: &str, message: Option<&str>) -> StreamRow {
    StreamRow {
        stream: stream.to_owned(),
        state: "running".to_owned(),
        counts: COUNTS
            .map(|(name, value)| StreamCount { name, description: "A count.", value })
            .into(),
        share: 0.25,
        message: message.map(str::to_owned),
    }
}

/// The parts that a reader's `*.parquet` matches now, in order.
pub(crate) fn parts(dir: &Path, table: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir.join(table)).unwrap();
    let mut parts: Vec<PathBuf> = entries
        .map(|it| it.unwrap().path())
        .filter(|it| it.extension().is_some_and(|it| it == "parquet"))
        .collect();
    parts.sort();
    parts
}

/// All rows of a part.
pub(crate) fn read(part: &Path) -> Result<RecordBatch, ParquetError> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(part)?)?;
    let schema = reader.schema().clone();
    let batches = reader.build()?.collect::<Result<Vec<_>, _>>()?;
    Ok(concat_batches(&schema, &batches)?)
}

/// The Arrow columns of a part.
pub(crate) fn schema(part: &Path) -> SchemaRef {
    let file = File::open(part).unwrap();
    ParquetRecordBatchReaderBuilder::try_new(file).unwrap().schema().clone()
}

/// The footer of a part.
pub(crate) fn metadata(part: &Path) -> Arc<ParquetMetaData> {
    let file = File::open(part).unwrap();
    ParquetRecordBatchReaderBuilder::try_new(file).unwrap().metadata().clone()
}

/// Polls a condition until it holds. The number of polls only ends a test that would never end.
pub(crate) fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..100_000 {
        if holds() {
            return;
        }
        thread::park_timeout(Duration::from_millis(5));
    }
    panic!("{what} did not come");
}
