//! Turns the write-ahead files of a run that was killed into parts.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};

use crate::disk::lock;
use crate::disk::publish::{remove, sync_parent};
use crate::identity::Metadata;
use crate::resume::superseded::Aside;
use crate::resume::wal::{self, Frames};
use crate::table::columns::TABLES;
use crate::table::part::Part;
use crate::table::part_names as parts;
use crate::{Error, Result, catalog};

/// What was found in write-ahead files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Rows that are in parts now, and were in none before.
    pub rows: u64,
    /// Parts that hold them.
    pub parts: u64,
    /// Bytes of torn or changed records, which are lost.
    pub ignored: u64,
}

/// Makes the rows of a run that was killed readable where it left off, for a run that nobody
/// resumes. It leaves the tables of a run that ended well as they are.
///
/// # Errors
/// [`Error::Busy`] while the run is being written, [`Error::Missing`] when a part is not there, and
/// [`Error::File`] or [`Error::Part`] when the folder cannot be written.
pub fn recover(dir: &Path) -> Result<Recovered> {
    let _lock = lock::lock(dir)?;
    let recovered = locked(dir)?;
    Aside::pending(dir)?.map(Aside::done).transpose()?;
    Ok(recovered)
}

/// [`recover()`] for who holds the lock, and completes what is set aside.
pub(crate) fn locked(dir: &Path) -> Result<Recovered> {
    let mut found = Recovered::default();
    for table in TABLES {
        let folder = dir.join(table);
        let closed = parts::list(&folder)?;
        parts::check(&folder, &closed, parts::next(&closed))?;
        for (number, path) in wal::list(dir, table)? {
            let leftover = Leftover { dir, table, number, path: &path };
            let replayed = match closed.iter().any(|it| it.holds(number)) {
                true => leftover.forget()?,
                false => leftover.settle(&folder)?,
            };
            found.rows += replayed.rows;
            found.parts += u64::from(replayed.rows > 0);
            found.ignored += replayed.ignored;
        }
        // Nobody can read them, and their rows were in the write-ahead files.
        parts::unfinished(&folder)?.iter().try_for_each(|it| remove(it))?;
    }
    // Also when there was nothing to do: a crash may have come just before this.
    catalog::refresh(dir)?;
    Ok(found)
}

/// The write-ahead file of a part that was open when its run was killed.
pub(crate) struct Leftover<'a> {
    pub(crate) dir: &'a Path,
    pub(crate) table: &'static str,
    pub(crate) number: u64,
    pub(crate) path: &'a Path,
}

/// What a write-ahead file gave.
#[derive(Default)]
pub(crate) struct Replayed {
    pub(crate) rows: u64,
    pub(crate) ignored: u64,
}

impl Leftover<'_> {
    /// Removes the file. A closed part holds its rows.
    pub(crate) fn forget(&self) -> Result<Replayed> {
        remove(self.path)?;
        sync_parent(self.path)?;
        Ok(Replayed::default())
    }

    /// Its rows become a part in the folder `to`. The file goes; one with damage is set aside.
    pub(crate) fn settle(&self, to: &Path) -> Result<Replayed> {
        let replayed = replay(self.table, self.path, parts::path(to, self.number, self.number))?;
        if replayed.ignored == 0 {
            remove(self.path)?;
            sync_parent(self.path)?;
            return Ok(replayed);
        }
        tracing::warn!(
            file = %self.path.display(),
            bytes = replayed.ignored,
            "a write-ahead file ends in bytes that are no whole record: the rows before them are \
             kept, and the file is set aside"
        );
        Aside::open(self.dir)?.take(self.table, self.path)?;
        Ok(replayed)
    }
}

/// Writes the whole records of a write-ahead file as a part. One that is there already is from
/// the same file: a crash came before the file was removed.
fn replay(table: &'static str, from: &Path, to: PathBuf) -> Result<Replayed> {
    let there = to.exists();
    let mut frames = Frames::open(from)?;
    let mut part: Option<Part> = None;
    for batch in frames.by_ref() {
        let batch = batch?;
        if there {
            continue;
        }
        let mut open = match part.take() {
            Some(it) => it,
            None => begin(to.clone(), &batch)?,
        };
        let rows = RecordBatch::try_new(plain(&batch.schema()), batch.columns().to_vec());
        open.write(&rows.map_err(|source| Error::Columns { table, source })?)?;
        part = Some(open);
    }
    let rows = part.as_ref().map_or(0, Part::rows) as u64;
    part.map(Part::publish).transpose()?;
    Ok(Replayed { rows, ignored: frames.ignored() })
}

fn begin(path: PathBuf, batch: &RecordBatch) -> Result<Part> {
    let schema = batch.schema();
    let metadata = Metadata::of_schema(&schema).with_features(&schema);
    Part::create(path, plain(&schema), &metadata)
}

/// Without the metadata that only a write-ahead file keeps there.
fn plain(schema: &Schema) -> SchemaRef {
    Arc::new(Schema::new(schema.fields().clone()))
}
