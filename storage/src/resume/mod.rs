//! Continues a run after a checkpoint: earlier parts stay, later ones are superseded.

pub(crate) mod recover;
pub(crate) mod superseded;
pub(crate) mod wal;
pub(crate) mod watermark;

use std::path::Path;

use arrow::datatypes::SchemaRef;

use crate::resume::recover::OrphanedWal;
use crate::resume::superseded::Superseded;
use crate::table::columns::{TABLES, describe};
use crate::table::footer::Footer;
use crate::table::part_names::{self, ClosedPart};
use crate::{Error, Result, TableSummary, Watermark};

/// The parts of a table that belong to the checkpoint.
pub(crate) struct KeptParts {
    pub(crate) summary: TableSummary,
    /// Number of the next part.
    pub(crate) next: u64,
    /// The columns of the parts, if there are any.
    pub(crate) schema: Option<SchemaRef>,
}

impl KeptParts {
    /// No parts of a table.
    pub(crate) fn none(table: &'static str) -> Self {
        Self { summary: TableSummary { table, rows: 0, bytes: 0, parts: 0 }, next: 0, schema: None }
    }
}

/// The parts of each table that belong to the checkpoint. This only reads: an error leaves
/// everything as it was.
pub(crate) fn kept_parts(dir: &Path, watermark: &Watermark) -> Result<Vec<KeptParts>> {
    TABLES.iter().map(|table| kept_parts_of(dir, table, watermark.next(table))).collect()
}

fn kept_parts_of(dir: &Path, table: &'static str, next: u64) -> Result<KeptParts> {
    let folder = dir.join(table);
    let parts = part_names::list(&folder)?;
    part_names::check(&folder, &parts, next)?;
    let mut kept = KeptParts { next, ..KeptParts::none(table) };
    for part in parts.iter().take_while(|part| part.first < next) {
        let Footer { rows, bytes, schema, metadata, .. } = Footer::read(&part.path)?;
        if let Some(version) = metadata.other_version() {
            return Err(Error::OtherVersion { path: part.path.clone(), version });
        }
        kept.summary.rows += rows;
        kept.summary.bytes += bytes;
        kept.summary.parts += 1;
        match &kept.schema {
            Some(first) if *first != schema => {
                let (before, now) = (describe(first), describe(&schema));
                return Err(Error::ColumnsChanged { table, before, now });
            }
            _ => kept.schema = Some(schema),
        }
    }
    Ok(kept)
}

/// Moves everything after the watermark to `superseded/`. If it is killed at any point and called
/// again with the same watermark, the same files end up in the same places.
pub(crate) fn supersede(dir: &Path, watermark: &Watermark) -> Result<()> {
    for table in TABLES {
        supersede_table(dir, table, watermark.next(table))?;
    }
    if let Some(superseded) = Superseded::pending(dir)? {
        let path = superseded.finish()?;
        tracing::info!(path = %path.display(), "moved the rows after the checkpoint");
    }
    Ok(())
}

/// The order matters. Write-ahead files come first, while the parts still show whether they hold
/// the same rows. Parts come last, from the newest to the oldest: a reader that lists the folder in
/// between finds the run's rows up to some moment, without a gap.
fn supersede_table(dir: &Path, table: &'static str, next: u64) -> Result<()> {
    let folder = dir.join(table);
    let closed = part_names::list(&folder)?;
    for (number, path) in wal::list(dir, table)? {
        let orphan = OrphanedWal { dir, table, number, path: &path };
        match closed.iter().any(|part| part.holds(number)) {
            true => orphan.discard()?,
            false => orphan.make_part(&Superseded::open(dir)?.table_folder(table)?)?,
        };
    }
    for path in part_names::unfinished(&folder)? {
        Superseded::open(dir)?.add_file(table, &path)?;
    }
    for ClosedPart { path, .. } in closed.iter().rev().take_while(|part| part.first >= next) {
        Superseded::open(dir)?.add_file(table, path)?;
    }
    Ok(())
}
