//! Makes parts of the write-ahead files that a killed run left.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};

use crate::disk::folder::sync_parent;
use crate::disk::lock::lock;
use crate::disk::publish::remove;
use crate::identity::Metadata;
use crate::resume::superseded::Superseded;
use crate::resume::wal::{self, WalReader};
use crate::table::columns::TABLES;
use crate::table::part::Part;
use crate::table::part_names;
use crate::{Error, Result, catalog};

/// What the write-ahead files held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Rows that no part held before.
    pub rows: u64,
    /// The new parts with these rows.
    pub parts: u64,
    /// Bytes of damaged records, which are lost.
    pub damaged_bytes: u64,
}

/// Makes the last rows of a killed run readable, when the run is not resumed. The tables of a run
/// that ended normally do not change.
///
/// # Errors
/// [`Error::Locked`] while a process writes the run, [`Error::MissingPart`] when a part is missing,
/// and [`Error::File`] or [`Error::WritePart`] when the folder cannot be written.
pub fn recover(dir: &Path) -> Result<Recovered> {
    let _lock = lock(dir)?;
    let recovered = recover_locked(dir)?;
    Superseded::pending(dir)?.map(Superseded::finish).transpose()?;
    Ok(recovered)
}

/// [`recover()`] for a caller that holds the lock, and that finishes the superseded folder.
pub(crate) fn recover_locked(dir: &Path) -> Result<Recovered> {
    let mut recovered = Recovered::default();
    for table in TABLES {
        let folder = dir.join(table);
        let closed = part_names::list(&folder)?;
        part_names::check(&folder, &closed, part_names::next(&closed))?;
        for (number, path) in wal::list(dir, table)? {
            let orphan = OrphanedWal { dir, table, number, path: &path };
            let replayed = match closed.iter().any(|part| part.holds(number)) {
                true => orphan.discard()?,
                false => orphan.make_part(&folder)?,
            };
            recovered.rows += replayed.rows;
            recovered.parts += u64::from(replayed.rows > 0);
            recovered.damaged_bytes += replayed.damaged_bytes;
        }
        // Unreadable without a footer, and their rows were in the write-ahead files.
        part_names::unfinished(&folder)?.iter().try_for_each(|path| remove(path))?;
    }
    // Even when nothing was recovered: an earlier call may have been killed just before this.
    catalog::refresh(dir)?;
    Ok(recovered)
}

/// The write-ahead file of a part that was open when its run was killed.
pub(crate) struct OrphanedWal<'a> {
    pub(crate) dir: &'a Path,
    pub(crate) table: &'static str,
    pub(crate) number: u64,
    pub(crate) path: &'a Path,
}

/// What a write-ahead file held.
#[derive(Default)]
pub(crate) struct Replayed {
    pub(crate) rows: u64,
    pub(crate) damaged_bytes: u64,
}

impl OrphanedWal<'_> {
    /// Removes the file, whose rows a closed part holds.
    pub(crate) fn discard(&self) -> Result<Replayed> {
        remove(self.path)?;
        sync_parent(self.path)?;
        Ok(Replayed::default())
    }

    /// Writes its rows as a part in `folder`, and removes the file. A damaged file is moved to
    /// `superseded/` instead.
    pub(crate) fn make_part(&self, folder: &Path) -> Result<Replayed> {
        let part = part_names::path(folder, self.number, self.number);
        let replayed = replay(self.table, self.path, part)?;
        if replayed.damaged_bytes == 0 {
            remove(self.path)?;
            sync_parent(self.path)?;
            return Ok(replayed);
        }
        tracing::warn!(
            file = %self.path.display(),
            bytes = replayed.damaged_bytes,
            "a write-ahead file ends in a damaged record: the rows before it are kept, and the \
             file is moved to superseded/"
        );
        Superseded::open(self.dir)?.add_file(self.table, self.path)?;
        Ok(replayed)
    }
}

/// Writes the undamaged records of a write-ahead file as a part. A part that exists already was made
/// from this file, by a call that was killed before it removed the file.
fn replay(table: &'static str, wal: &Path, path: PathBuf) -> Result<Replayed> {
    let part_exists = path.exists();
    let mut records = WalReader::open(wal)?;
    let mut part: Option<Part> = None;
    for batch in records.by_ref() {
        let batch = batch?;
        if part_exists {
            continue;
        }
        let mut open = match part.take() {
            Some(open) => open,
            None => create_part(path.clone(), &batch)?,
        };
        let schema = without_metadata(&batch.schema());
        let rows = RecordBatch::try_new(schema, batch.columns().to_vec());
        open.write(&rows.map_err(|source| Error::Columns { table, source })?)?;
        part = Some(open);
    }
    let rows = part.as_ref().map_or(0, Part::rows) as u64;
    part.map(Part::publish).transpose()?;
    Ok(Replayed { rows, damaged_bytes: records.damaged_bytes() })
}

fn create_part(path: PathBuf, batch: &RecordBatch) -> Result<Part> {
    let schema = batch.schema();
    let metadata = Metadata::of_schema(&schema).with_features(&schema);
    Part::create(path, without_metadata(&schema), &metadata)
}

/// Only write-ahead files have metadata in the schema of their rows.
fn without_metadata(schema: &Schema) -> SchemaRef {
    Arc::new(Schema::new(schema.fields().clone()))
}
