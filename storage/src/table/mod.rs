//! A table: a folder of parts, each closed when it has enough rows or is old enough.

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
use crate::resume::KeptParts;
use crate::resume::wal::{self, WalWriter};
use crate::table::columns::describe;
use crate::table::part::Part;
use crate::{Config, Error, Result};

/// The size of a table, without its open part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TableSummary {
    /// `metrics`, `embeddings`, `streams` or `events`.
    pub table: &'static str,
    /// Rows in all parts.
    pub rows: u64,
    /// Bytes on disk.
    pub bytes: u64,
    /// Number of files.
    pub parts: u64,
}

/// A table and its open part.
pub(crate) struct Table {
    /// The run's folder.
    dir: PathBuf,
    rows_per_part: usize,
    max_age: Duration,
    metadata: Metadata,
    schema: Option<SchemaRef>,
    open: Option<OpenPart>,
    /// Number of the part that is open, or comes next.
    next: u64,
    summary: TableSummary,
}

/// An open part, and the file in which its rows survive a crash.
struct OpenPart {
    part: Part,
    wal: WalWriter,
}

impl Table {
    /// A table in the run's folder `dir`, which continues after the parts that are kept.
    pub(crate) fn new(dir: &Path, config: &Config, metadata: &Metadata, kept: KeptParts) -> Self {
        Self {
            dir: dir.to_owned(),
            rows_per_part: config.rows_per_part,
            max_age: config.max_age(),
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

    /// Appends rows, and closes the part when it has enough of them.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        self.check_schema(batch)?;
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.open_part(batch.schema())?,
        };
        // Taken out of `self.open` while it is written: a part that failed is never published, and
        // its write-ahead file stays.
        open.wal.write(batch)?;
        open.part.write(batch)?;
        let is_full = open.part.rows() >= self.rows_per_part;
        self.open = Some(open);
        if is_full { self.close() } else { Ok(()) }
    }

    /// The write-ahead file is created first: an unfinished part without one has no rows.
    fn open_part(&self, schema: SchemaRef) -> Result<OpenPart> {
        let Self { dir, next, summary: TableSummary { table, .. }, .. } = self;
        let wal = wal::path(dir, table, *next);
        let wal = WalWriter::create(wal, Arc::new(self.metadata.put_into(&schema)))?;
        let metadata = self.metadata.clone().with_features(&schema);
        let path = part_names::path(&dir.join(table), *next, *next);
        Ok(OpenPart { part: Part::create(path, schema, &metadata)?, wal })
    }

    /// When [`Table::run_due_work`] is needed next: to sync rows, or to close the part. `None` while
    /// no part is open.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let OpenPart { part, wal } = self.open.as_ref()?;
        part.opened().checked_add(self.max_age).into_iter().chain(wal.next_sync()).min()
    }

    /// Closes the part, or syncs its rows, if that is due by `now`.
    pub(crate) fn run_due_work(&mut self, now: Instant) -> Result<()> {
        let Some(OpenPart { part, wal }) = &mut self.open else { return Ok(()) };
        if part.opened().checked_add(self.max_age).is_some_and(|deadline| deadline <= now) {
            return self.close();
        }
        if wal.next_sync().is_some_and(|deadline| deadline <= now) {
            return wal.sync();
        }
        Ok(())
    }

    /// Publishes the open part, if there is one.
    pub(crate) fn close(&mut self) -> Result<()> {
        let Some(OpenPart { part, wal }) = self.open.take() else { return Ok(()) };
        let rows = part.rows() as u64;
        let bytes = part.publish()?;
        wal.remove()?;
        tracing::debug!(table = self.summary.table, part = self.next, rows, bytes, "closed a part");
        self.next += 1;
        self.summary.rows += rows;
        self.summary.bytes += bytes;
        self.summary.parts += 1;
        Ok(())
    }

    /// All parts must have the same columns, because readers take the columns of one part for those
    /// of all.
    fn check_schema(&mut self, batch: &RecordBatch) -> Result<()> {
        match &self.schema {
            Some(first) if *first == batch.schema() => Ok(()),
            Some(first) => Err(Error::ColumnsChanged {
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
