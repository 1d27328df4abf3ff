//! Merges many small parts into a few large ones.
//!
//! ```text
//! metrics/part-00000 .. part-00041      compacting/metrics/part-00000-00041
//!                     \____ exchanged atomically ____/
//!                                         | moved as a whole
//!                                  superseded/<n>/metrics/part-00000 .. part-00041
//! ```
//!
//! A reader lists either the old or the new folder, and both are complete. The old folder is moved
//! and not emptied: a reader that was just listing an emptied folder would miss rows unnoticed.

mod merge;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde::Serialize;

use crate::compact::merge::{MergeGroup, groups};
use crate::disk::fault::point;
use crate::disk::folder::{create_folder, list_names, sync_folder};
use crate::disk::lock::lock;
use crate::error::failed;
use crate::resume::recover::recover_locked;
use crate::resume::superseded::Superseded;
use crate::table::columns::TABLES;
use crate::table::part_names;
use crate::{Result, Watermark};

/// The result of compacting a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CompactedRun {
    /// The tables that have parts.
    pub tables: Vec<CompactedTable>,
    /// The folder with the parts that were merged, or `None` if none were. It may be removed when no
    /// reader has one of them open.
    pub superseded: Option<PathBuf>,
}

/// The result of compacting a table.
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

/// Merges neighbouring small parts of a run that no process writes, after
/// [`recover`](fn@crate::recover). A merged part never holds rows from before and after one of the
/// `boundaries`, which are the checkpoints that the run may still resume from.
///
/// A reader sees the same rows at every moment. A reader that listed a table before and opens a
/// part after it was merged gets "file not found", and must list the table again. If it is killed at
/// any point and called again, it ends with the same files.
///
/// # Errors
/// [`Error::Locked`](crate::Error::Locked) while a process writes the run, the errors of
/// [`recover`](fn@crate::recover), and [`Error::Unreadable`](crate::Error::Unreadable) or
/// [`Error::MergeMismatch`](crate::Error::MergeMismatch), which leave the table as it was.
pub fn compact(dir: &Path, boundaries: &[Watermark]) -> Result<CompactedRun> {
    let _lock = lock(dir)?;
    recover_locked(dir)?;
    let mut tables = Vec::new();
    for table in TABLES {
        clean_up(dir, table)?;
        let boundaries = boundaries.iter().map(|watermark| watermark.next(table)).collect();
        tables.extend(compact_table(dir, table, &boundaries)?);
    }
    let new = folder(dir);
    if new.exists() {
        fs::remove_dir(&new).map_err(failed("remove", &new))?;
    }
    let superseded = Superseded::pending(dir)?.map(Superseded::finish).transpose()?;
    Ok(CompactedRun { tables, superseded })
}

/// Where the new folders of tables are made.
fn folder(dir: &Path) -> PathBuf {
    dir.join("compacting")
}

/// Cleans up after a compaction that was killed. Before the exchange, the folder in `compacting/`
/// has fewer parts than the table; after it, it has more.
fn clean_up(dir: &Path, table: &'static str) -> Result<()> {
    let left = folder(dir).join(table);
    if !left.exists() {
        return Ok(());
    }
    if part_names::list(&left)?.len() > part_names::list(&dir.join(table))?.len() {
        return supersede(dir, table, &left);
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
    let parts = part_names::list(&old)?;
    let parts_before = parts.len() as u64;
    let groups = groups(parts, boundaries)?;
    let rows = groups.iter().map(|group| group.rows).sum();
    let parts_after = groups.len() as u64;
    if parts_after < parts_before {
        let new = folder(dir).join(table);
        fill(&old, &new, &groups)?;
        exchange(&old, &new)?;
        supersede(dir, table, &new)?;
    }
    let compacted = CompactedTable { table, rows, parts_before, parts_after };
    Ok((parts_before > 0).then_some(compacted))
}

/// Makes the new folder, with the merged parts and with links to all other files of the old folder.
fn fill(old: &Path, new: &Path, groups: &[MergeGroup]) -> Result<()> {
    create_folder(new)?;
    let permissions = fs::metadata(old).map(|metadata| metadata.permissions());
    let permissions = permissions.and_then(|permissions| fs::set_permissions(new, permissions));
    permissions.map_err(failed("copy the permissions to", new))?;
    let merged = groups.iter().filter(|group| group.parts.len() > 1);
    let replaced: BTreeSet<&Path> =
        merged.clone().flat_map(|group| &group.parts).map(|part| part.path.as_path()).collect();
    for name in list_names(old)? {
        let from = old.join(&name);
        if !replaced.contains(from.as_path()) {
            point("compact.link");
            fs::hard_link(&from, new.join(name)).map_err(failed("link", &from))?;
            point("compact.linked");
        }
    }
    merged.into_iter().try_for_each(|group| group.merge_into(new))?;
    sync_folder(new)
}

/// Exchanges both folders, and waits until their new names are on disk.
fn exchange(old: &Path, new: &Path) -> Result<()> {
    point("compact.exchange");
    renameat_with(CWD, old, CWD, new, RenameFlags::EXCHANGE)
        .map_err(|error| failed("exchange", old)(error.into()))?;
    point("compact.exchanged");
    [old, new].into_iter().filter_map(Path::parent).try_for_each(sync_folder)
}

fn supersede(dir: &Path, table: &str, old: &Path) -> Result<()> {
    let mut superseded = Superseded::open(dir)?;
    if superseded.contains(table) {
        superseded.finish()?;
        superseded = Superseded::open(dir)?;
    }
    superseded.add_folder(table, old)
}
