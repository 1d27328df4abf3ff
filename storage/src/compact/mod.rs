//! Few large parts of many small ones.
//!
//! ```text
//! metrics/part-00000 .. part-00041      compacting/metrics/part-00000-00041
//!                     \____ exchanged at once ____/
//!                                         | moved as it is
//!                                  superseded/<n>/metrics/part-00000 .. part-00041
//! ```
//!
//! A reader lists either folder whole. The old one is moved and not emptied: a reader that began to
//! list it before must find all of it, or it would take some rows for all.

mod merge;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde::Serialize;

use crate::compact::merge::{Group, groups};
use crate::disk::fault::point;
use crate::disk::lock;
use crate::disk::publish::{failed, make_folder, sync_folder};
use crate::resume::recover;
use crate::resume::superseded::Aside;
use crate::table::columns::TABLES;
use crate::table::part_names::{self as parts, names};
use crate::{Result, Seal};

/// What became of the tables of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Compacted {
    /// The tables that have parts.
    pub tables: Vec<CompactedTable>,
    /// Where the parts are that were merged; nothing when none were. It may be removed once no
    /// reader has one of them open.
    pub superseded: Option<PathBuf>,
}

/// What became of one table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CompactedTable {
    /// `metrics`, `embeddings`, `streams` or `events`.
    pub table: &'static str,
    /// Rows, the same before and after.
    pub rows: u64,
    /// Files before.
    pub parts_before: u64,
    /// Files after.
    pub parts_after: u64,
}

/// Merges neighbouring small parts of a run that nobody writes, after [`recover`](fn@crate::recover).
/// No merged part holds rows from before and after one of the `boundaries`: these are the
/// checkpoints that the run may still be resumed from.
///
/// A reader sees the same rows at every moment. One that listed a table before and opens a merged
/// part after is told that the file is not there, and lists again. Killed at any point and called
/// again, it ends with the same files.
///
/// # Errors
/// [`Error::Busy`](crate::Error::Busy) while the run is being written, what
/// [`recover`](fn@crate::recover) returns, and [`Error::Unreadable`](crate::Error::Unreadable) or
/// [`Error::Differs`](crate::Error::Differs), which leave the table as it is.
pub fn compact(dir: &Path, boundaries: &[Seal]) -> Result<Compacted> {
    let _lock = lock::lock(dir)?;
    recover::locked(dir)?;
    let mut tables = Vec::new();
    for table in TABLES {
        finish(dir, table)?;
        let boundaries = boundaries.iter().map(|it| it.next(table)).collect();
        tables.extend(compact_table(dir, table, &boundaries)?);
    }
    let new = folder(dir);
    if new.exists() {
        fs::remove_dir(&new).map_err(failed("remove", &new))?;
    }
    let superseded = Aside::pending(dir)?.map(Aside::done).transpose()?;
    Ok(Compacted { tables, superseded })
}

/// Where new folders of tables are made.
fn folder(dir: &Path) -> PathBuf {
    dir.join("compacting")
}

/// Clears up after a compaction that was killed. Before the exchange there are fewer parts in the
/// new folder than in the table, and after it more.
fn finish(dir: &Path, table: &'static str) -> Result<()> {
    let left = folder(dir).join(table);
    if !left.exists() {
        return Ok(());
    }
    if parts::list(&left)?.len() > parts::list(&dir.join(table))?.len() {
        return set_aside(dir, table, &left);
    }
    point("compact.clear");
    fs::remove_dir_all(&left).map_err(failed("remove", &left))?;
    point("compact.cleared");
    Ok(())
}

fn compact_table(
    dir: &Path,
    table: &'static str,
    boundaries: &BTreeSet<u64>,
) -> Result<Option<CompactedTable>> {
    let old = dir.join(table);
    let parts = parts::list(&old)?;
    let parts_before = parts.len() as u64;
    let groups = groups(parts, boundaries)?;
    let rows = groups.iter().map(|it| it.rows).sum();
    let parts_after = groups.len() as u64;
    if parts_after < parts_before {
        let new = folder(dir).join(table);
        fill(&old, &new, &groups)?;
        exchange(&old, &new)?;
        set_aside(dir, table, &new)?;
    }
    let compacted = CompactedTable { table, rows, parts_before, parts_after };
    Ok((parts_before > 0).then_some(compacted))
}

/// Makes the new folder: merged parts, and links to all other files of the old one.
fn fill(old: &Path, new: &Path, groups: &[Group]) -> Result<()> {
    make_folder(new)?;
    let permissions = fs::metadata(old).map(|it| it.permissions());
    let permissions = permissions.and_then(|it| fs::set_permissions(new, it));
    permissions.map_err(failed("copy the permissions to", new))?;
    let merged = groups.iter().filter(|it| it.parts.len() > 1);
    let replaced: BTreeSet<&Path> =
        merged.clone().flat_map(|it| &it.parts).map(|it| it.path.as_path()).collect();
    for name in names(old)? {
        let from = old.join(&name);
        if !replaced.contains(from.as_path()) {
            point("compact.link");
            fs::hard_link(&from, new.join(name)).map_err(failed("link", &from))?;
            point("compact.linked");
        }
    }
    merged.into_iter().try_for_each(|it| it.merge_into(new))?;
    sync_folder(new)
}

/// Both folders last under their new names before anything else happens to them.
fn exchange(old: &Path, new: &Path) -> Result<()> {
    point("compact.exchange");
    renameat_with(CWD, old, CWD, new, RenameFlags::EXCHANGE)
        .map_err(|error| failed("exchange", old)(error.into()))?;
    point("compact.exchanged");
    [old, new].into_iter().filter_map(Path::parent).try_for_each(sync_folder)
}

fn set_aside(dir: &Path, table: &str, old: &Path) -> Result<()> {
    let mut aside = Aside::open(dir)?;
    if aside.holds(table) {
        aside.done()?;
        aside = Aside::open(dir)?;
    }
    aside.take_folder(table, old)
}
