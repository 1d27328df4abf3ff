//! A run's folder is made again from the store.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use object_store::ObjectStoreExt;

use super::Remote;
use crate::disk::publish::{failed, make_folder, publish, temporary};
use crate::table::columns::TABLES;
use crate::table::part_names as parts;
use crate::{Error, Result, Seal, catalog, resume};

/// Where checkpoints are, in a run's folder.
pub(super) const CHECKPOINTS: &str = "checkpoints";

/// The file that makes a checkpoint whole, and is written last.
pub(super) const SUMS: &str = "SHA256SUMS";

/// The name of a step's checkpoint.
pub(super) fn folder_of(step: u64) -> String {
    format!("step-{step:08}")
}

/// The step of a checkpoint's name.
pub(super) fn step(name: &str) -> Option<u64> {
    name.strip_prefix("step-")?.parse().ok()
}

impl Remote {
    /// The steps of the checkpoints that are whole, in ascending order.
    ///
    /// # Errors
    /// [`Error::Remote`] when the store cannot be asked.
    pub fn steps(&self) -> Result<Vec<u64>> {
        let found = self.list(CHECKPOINTS)?;
        let whole = found.keys().filter_map(|it| it.strip_suffix(SUMS)?.strip_suffix('/'));
        let mut steps: Vec<u64> =
            whole.filter_map(|it| step(it.strip_prefix(CHECKPOINTS)?.strip_prefix('/')?)).collect();
        steps.sort_unstable();
        Ok(steps)
    }

    /// Copies the files of a step's checkpoint into a folder that is there.
    ///
    /// # Errors
    /// [`Error::Remote`] and [`Error::File`].
    pub fn fetch_checkpoint(&self, step: u64, into: &Path) -> Result<()> {
        let folder = format!("{CHECKPOINTS}/{}", folder_of(step));
        for name in self.list(&folder)?.keys() {
            let file = name.rsplit('/').next().unwrap_or_default();
            self.fetch(name, &into.join(file))?;
        }
        Ok(())
    }

    /// Copies all parts into the folder `dir` of a run that nobody writes, and lists them beside.
    /// Those that are there are of an earlier attempt: they are written over, or set aside where the
    /// store has none of the name any more.
    ///
    /// # Errors
    /// [`Error::Gone`] when the store lacks one that belongs to the seal, [`Error::Remote`] and
    /// [`Error::File`].
    pub fn fetch_tables(&self, dir: &Path, seal: &Seal) -> Result<()> {
        let mut fetched = Vec::new();
        for table in TABLES {
            let folder = dir.join(table);
            make_folder(&folder)?;
            let found = self.list(table)?.into_keys();
            let mut found: Vec<_> =
                found.filter_map(|it| Some((parts::parse(it.rsplit('/').next()?)?, it))).collect();
            found.sort();
            let mut number = 0;
            for ((first, last), name) in found {
                if first != number {
                    break;
                }
                self.fetch(&name, &parts::path(&folder, first, last))?;
                number = last + 1;
            }
            if number < seal.next(table) {
                let path = parts::path(Path::new(table), number, number);
                return Err(Error::Gone { place: format!("{}/{}", self.url, path.display()) });
            }
            fetched.push((table, number));
        }
        resume::set_aside(dir, &Seal::of(fetched.into_iter()))?;
        catalog::refresh(dir)
    }

    /// Copies an object to a file that appears when it is whole.
    ///
    /// # Errors
    /// [`Error::Remote`] and [`Error::File`].
    pub fn fetch(&self, name: &str, path: &Path) -> Result<()> {
        let size = self.wait("read", name, self.store.head(&self.key(name)))?.size;
        let written = temporary(path);
        let mut file = File::create(&written).map_err(failed("create", &written))?;
        let copied = self
            .chunks(name, size)
            .try_for_each(|chunk| file.write_all(&chunk?).map_err(failed("write", &written)));
        if copied.is_err() {
            // Half a file is of no use to anybody.
            let _ = fs::remove_file(&written);
        }
        copied?;
        publish(&file, path)
    }
}
