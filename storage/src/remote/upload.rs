//! Copies what the store lacks.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::Remote;
use super::fetch::{CHECKPOINTS, SUMS, step};
use super::lease::There;
use super::requests::Source;
use crate::catalog::views;
use crate::disk::publish::failed;
use crate::table::columns::TABLES;
use crate::table::part_names as parts;
use crate::{Error, Result, Seal, catalog};

/// Small files that are copied whenever they change. `views.sql` names folders, so that the store
/// has one of its own.
const BESIDE: [&str; 4] = ["config.toml", "environment.json", "dataset.json", VIEWS];
const VIEWS: &str = "views.sql";

/// A run's folder, and what of it is in the store.
pub(super) struct Shipper {
    remote: Remote,
    dir: PathBuf,
    there: There,
    /// The small files as they were copied last.
    beside: BTreeMap<&'static str, Vec<u8>>,
}

impl Shipper {
    /// Takes the store's folder.
    pub(super) fn begin(
        remote: Remote,
        dir: &Path,
        run_id: &str,
        seal: &Seal,
        step: u64,
    ) -> Result<Self> {
        let there = remote.claim(dir, run_id, seal, step)?;
        let dir = dir.to_owned();
        Ok(Self { remote, dir, there, beside: BTreeMap::new() })
    }

    /// The store's folder.
    pub(super) fn url(&self) -> &str {
        self.remote.url()
    }

    /// Copies all that the store lacks, as long as it is this process's. Checkpoints are looked at
    /// first: the parts that they count on are closed already, and so are there before a checkpoint
    /// is whole.
    pub(super) fn pass(&mut self) -> Result<()> {
        let checkpoints = checkpoints(&self.dir)?;
        let parts = self.missing_parts()?;
        let beside = self.changed_beside()?;
        let whole = |it: &String| self.there.checkpoints.get(it) == Some(&true);
        let missing: Vec<String> = checkpoints.iter().filter(|it| !whole(it)).cloned().collect();
        let known = self.there.checkpoints.keys();
        let gone: Vec<String> = known.filter(|it| !checkpoints.contains(it)).cloned().collect();
        if parts.is_empty() && beside.is_empty() && missing.is_empty() && gone.is_empty() {
            return Ok(());
        }
        self.check()?;
        for (name, path) in parts {
            self.create(&name, &mut Source::open(&path)?)?;
            self.there.parts.insert(name);
        }
        for (name, bytes) in beside {
            self.ship_beside(name, bytes)?;
        }
        // The newest first: it is the one that a lost machine would be missed for.
        missing.iter().rev().try_for_each(|it| self.ship_checkpoint(it))?;
        // One that the run has removed stays until there is another one to go on from.
        if checkpoints.iter().any(|it| self.there.checkpoints.get(it) == Some(&true)) {
            gone.iter().try_for_each(|it| self.remove_checkpoint(it))?;
        }
        Ok(())
    }

    /// Closed parts that the store lacks, by their names in the run's folder.
    fn missing_parts(&self) -> Result<Vec<(String, PathBuf)>> {
        let mut missing = Vec::new();
        for table in TABLES {
            for part in parts::list(&self.dir.join(table))? {
                let file = part.path.file_name().unwrap_or_default().to_string_lossy();
                let name = format!("{table}/{file}");
                if !self.there.parts.contains(&name) {
                    missing.push((name, part.path));
                }
            }
        }
        Ok(missing)
    }

    /// Copies a checkpoint. All its files are opened first, so that it comes whole also when the run
    /// removes it meanwhile.
    fn ship_checkpoint(&mut self, name: &str) -> Result<()> {
        let folder = self.dir.join(CHECKPOINTS).join(name);
        let mut files: Vec<String> = parts::names(&folder)?;
        files.sort_by_key(|it| it == SUMS);
        let sources = files.into_iter().map(|it| Ok((Source::open(&folder.join(&it))?, it)));
        let sources = match sources.collect::<Result<Vec<_>>>() {
            Err(error) if is_gone(&error) => return Ok(()),
            other => other?,
        };
        if sources.last().is_none_or(|it| it.1 != SUMS) {
            // It is being removed.
            return Ok(());
        }
        self.there.checkpoints.insert(name.to_owned(), false);
        for (mut source, file) in sources {
            let object = format!("{CHECKPOINTS}/{name}/{file}");
            match file == SUMS {
                true => self.create(&object, &mut source)?,
                false => self.remote.write_file(&object, &mut source)?,
            }
        }
        self.there.checkpoints.insert(name.to_owned(), true);
        Ok(())
    }

    /// Creates what makes rows or a checkpoint seen. A pass may take long, so that it looks first.
    fn create(&self, name: &str, source: &mut Source) -> Result<()> {
        self.check()?;
        self.remote.create_file(name, source)
    }

    /// Whether the store's folder is still this process's.
    fn check(&self) -> Result<()> {
        self.remote.check(&self.there.claim)
    }

    /// Removes a checkpoint, which is not whole from the first moment on.
    fn remove_checkpoint(&mut self, name: &str) -> Result<()> {
        self.check()?;
        let folder = format!("{CHECKPOINTS}/{name}");
        self.remote.delete(&format!("{folder}/{SUMS}"))?;
        let files = self.remote.list(&folder)?;
        files.keys().try_for_each(|it| self.remote.delete(it))?;
        self.there.checkpoints.remove(name);
        Ok(())
    }

    /// The small files that are not as they were copied.
    fn changed_beside(&self) -> Result<Vec<(&'static str, Vec<u8>)>> {
        let mut changed = Vec::new();
        for name in BESIDE {
            let path = self.dir.join(name);
            let bytes = match fs::read(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                other => other.map_err(failed("read", &path))?,
            };
            if self.beside.get(name) != Some(&bytes) {
                changed.push((name, bytes));
            }
        }
        Ok(changed)
    }

    fn ship_beside(&mut self, name: &'static str, bytes: Vec<u8>) -> Result<()> {
        let shipped = match name {
            VIEWS => views::sql(self.remote.url(), &catalog::tables(&self.dir)?).into_bytes(),
            _ => bytes.clone(),
        };
        self.remote.write(name, shipped)?;
        self.beside.insert(name, bytes);
        Ok(())
    }
}

/// The checkpoints of a run's folder, by name. Each is whole.
fn checkpoints(dir: &Path) -> Result<Vec<String>> {
    let mut names = parts::names(&dir.join(CHECKPOINTS))?;
    names.retain(|it| step(it).is_some());
    names.sort_by_key(|it| step(it));
    Ok(names)
}

fn is_gone(error: &Error) -> bool {
    matches!(error, Error::File { source, .. } if source.kind() == ErrorKind::NotFound)
}
