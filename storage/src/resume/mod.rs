//! A run goes on after a checkpoint: what belongs to it stays, what came later is set aside.

pub(crate) mod recover;
pub(crate) mod superseded;
pub(crate) mod wal;
pub(crate) mod watermark;

use std::path::Path;

use arrow::datatypes::SchemaRef;

use crate::resume::recover::Leftover;
use crate::resume::superseded::Aside;
use crate::table::columns::{TABLES, describe};
use crate::table::footer::Footer;
use crate::table::part_names::{self as parts, Closed};
use crate::{Error, Result, Seal, TableSummary};

/// What stays of a table.
pub(crate) struct Kept {
    pub(crate) summary: TableSummary,
    /// Number of the part that comes next.
    pub(crate) next: u64,
    /// The columns of its parts, if it has any.
    pub(crate) schema: Option<SchemaRef>,
}

impl Kept {
    /// Of a table without parts.
    pub(crate) fn nothing(table: &'static str) -> Self {
        Self { summary: TableSummary { table, rows: 0, bytes: 0, parts: 0 }, next: 0, schema: None }
    }
}

/// What stays of each table. Only reads: an error leaves everything as it is.
pub(crate) fn kept(dir: &Path, seal: &Seal) -> Result<Vec<Kept>> {
    TABLES.iter().map(|table| kept_of(dir, table, seal.next(table))).collect()
}

fn kept_of(dir: &Path, table: &'static str, next: u64) -> Result<Kept> {
    let folder = dir.join(table);
    let parts = parts::list(&folder)?;
    parts::check(&folder, &parts, next)?;
    let mut kept = Kept { next, ..Kept::nothing(table) };
    for part in parts.iter().take_while(|it| it.first < next) {
        let Footer { rows, bytes, schema, .. } = Footer::read(&part.path)?;
        kept.summary.rows += rows;
        kept.summary.bytes += bytes;
        kept.summary.parts += 1;
        match &kept.schema {
            Some(first) if *first != schema => {
                let (before, now) = (describe(first), describe(&schema));
                return Err(Error::Changed { table, before, now });
            }
            _ => kept.schema = Some(schema),
        }
    }
    Ok(kept)
}

/// Moves what came after the seal. Killed at any point and called again with the same seal, it
/// ends with the same files in the same places.
pub(crate) fn set_aside(dir: &Path, seal: &Seal) -> Result<()> {
    for table in TABLES {
        set_aside_table(dir, table, seal.next(table))?;
    }
    match Aside::pending(dir)? {
        Some(aside) => {
            let path = aside.done()?;
            tracing::info!(path = %path.display(), "what came after the checkpoint is set aside");
            Ok(())
        }
        None => Ok(()),
    }
}

/// The order matters. The rows of the write-ahead file come first, while the parts still say
/// whether they hold them. The parts go last and backwards: a reader that comes in between finds
/// the run's rows up to some moment, without a hole.
fn set_aside_table(dir: &Path, table: &'static str, next: u64) -> Result<()> {
    let folder = dir.join(table);
    let closed = parts::list(&folder)?;
    for (number, path) in wal::list(dir, table)? {
        let leftover = Leftover { dir, table, number, path: &path };
        match closed.iter().any(|it| it.holds(number)) {
            true => leftover.forget()?,
            false => leftover.settle(&Aside::open(dir)?.table(table)?)?,
        };
    }
    for path in parts::unfinished(&folder)? {
        Aside::open(dir)?.take(table, &path)?;
    }
    for Closed { path, .. } in closed.iter().rev().take_while(|it| it.first >= next) {
        Aside::open(dir)?.take(table, path)?;
    }
    Ok(())
}
