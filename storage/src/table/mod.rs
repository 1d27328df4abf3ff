//! One table: a folder of parts that are closed by rows and by age.

pub(crate) mod columns;
pub(crate) mod footer;
pub(crate) mod last_metrics;
pub(crate) mod part;
pub(crate) mod part_names;
pub(crate) mod store;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use serde::Serialize;

use crate::identity::Metadata;
use crate::resume::Kept;
use crate::resume::wal::{self, Wal};
use crate::table::columns::describe;
use crate::table::part::Part;
use crate::table::part_names as parts;
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
    /// The run's folder.
    dir: PathBuf,
    rows_per_part: usize,
    age: Duration,
    metadata: Metadata,
    schema: Option<SchemaRef>,
    open: Option<Open>,
    /// Number of the part that is open, or comes next.
    next: u64,
    summary: TableSummary,
}

/// An open part, and its rows where they survive a crash.
struct Open {
    part: Part,
    wal: Wal,
}

impl Table {
    /// A table under the run's folder `dir`, which goes on after what is kept of it.
    pub(crate) fn new(dir: &Path, config: &Config, metadata: &Metadata, kept: Kept) -> Self {
        Self {
            dir: dir.to_owned(),
            rows_per_part: config.rows_per_part,
            age: config.age(),
            metadata: metadata.clone(),
            schema: kept.schema,
            open: None,
            next: kept.next,
            summary: kept.summary,
        }
    }

    pub(crate) fn summary(&self) -> &TableSummary {
        &self.summary
    }

    /// Number of the part that is open, or comes next.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// The columns, once there is a row.
    pub(crate) fn schema(&self) -> Option<&SchemaRef> {
        self.schema.as_ref()
    }

    /// Appends rows, and closes the part when it holds enough of them.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        self.keep_schema(batch)?;
        let mut open = match self.open.take() {
            Some(it) => it,
            None => self.begin(batch.schema())?,
        };
        // Out of `open` while it is written: a part that failed once is never published, and what
        // its write-ahead file holds stays there.
        open.wal.write(batch)?;
        open.part.write(batch)?;
        let full = open.part.rows() >= self.rows_per_part;
        self.open = Some(open);
        if full { self.close() } else { Ok(()) }
    }

    /// The write-ahead file comes first: an unfinished part without one has no rows.
    fn begin(&self, schema: SchemaRef) -> Result<Open> {
        let Self { dir, next, summary: TableSummary { table, .. }, .. } = self;
        let wal = wal::path(dir, table, *next);
        let wal = Wal::create(wal, Arc::new(self.metadata.put_into(&schema)))?;
        let metadata = self.metadata.clone().with_features(&schema);
        let part = Part::create(parts::path(&dir.join(table), *next, *next), schema, &metadata)?;
        Ok(Open { part, wal })
    }

    /// When something must be done: rows saved or the part closed. Nothing while none is open.
    pub(crate) fn due(&self) -> Option<Instant> {
        let Open { part, wal } = self.open.as_ref()?;
        part.opened().checked_add(self.age).into_iter().chain(wal.due()).min()
    }

    /// Does what is due by `now`.
    pub(crate) fn keep_up(&mut self, now: Instant) -> Result<()> {
        let Some(Open { part, wal }) = &mut self.open else { return Ok(()) };
        if part.opened().checked_add(self.age).is_some_and(|due| due <= now) {
            return self.close();
        }
        if wal.due().is_some_and(|due| due <= now) {
            return wal.save();
        }
        Ok(())
    }

    /// Publishes the open part, if there is one.
    pub(crate) fn close(&mut self) -> Result<()> {
        let Some(Open { part, wal }) = self.open.take() else { return Ok(()) };
        let rows = part.rows() as u64;
        let bytes = part.publish()?;
        wal.remove()?;
        tracing::debug!(table = self.summary.table, part = self.next, rows, bytes);
        self.next += 1;
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
