//! A run's folder is made again from the store.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use futures_util::TryStreamExt;
use object_store::ObjectStoreExt;

use super::Remote;
use crate::columns::TABLES;
use crate::publish::{failed, make_folder, publish, temporary};
use crate::{Error, Result, Seal, parts};

/// Where checkpoints are, in a run's folder.
pub(super) const CHECKPOINTS: &str = "checkpoints";

/// The file that makes a checkpoint whole, and is written last.
pub(super) const SUMS: &str = "SHA256SUMS";

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
        let folder = format!("{CHECKPOINTS}/step-{step:08}");
        for name in self.list(&folder)?.keys() {
            let file = name.rsplit('/').next().unwrap_or_default();
            self.fetch(name, &into.join(file))?;
        }
        Ok(())
    }

    /// Copies the parts that belong to a seal into the folder `dir` of a run that nobody writes.
    /// Those that are there are left as they are.
    ///
    /// # Errors
    /// [`Error::Gone`] when the store lacks one, [`Error::Remote`] and [`Error::File`].
    pub fn fetch_tables(&self, dir: &Path, seal: &Seal) -> Result<()> {
        for table in TABLES {
            let folder = dir.join(table);
            make_folder(&folder)?;
            let mut number = 0;
            let mut found: Vec<_> = self
                .list(table)?
                .into_keys()
                .filter_map(|it| Some((parts::parse(it.rsplit('/').next()?)?, it)))
                .collect();
            found.sort();
            for ((first, last), name) in found {
                if first != number || last >= seal.next(table) {
                    break;
                }
                let path = parts::path(&folder, first, last);
                if !path.exists() {
                    self.fetch(&name, &path)?;
                }
                number = last + 1;
            }
            if number < seal.next(table) {
                let path = parts::path(Path::new(table), number, number);
                return Err(Error::Gone { place: format!("{}/{}", self.url, path.display()) });
            }
        }
        Ok(())
    }

    /// Copies an object, if it is there, to a file that appears when it is whole.
    ///
    /// # Errors
    /// [`Error::Remote`] and [`Error::File`].
    pub fn fetch(&self, name: &str, path: &Path) -> Result<()> {
        let key = self.key(name);
        let written = temporary(path);
        let mut file = File::create(&written).map_err(failed("create", &written))?;
        let mut full = Ok(());
        let copied = async {
            let mut found = self.store.get(&key).await?.into_stream();
            while let Some(bytes) = found.try_next().await? {
                full = file.write_all(&bytes);
                if full.is_err() {
                    break;
                }
            }
            Ok(())
        };
        let copied = self.wait("read", name, copied);
        let copied = copied.and(full.map_err(failed("write", &written)));
        if copied.is_err() {
            // Half a file is of no use to anybody.
            let _ = std::fs::remove_file(&written);
        }
        copied?;
        publish(&file, path)
    }
}
