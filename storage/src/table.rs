//! One table: a folder of parts that are closed by rows and by age.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use serde::Serialize;

use crate::part::{self, Part};
use crate::{Config, Error, Result};

/// What a run left of one table, counting closed parts only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TableSummary {
    /// `metrics`, `embeddings`, `streams` or `events`.
    pub table: &'static str,
    /// Rows in all parts.
    pub rows: u64,
    /// Bytes on disk.
    pub bytes: u64,
    /// Files.
    pub parts: u64,
}

/// A table and its open part.
pub(crate) struct Table {
    dir: PathBuf,
    rows_per_part: usize,
    age: Duration,
    schema: Option<SchemaRef>,
    open: Option<Part>,
    summary: TableSummary,
}

impl Table {
    /// The table `name` under the run's folder `dir`.
    pub(crate) fn new(name: &'static str, dir: &Path, config: &Config) -> Self {
        Self {
            dir: dir.join(name),
            rows_per_part: config.rows_per_part,
            age: config.age(),
            schema: None,
            open: None,
            summary: TableSummary { table: name, rows: 0, bytes: 0, parts: 0 },
        }
    }

    pub(crate) fn summary(&self) -> &TableSummary {
        &self.summary
    }

    /// Name and width of each column of vectors, once there is a row.
    pub(crate) fn vectors(&self) -> Vec<(String, i32)> {
        let fields = self.schema.iter().flat_map(|it| it.fields());
        fields.filter_map(|it| Some((it.name().clone(), width(it.data_type())?))).collect()
    }

    /// Appends rows, and closes the part when it holds enough of them.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        self.keep_schema(batch)?;
        let mut part = match self.open.take() {
            Some(it) => it,
            None => Part::create(part::path(&self.dir, self.summary.parts), batch.schema())?,
        };
        // Out of `open` while it is written: a part that failed once is never published.
        part.write(batch)?;
        let full = part.rows() >= self.rows_per_part;
        self.open = Some(part);
        if full { self.close() } else { Ok(()) }
    }

    /// When the open part will be old enough to close; nothing while there is none.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.open.as_ref()?.opened().checked_add(self.age)
    }

    /// Publishes the open part, if there is one.
    pub(crate) fn close(&mut self) -> Result<()> {
        let Some(part) = self.open.take() else { return Ok(()) };
        let rows = part.rows() as u64;
        let bytes = part.publish()?;
        tracing::debug!(table = self.summary.table, part = self.summary.parts, rows, bytes);
        self.summary.rows += rows;
        self.summary.bytes += bytes;
        self.summary.parts += 1;
        Ok(())
    }

    /// Readers take the columns of one part for those of all.
    fn keep_schema(&mut self, batch: &RecordBatch) -> Result<()> {
        match &self.schema {
            Some(first) if *first == batch.schema() => Ok(()),
            Some(first) => Err(Error::Changed {
                table: self.summary.table,
                before: describe(first),
                now: describe(&batch.schema()),
            }),
            None => {
                self.schema = Some(batch.schema());
                Ok(())
            }
        }
    }
}

/// Numbers in a vector, of a column of vectors.
fn width(data_type: &DataType) -> Option<i32> {
    match data_type {
        DataType::FixedSizeList(_, width) => Some(*width),
        _ => None,
    }
}

fn describe(schema: &Schema) -> String {
    let columns: Vec<String> = schema
        .fields()
        .iter()
        .map(|field| match width(field.data_type()) {
            Some(width) => format!("{} of {width}", field.name()),
            None => field.name().clone(),
        })
        .collect();
    columns.join(", ")
}
