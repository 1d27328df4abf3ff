//! Superseded files are moved to a folder and never deleted.
//!
//! Files that are superseded together are moved to `<dir>/superseded/<n>.moving`, which is renamed
//! to `<dir>/superseded/<n>` when all are there. After a crash in between, the next start fills the
//! same folder, so the files end up in the same place. No reader's `<dir>/<table>/*.parquet` matches
//! them.

use std::path::{Path, PathBuf};

use crate::Result;
use crate::disk::folder::{create_folder, list_names, sync_parent};
use crate::disk::rename;

const MOVING: &str = ".moving";

/// A folder of superseded files that is being filled.
pub(crate) struct Superseded {
    moving: PathBuf,
    finished: PathBuf,
}

impl Superseded {
    /// The folder that a crash left unfinished in the run's folder `dir`, or a new one.
    pub(crate) fn open(dir: &Path) -> Result<Self> {
        if let Some(pending) = Self::pending(dir)? {
            return Ok(pending);
        }
        let names = list_names(&folder(dir))?;
        let last = names.iter().filter_map(|name| name.parse::<u64>().ok()).max();
        let superseded = Self::new(dir, last.map_or(0, |last| last + 1));
        create_folder(&superseded.moving)?;
        Ok(superseded)
    }

    /// The folder that is being filled, or that a crash left unfinished.
    pub(crate) fn pending(dir: &Path) -> Result<Option<Self>> {
        let names = list_names(&folder(dir))?;
        let mut numbers = names.iter().filter_map(|name| name.strip_suffix(MOVING)?.parse().ok());
        Ok(numbers.next().map(|number| Self::new(dir, number)))
    }

    fn new(dir: &Path, number: u64) -> Self {
        let finished = folder(dir).join(number.to_string());
        Self { moving: finished.with_file_name(format!("{number}{MOVING}")), finished }
    }

    /// The folder for a table's files.
    pub(crate) fn table_folder(&self, table: &str) -> Result<PathBuf> {
        let path = self.moving.join(table);
        create_folder(&path)?;
        Ok(path)
    }

    /// Moves a file of a table here.
    pub(crate) fn add_file(&self, table: &str, file: &Path) -> Result<()> {
        let folder = self.table_folder(table)?;
        rename(file, &folder.join(file.file_name().unwrap_or_default()))?;
        sync_parent(file)
    }

    /// Whether there are files of a table.
    pub(crate) fn contains(&self, table: &str) -> bool {
        self.moving.join(table).exists()
    }

    /// Moves a table's whole folder here. There must be no files of the table yet.
    pub(crate) fn add_folder(&self, table: &str, from: &Path) -> Result<()> {
        rename(from, &self.moving.join(table))?;
        sync_parent(from)
    }

    /// Gives the folder its final name, and returns it.
    pub(crate) fn finish(self) -> Result<PathBuf> {
        rename(&self.moving, &self.finished)?;
        Ok(self.finished)
    }
}

fn folder(dir: &Path) -> PathBuf {
    dir.join("superseded")
}
