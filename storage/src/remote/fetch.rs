//! Restores a run's folder from the store.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use object_store::ObjectStoreExt;

use super::Remote;
use crate::checkpoint_names::{CHECKPOINTS, CHECKSUMS, parse_step, step_name};
use crate::disk::folder::create_folder;
use crate::disk::publish::{publish, temporary};
use crate::error::failed;
use crate::table::columns::TABLES;
use crate::table::part_names;
use crate::{Error, Result, Watermark, catalog, resume};

impl Remote {
    /// The steps of the complete checkpoints, in ascending order.
    ///
    /// # Errors
    /// [`Error::Remote`] when the store cannot be read.
    pub fn steps(&self) -> Result<Vec<u64>> {
        let objects = self.list(CHECKPOINTS)?;
        let complete =
            objects.keys().filter_map(|name| name.strip_suffix(CHECKSUMS)?.strip_suffix('/'));
        let step = |name: &str| parse_step(name.strip_prefix(CHECKPOINTS)?.strip_prefix('/')?);
        let mut steps: Vec<u64> = complete.filter_map(step).collect();
        steps.sort_unstable();
        Ok(steps)
    }

    /// Copies the files of a step's checkpoint into an existing folder.
    ///
    /// # Errors
    /// [`Error::Remote`] and [`Error::File`].
    pub fn fetch_checkpoint(&self, step: u64, into: &Path) -> Result<()> {
        let folder = format!("{CHECKPOINTS}/{}", step_name(step));
        for name in self.list(&folder)?.keys() {
            let file = name.rsplit('/').next().unwrap_or_default();
            self.fetch(name, &into.join(file))?;
        }
        Ok(())
    }

    /// Copies all parts into the run's folder `dir`, to which no process may write, and writes its
    /// catalog. Parts that an earlier attempt left there are overwritten, or moved to `superseded/`
    /// if the store no longer has them.
    ///
    /// # Errors
    /// [`Error::MissingObject`] when the store lacks a part that belongs to the watermark,
    /// [`Error::Remote`] and [`Error::File`].
    pub fn fetch_tables(&self, dir: &Path, watermark: &Watermark) -> Result<()> {
        let mut fetched = Vec::new();
        for table in TABLES {
            let folder = dir.join(table);
            create_folder(&folder)?;
            let names = self.list(table)?.into_keys();
            let mut parts: Vec<_> = names
                .filter_map(|name| Some((part_names::parse(name.rsplit('/').next()?)?, name)))
                .collect();
            parts.sort();
            let mut number = 0;
            for ((first, last), name) in parts {
                if first != number {
                    break;
                }
                self.fetch(&name, &part_names::path(&folder, first, last))?;
                number = last + 1;
            }
            if number < watermark.next(table) {
                let path = part_names::path(Path::new(table), number, number);
                let url = format!("{}/{}", self.url, path.display());
                return Err(Error::MissingObject { url });
            }
            fetched.push((table, number));
        }
        resume::supersede(dir, &Watermark::new(fetched.into_iter()))?;
        catalog::refresh(dir)
    }

    /// Copies an object to a file, which appears when it is complete.
    ///
    /// # Errors
    /// [`Error::Remote`] and [`Error::File`].
    pub fn fetch(&self, name: &str, path: &Path) -> Result<()> {
        let size = self.wait("read", name, self.store.head(&self.key(name)))?.size;
        let unfinished = temporary(path);
        let mut file = File::create(&unfinished).map_err(failed("create", &unfinished))?;
        let copied = self
            .chunks(name, size)
            .try_for_each(|chunk| file.write_all(&chunk?).map_err(failed("write", &unfinished)));
        if copied.is_err() {
            // An incomplete file is useless.
            let _ = fs::remove_file(&unfinished);
        }
        copied?;
        publish(&file, path)
    }
}
