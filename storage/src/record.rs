//! What crosses the channel: columns where there are many rows, so that Arrow takes them as they
//! are.

use std::collections::HashSet;
use std::time::SystemTime;

use crate::columns::EMBEDDING;

/// One piece of one table.
#[expect(clippy::large_enum_variant, reason = "64 of them wait at most, and few are small")]
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

/// Named numbers of one step: one row a number.
#[derive(Clone, Debug, PartialEq)]
pub struct Metrics {
    /// The optimizer step that they belong to.
    pub step: u64,
    /// When they were read, UTC.
    pub time: SystemTime,
    /// Name and value.
    pub values: Vec<(String, f64)>,
}

/// Embeddings of `n` frames of one step: one row a frame, the vectors in parallel.
///
/// `dim`, the names of `terms`, and the names and widths of `vectors` stay the same for a whole
/// run.
#[derive(Clone, Debug, PartialEq)]
pub struct Embeddings {
    /// The optimizer step whose weights made them.
    pub step: u64,
    /// Which encoder made them, for example `teacher`.
    pub encoder: String,
    /// The stream of each frame, `[n]`.
    pub stream: Vec<String>,
    /// The file or URI that each frame came from, `[n]`.
    pub item: Vec<String>,
    /// How often the stream had been read to its end before, `[n]`.
    pub pass: Vec<u64>,
    /// Stream time of each frame in seconds, `[n]`.
    pub pts: Vec<f64>,
    /// When each frame was captured, UTC, where that is known, `[n]`.
    pub captured: Vec<Option<SystemTime>>,
    /// Whose clock `captured` is of, `[n]`: `camera` for a sender report's, `arrival` for this
    /// machine's when the frame came.
    pub captured_by: Vec<Option<&'static str>>,
    /// Loss terms a clip, `[n]` each: the columns `loss_<name>`.
    pub terms: Vec<(String, Vec<f32>)>,
    /// Width of an embedding, `d`.
    pub dim: usize,
    /// The embeddings, `[n, d]` row by row.
    pub values: Vec<f32>,
    /// What else a method makes of each frame or its clip, each a column of its own.
    pub vectors: Vec<Vectors>,
}

/// A column of vectors beside the embeddings.
#[derive(Clone, Debug, PartialEq)]
pub struct Vectors {
    /// Name of the column: lower-case letters, digits and `_`, for example `aggregate`.
    pub name: String,
    /// Width of a vector, `d`.
    pub dim: usize,
    /// The vectors, `[n, d]` row by row.
    pub values: Vec<f32>,
}

/// The ledger: what became of each stream's frames.
#[derive(Clone, Debug, PartialEq)]
pub struct Streams {
    /// The optimizer step at which it was read.
    pub step: u64,
    /// When it was read, UTC.
    pub time: SystemTime,
    /// One row a stream.
    pub rows: Vec<StreamRow>,
}

/// What one stream did since its previous row, so that a column's sum is the run's total.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StreamRow {
    /// The stream's name in the configuration.
    pub stream: String,
    /// `connecting`, `playing`, `stalled`, `waiting`, `given_up`, `ended`, `stopped` or `failed`.
    pub state: String,
    /// Name and value of each count, one column each. The names and their order are the same in
    /// all rows of a run.
    pub counts: Vec<(&'static str, u64)>,
    /// Its clips among those that were trained on since the row before, 0..1.
    pub share: f64,
    /// The newest error in words.
    pub message: Option<String>,
}

/// What happened to streams and to the run, one row each.
#[derive(Clone, Debug, PartialEq)]
pub struct Events {
    /// The optimizer step that was the last one then.
    pub step: u64,
    /// One row an event.
    pub rows: Vec<EventRow>,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct EventRow {
    /// When it happened, UTC.
    pub time: SystemTime,
    /// `state` for a stream's change of state, `streams` for one that was added or removed,
    /// `warning` for what the method warned of, `checkpoint` for weights that were saved.
    pub kind: String,
    /// The stream that it happened to.
    pub stream: Option<String>,
    /// The stream's state from then on.
    pub state: Option<String>,
    /// How often the stream had been connected, or read, before.
    pub epoch: Option<u64>,
    /// Why, in words.
    pub message: String,
}

impl Record {
    /// Index of its table in [`crate::columns::TABLES`].
    pub(crate) fn table(&self) -> usize {
        match self {
            Self::Metrics(_) => 0,
            Self::Embeddings(_) => 1,
            Self::Streams(_) => 2,
            Self::Events(_) => 3,
        }
    }

    /// Panics where the caller can be seen, not later in the writer's thread.
    pub(crate) fn check(&self) {
        if let Self::Embeddings(it) = self {
            it.check();
        }
    }
}

impl Embeddings {
    fn check(&self) {
        let n = self.stream.len();
        let columns = [
            ("item", self.item.len()),
            ("pass", self.pass.len()),
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
        let mut seen = HashSet::new();
        for (name, _) in &self.terms {
            assert!(seen.insert(name), "embeddings: the loss term {name} is there twice");
        }
        self.vectors.iter().for_each(|it| it.check(n));
        let mut seen = HashSet::from(BESIDE_VECTORS);
        for Vectors { name, .. } in &self.vectors {
            let own = seen.insert(name) && !name.starts_with("loss_");
            assert!(own, "embeddings: the name {name} of vectors is another column's");
        }
    }
}

/// The columns of the table `embeddings` whose names no vectors may have, the losses aside.
const BESIDE_VECTORS: [&str; 10] = [
    "run",
    "step",
    "encoder",
    "stream",
    "item",
    "pass",
    "pts",
    "captured",
    "captured_by",
    EMBEDDING,
];

impl Vectors {
    fn check(&self, n: usize) {
        let Self { name, dim, values } = self;
        let plain = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '_';
        let named = name.starts_with(|it: char| it.is_ascii_lowercase()) && name.chars().all(plain);
        assert!(named, "embeddings: {name:?} is no name for vectors");
        assert!(*dim > 0, "embeddings: dim of {name} is 0");
        assert_eq!(values.len(), n * dim, "embeddings: values of {name} is not [{n}, {dim}]");
    }
}
