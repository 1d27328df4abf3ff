//! Uploads what the store lacks.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::Remote;
use super::lease::RemoteState;
use super::requests::Source;
use crate::catalog::{self, views};
use crate::checkpoint_names::{CHECKPOINTS, CHECKSUMS, parse_step};
use crate::disk::folder::list_names;
use crate::error::failed;
use crate::table::columns::TABLES;
use crate::table::part_names;
use crate::{Error, Result, Watermark};

/// Small files that are uploaded whenever they change. `views.sql` contains paths, so the store gets
/// a version with its own URL.
const SMALL_FILES: [&str; 4] = ["config.toml", "environment.json", "dataset.json", VIEWS];
const VIEWS: &str = "views.sql";

/// A run's folder, and what the store has of it.
pub(super) struct Uploader {
    remote: Remote,
    dir: PathBuf,
    state: RemoteState,
    /// The bytes of each small file at its last upload.
    small_files: BTreeMap<&'static str, Vec<u8>>,
}

impl Uploader {
    /// Acquires the store's folder for the run in `dir`, which continues after a watermark and a
    /// step.
    pub(super) fn start(
        remote: Remote,
        dir: &Path,
        run_id: &str,
        watermark: &Watermark,
        step: u64,
    ) -> Result<Self> {
        let state = remote.acquire(dir, run_id, watermark, step)?;
        Ok(Self { remote, dir: dir.to_owned(), state, small_files: BTreeMap::new() })
    }

    /// The URL of the store's folder.
    pub(super) fn url(&self) -> &str {
        self.remote.url()
    }

    /// Uploads everything that the store lacks, while this process holds the lease. Checkpoints are
    /// listed before parts: all parts that a listed checkpoint depends on are then closed, and are
    /// uploaded before it.
    pub(super) fn upload_missing(&mut self) -> Result<()> {
        let checkpoints = local_checkpoints(&self.dir)?;
        let parts = self.missing_parts()?;
        let small_files = self.changed_small_files()?;
        let is_uploaded = |name: &String| self.state.checkpoints.get(name) == Some(&true);
        let missing: Vec<String> =
            checkpoints.iter().filter(|name| !is_uploaded(name)).cloned().collect();
        let uploaded = self.state.checkpoints.keys();
        let removed: Vec<String> =
            uploaded.filter(|name| !checkpoints.contains(name)).cloned().collect();
        if parts.is_empty() && small_files.is_empty() && missing.is_empty() && removed.is_empty() {
            return Ok(());
        }
        self.check_lease()?;
        for (name, path) in parts {
            self.create(&name, &mut Source::open(&path)?)?;
            self.state.parts.insert(name);
        }
        for (name, bytes) in small_files {
            self.upload_small_file(name, bytes)?;
        }
        // The newest first: it is the most valuable one if this machine is lost.
        missing.iter().rev().try_for_each(|name| self.upload_checkpoint(name))?;
        // A checkpoint that the run removed stays until the store has another one to resume from.
        if checkpoints.iter().any(|name| self.state.checkpoints.get(name) == Some(&true)) {
            removed.iter().try_for_each(|name| self.remove_checkpoint(name))?;
        }
        Ok(())
    }

    /// Closed parts that the store lacks, by their names in the run's folder.
    fn missing_parts(&self) -> Result<Vec<(String, PathBuf)>> {
        let mut missing = Vec::new();
        for table in TABLES {
            for part in part_names::list(&self.dir.join(table))? {
                let file = part.path.file_name().unwrap_or_default().to_string_lossy();
                let name = format!("{table}/{file}");
                if !self.state.parts.contains(&name) {
                    missing.push((name, part.path));
                }
            }
        }
        Ok(missing)
    }

    /// Uploads a checkpoint. All its files are opened first, so that the upload is complete even if
    /// the run removes the checkpoint in the meantime.
    fn upload_checkpoint(&mut self, name: &str) -> Result<()> {
        let folder = self.dir.join(CHECKPOINTS).join(name);
        let mut files: Vec<String> = list_names(&folder)?;
        files.sort_by_key(|file| file == CHECKSUMS);
        let sources = files.into_iter().map(|file| Ok((Source::open(&folder.join(&file))?, file)));
        let sources = match sources.collect::<Result<Vec<_>>>() {
            Err(error) if is_not_found(&error) => return Ok(()),
            sources => sources?,
        };
        if sources.last().is_none_or(|(_, file)| file != CHECKSUMS) {
            // The run is removing it.
            return Ok(());
        }
        self.state.checkpoints.insert(name.to_owned(), false);
        for (mut source, file) in sources {
            let object = format!("{CHECKPOINTS}/{name}/{file}");
            match file == CHECKSUMS {
                true => self.create(&object, &mut source)?,
                false => self.remote.write_file(&object, &mut source)?,
            }
        }
        self.state.checkpoints.insert(name.to_owned(), true);
        Ok(())
    }

    /// Creates an object that makes rows or a checkpoint visible. Earlier uploads may have taken
    /// long, so the lease is checked again.
    fn create(&self, name: &str, source: &mut Source) -> Result<()> {
        self.check_lease()?;
        self.remote.create_file(name, source)
    }

    /// Checks that this process still holds the lease.
    fn check_lease(&self) -> Result<()> {
        self.remote.check_lease(&self.state.lease)
    }

    /// Removes a checkpoint. Its checksums go first, so that it is incomplete at once.
    fn remove_checkpoint(&mut self, name: &str) -> Result<()> {
        self.check_lease()?;
        let folder = format!("{CHECKPOINTS}/{name}");
        self.remote.delete(&format!("{folder}/{CHECKSUMS}"))?;
        let files = self.remote.list(&folder)?;
        files.keys().try_for_each(|file| self.remote.delete(file))?;
        self.state.checkpoints.remove(name);
        Ok(())
    }

    /// The small files that changed since their last upload.
    fn changed_small_files(&self) -> Result<Vec<(&'static str, Vec<u8>)>> {
        let mut changed = Vec::new();
        for name in SMALL_FILES {
            let path = self.dir.join(name);
            let bytes = match fs::read(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                bytes => bytes.map_err(failed("read", &path))?,
            };
            if self.small_files.get(name) != Some(&bytes) {
                changed.push((name, bytes));
            }
        }
        Ok(changed)
    }

    fn upload_small_file(&mut self, name: &'static str, bytes: Vec<u8>) -> Result<()> {
        let object = match name {
            VIEWS => views::sql(self.remote.url(), &catalog::tables(&self.dir)?).into_bytes(),
            _ => bytes.clone(),
        };
        self.remote.write(name, object)?;
        self.small_files.insert(name, bytes);
        Ok(())
    }
}

/// The checkpoints in a run's folder, by name, from the oldest to the newest. All are complete.
fn local_checkpoints(dir: &Path) -> Result<Vec<String>> {
    let mut names = list_names(&dir.join(CHECKPOINTS))?;
    names.retain(|name| parse_step(name).is_some());
    names.sort_by_key(|name| parse_step(name));
    Ok(names)
}

fn is_not_found(error: &Error) -> bool {
    matches!(error, Error::File { source, .. } if source.kind() == ErrorKind::NotFound)
}
