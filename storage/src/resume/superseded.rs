//! What no longer counts is set aside, not deleted.
//!
//! Everything that is set aside at once goes to `<dir>/superseded/<n>.moving`, which becomes
//! `<dir>/superseded/<n>` when all is there. A crash in between leaves the folder for the next
//! start to fill, so that both ways end in the same place. No reader's `<dir>/<table>/*.parquet`
//! finds any of it.

use std::path::{Path, PathBuf};

use crate::Result;
use crate::disk::publish::{make_folder, rename, sync_folder, sync_parent};
use crate::table::part_names::names;

const MOVING: &str = ".moving";

/// A folder that is being filled.
pub(crate) struct Aside {
    moving: PathBuf,
    done: PathBuf,
}

impl Aside {
    /// Goes on with the folder that a crash left in a run's folder; begins the next one if there
    /// is none.
    pub(crate) fn open(dir: &Path) -> Result<Self> {
        if let Some(pending) = Self::pending(dir)? {
            return Ok(pending);
        }
        let taken = names(&folder(dir))?;
        let next =
            taken.iter().filter_map(|it| it.parse::<u64>().ok()).max().map_or(0, |it| it + 1);
        let aside = Self::number(dir, next);
        make_folder(&aside.moving)?;
        Ok(aside)
    }

    /// The folder that a crash left.
    pub(crate) fn pending(dir: &Path) -> Result<Option<Self>> {
        let names = names(&folder(dir))?;
        let mut numbers = names.iter().filter_map(|it| it.strip_suffix(MOVING)?.parse().ok());
        Ok(numbers.next().map(|it| Self::number(dir, it)))
    }

    fn number(dir: &Path, number: u64) -> Self {
        let done = folder(dir).join(number.to_string());
        Self { moving: done.with_file_name(format!("{number}{MOVING}")), done }
    }

    /// Where a table's files go.
    pub(crate) fn table(&self, table: &str) -> Result<PathBuf> {
        let path = self.moving.join(table);
        make_folder(&path)?;
        Ok(path)
    }

    /// Moves a file of a table.
    pub(crate) fn take(&self, table: &str, file: &Path) -> Result<()> {
        let to = self.table(table)?;
        rename(file, &to.join(file.file_name().unwrap_or_default()))?;
        sync_folder(&to)?;
        sync_parent(file)
    }

    /// Whether something of a table is in it.
    pub(crate) fn holds(&self, table: &str) -> bool {
        self.moving.join(table).exists()
    }

    /// Moves the folder of a table, of which nothing is in it yet.
    pub(crate) fn take_folder(&self, table: &str, from: &Path) -> Result<()> {
        rename(from, &self.moving.join(table))?;
        sync_folder(&self.moving)?;
        sync_parent(from)
    }

    /// All is there. Returns where.
    pub(crate) fn done(self) -> Result<PathBuf> {
        rename(&self.moving, &self.done)?;
        sync_parent(&self.done)?;
        Ok(self.done)
    }
}

fn folder(dir: &Path) -> PathBuf {
    dir.join("superseded")
}
