//! A table of a run, read from its Parquet files as any other program reads it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use arrow::array::{Array as _, AsArray as _, RecordBatch};
use arrow::datatypes::{Float32Type, Float64Type, Int64Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use pipeline::{Counts, FrameOutcome};

use super::has_extension;

/// All parts of a table.
pub(crate) struct Table {
    /// Number of files.
    pub(crate) parts: usize,
    batches: Vec<RecordBatch>,
}

impl Table {
    /// Reads every part of `<run>/<name>`, in the order in which they were written.
    pub(crate) fn read(run: &Path, name: &str) -> Self {
        let entries = fs::read_dir(run.join(name)).unwrap().map(|it| it.unwrap().path());
        let mut paths: Vec<PathBuf> = entries.filter(|it| has_extension(it, "parquet")).collect();
        paths.sort();
        let batches = paths.iter().flat_map(|path| {
            let file = File::open(path).unwrap();
            let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
            reader.map(Result::unwrap).collect::<Vec<_>>()
        });
        Self { parts: paths.len(), batches: batches.collect() }
    }

    pub(crate) fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    /// A column of integers.
    pub(crate) fn counts(&self, name: &str) -> Vec<i64> {
        let column = |it: &RecordBatch| it[name].as_primitive::<Int64Type>().values().to_vec();
        self.batches.iter().flat_map(column).collect()
    }

    /// A column of double-precision numbers.
    pub(crate) fn reals(&self, name: &str) -> Vec<f64> {
        let column = |it: &RecordBatch| it[name].as_primitive::<Float64Type>().values().to_vec();
        self.batches.iter().flat_map(column).collect()
    }

    /// A column of single-precision numbers.
    pub(crate) fn floats(&self, name: &str) -> Vec<f32> {
        let column = |it: &RecordBatch| it[name].as_primitive::<Float32Type>().values().to_vec();
        self.batches.iter().flat_map(column).collect()
    }

    /// A column of text, with empty text for null.
    pub(crate) fn text(&self, name: &str) -> Vec<String> {
        let column = |it: &RecordBatch| {
            let column = it[name].as_string::<i32>();
            column.iter().map(|it| it.unwrap_or_default().to_owned()).collect::<Vec<_>>()
        };
        self.batches.iter().flat_map(column).collect()
    }

    /// The length of the vectors of a column.
    pub(crate) fn width(&self, name: &str) -> i32 {
        self.batches[0][name].as_fixed_size_list().value_length()
    }

    /// The vectors of the column `embedding`.
    pub(crate) fn vectors(&self) -> Vec<Vec<f32>> {
        let vectors = |it: &RecordBatch| {
            let lists = it["embedding"].as_fixed_size_list();
            let width = lists.value_length() as usize;
            let numbers = lists.values().as_primitive::<Float32Type>();
            assert_eq!(numbers.null_count(), 0);
            numbers.values().chunks(width).map(<[f32]>::to_vec).collect::<Vec<_>>()
        };
        self.batches.iter().flat_map(vectors).collect()
    }

    /// The steps and values of one of the `metrics`.
    pub(crate) fn metric(&self, name: &str) -> Vec<(i64, f64)> {
        let rows = self.counts("step").into_iter().zip(self.reals("value"));
        let named = rows.zip(self.text("name")).filter(|it| it.1 == name);
        named.map(|it| it.0).collect()
    }

    /// The sum of a column of counts, per stream.
    pub(crate) fn sums(&self, name: &str) -> BTreeMap<String, i64> {
        let mut sums = BTreeMap::new();
        for (stream, count) in self.text("stream").into_iter().zip(self.counts(name)) {
            *sums.entry(stream).or_default() += count;
        }
        sums
    }

    /// The state and the message in the last row of a stream.
    pub(crate) fn last(&self, stream: &str) -> (String, String) {
        let rows = self.text("state").into_iter().zip(self.text("message"));
        let mut rows = rows.zip(self.text("stream")).filter(|it| it.1 == stream);
        rows.next_back().unwrap().0
    }
}

/// Every decoded frame of every stream has exactly one outcome, and no count goes down.
pub(crate) fn assert_balanced(streams: &Table) {
    let outcomes: Vec<_> = FrameOutcome::ALL.iter().map(|it| it.name()).collect();
    for (stream, decoded) in streams.sums("decoded") {
        let counted: Vec<_> = outcomes.iter().map(|it| streams.sums(it)[&stream]).collect();
        assert_eq!(decoded, counted.iter().sum::<i64>(), "{stream}: {outcomes:?} are {counted:?}");
    }
    for name in Counts::default().named().iter().map(|it| it.name) {
        assert!(streams.counts(name).iter().all(|it| *it >= 0), "{name} went down");
    }
}
