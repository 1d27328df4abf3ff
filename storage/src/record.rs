//! Records: what the program hands to the writer thread.
//!
//! A record of many rows holds its columns as vectors, which Arrow takes without a copy.

use std::collections::HashSet;
use std::time::SystemTime;

use crate::catalog::dataset;

/// Rows of one table.
#[expect(clippy::large_enum_variant, reason = "at most 64 of them wait, and few are small")]
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// Rows of the table `metrics`.
    Metrics(Metrics),
    /// Rows of the table `embeddings`.
    Embeddings(Embeddings),
    /// Rows of the table `streams`.
    Streams(Streams),
    /// Rows of the table `events`.
    Events(Events),
}

/// Named values of one step, one row per value.
#[derive(Clone, Debug, PartialEq)]
pub struct Metrics {
    /// The optimizer step that they belong to.
    pub step: u64,
    /// When they were measured, UTC.
    pub time: SystemTime,
    /// Name and value.
    pub values: Vec<(String, f64)>,
}

/// Embeddings of `n` frames of one step, one row per frame, as parallel columns.
///
/// `dim`, the names of `terms`, and the names and widths of `vectors` stay the same in all records
/// of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Embeddings {
    /// The optimizer step whose weights computed them.
    pub step: u64,
    /// Which encoder computed them, for example `teacher`.
    pub encoder: String,
    /// The stream of each frame, `[n]`.
    pub stream: Vec<String>,
    /// The file or URI that each frame came from, `[n]`.
    pub item: Vec<String>,
    /// How often the stream had been connected, or read to its end, before, `[n]`.
    pub epoch: Vec<u64>,
    /// Stream time of each frame in seconds, `[n]`.
    pub pts: Vec<f64>,
    /// When each frame was captured, UTC, where this is known, `[n]`.
    pub captured: Vec<Option<SystemTime>>,
    /// Which clock `captured` is from, `[n]`: `camera` for the clock of an RTCP sender report,
    /// `arrival` for this machine's clock when the frame arrived.
    pub captured_by: Vec<Option<&'static str>>,
    /// Loss terms per clip, `[n]` each: the columns `loss_<name>`.
    pub terms: Vec<(String, Vec<f32>)>,
    /// Width of an embedding, `d`.
    pub dim: usize,
    /// The embeddings, `[n, d]` row by row.
    pub values: Vec<f32>,
    /// Other vectors that a method computes for each frame or its clip.
    pub vectors: Vec<VectorColumn>,
}

/// A column of vectors in addition to the embeddings.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorColumn {
    /// Name of the column: lower-case letters, digits and `_`, for example `aggregate`.
    pub name: String,
    /// Width of a vector, `d`.
    pub dim: usize,
    /// The vectors, `[n, d]` row by row.
    pub values: Vec<f32>,
}

/// The ledger: the outcomes of each stream's frames.
#[derive(Clone, Debug, PartialEq)]
pub struct Streams {
    /// The optimizer step at which it was read.
    pub step: u64,
    /// When it was read, UTC.
    pub time: SystemTime,
    /// One row per stream.
    pub rows: Vec<StreamRow>,
}

/// What one stream did since its previous row: the sum of a column is the run's total.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StreamRow {
    /// The stream's name in the configuration.
    pub stream: String,
    /// `connecting`, `playing`, `stalled`, `waiting`, `given_up`, `ended`, `stopped` or `failed`.
    pub state: String,
    /// One column each. The names and their order are the same in all rows of a run.
    pub counts: Vec<StreamCount>,
    /// The stream's part of the clips that were trained on since the previous row, 0..1.
    pub share: f64,
    /// The newest error in words.
    pub message: Option<String>,
}

/// Something that is counted of a stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct StreamCount {
    /// Name of the column.
    pub name: &'static str,
    /// What it counts, as a sentence; it is stored with the column.
    pub description: &'static str,
    /// The value.
    pub value: u64,
}

/// Events of streams and of the run, one row each.
#[derive(Clone, Debug, PartialEq)]
pub struct Events {
    /// The latest optimizer step when they happened.
    pub step: u64,
    /// One row per event.
    pub rows: Vec<EventRow>,
}

/// One event.
#[derive(Clone, Debug, PartialEq)]
pub struct EventRow {
    /// When it happened, UTC.
    pub time: SystemTime,
    /// `state` for a stream's change of state, `streams` for a stream that was added or removed,
    /// `warning` for a warning of the method, `checkpoint` for a checkpoint that was written,
    /// `resume` for the start of a resumed run.
    pub kind: String,
    /// The stream that it happened to.
    pub stream: Option<String>,
    /// The stream's state after the event.
    pub state: Option<String>,
    /// How often the stream had been connected, or read to its end, before.
    pub epoch: Option<u64>,
    /// What happened and why, in words.
    pub message: String,
}

impl Record {
    /// Index of its table in [`crate::table::columns::TABLES`].
    pub(crate) fn table(&self) -> usize {
        match self {
            Self::Metrics(_) => 0,
            Self::Embeddings(_) => 1,
            Self::Streams(_) => 2,
            Self::Events(_) => 3,
        }
    }

    /// Panics when columns do not fit together: here the stack shows the caller, and in the writer
    /// thread it would not.
    pub(crate) fn check(&self) {
        if let Self::Embeddings(embeddings) = self {
            embeddings.check();
        }
    }
}

impl Embeddings {
    fn check(&self) {
        let n = self.stream.len();
        let columns = [
            ("item", self.item.len()),
            ("epoch", self.epoch.len()),
            ("pts", self.pts.len()),
            ("captured", self.captured.len()),
            ("captured_by", self.captured_by.len()),
        ];
        let terms = self.terms.iter().map(|(name, values)| (name.as_str(), values.len()));
        for (name, len) in columns.into_iter().chain(terms) {
            assert_eq!(len, n, "embeddings: {name} has {len} rows, stream has {n}");
        }
        assert!(self.dim > 0, "embeddings: dim is 0");
        assert_eq!(self.values.len(), n * self.dim, "embeddings: values is not [{n}, dim]");
        let mut terms = HashSet::new();
        for (name, _) in &self.terms {
            assert!(terms.insert(name), "embeddings: the loss term {name} is there twice");
        }
        self.vectors.iter().for_each(|column| column.check(n));
        let mut names: HashSet<&str> = dataset::column_names("embeddings").collect();
        for VectorColumn { name, .. } in &self.vectors {
            let is_new = names.insert(name) && !name.starts_with("loss_");
            assert!(is_new, "embeddings: the name {name} of vectors is another column's");
        }
    }
}

impl VectorColumn {
    fn check(&self, n: usize) {
        let Self { name, dim, values } = self;
        let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let is_name =
            name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(is_allowed);
        assert!(is_name, "embeddings: {name:?} cannot be the name of a column of vectors");
        assert!(*dim > 0, "embeddings: dim of {name} is 0");
        assert_eq!(values.len(), n * dim, "embeddings: values of {name} is not [{n}, {dim}]");
    }
}
