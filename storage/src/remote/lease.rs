//! The right of one process to write a run's folder in the store.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::Remote;
use super::requests::STAGING;
use crate::checkpoint_names::{CHECKPOINTS, CHECKSUMS, parse_step, step_name};
use crate::error::failed;
use crate::table::columns::TABLES;
use crate::table::part_names::{self, ClosedPart};
use crate::{Error, Result, Watermark};

/// The object that holds the lease.
const RUN: &str = "run.json";

/// The run that owns the folder, and the process that writes it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Lease {
    run_id: String,
    /// Differs at every start of the run.
    session: String,
}

/// What the store has of a run.
#[derive(Debug)]
pub(super) struct RemoteState {
    pub(super) lease: Lease,
    /// Closed parts, by their names in the run's folder.
    pub(super) parts: BTreeSet<String>,
    /// Checkpoints by name, and whether each is complete.
    pub(super) checkpoints: BTreeMap<String, bool>,
}

impl Remote {
    /// The id of the run that owns the folder, or `None` for an empty folder.
    ///
    /// # Errors
    /// [`Error::Remote`] when the store cannot be read.
    pub fn owner(&self) -> Result<Option<String>> {
        Ok(self.read_lease()?.map(|lease| lease.run_id))
    }

    /// The lease in `run.json`. A file that cannot be parsed belongs to an unknown run.
    fn read_lease(&self) -> Result<Option<Lease>> {
        let unknown = || Lease { run_id: "unknown".to_owned(), session: String::new() };
        let bytes = self.read(RUN)?;
        Ok(bytes.map(|bytes| serde_json::from_slice(&bytes).unwrap_or_else(|_| unknown())))
    }

    /// Renames the folder to `<url>.<n>`, so that a new run can start in an empty one. Returns the
    /// new URL, or `None` if the folder was empty. If it is killed and called again, it continues
    /// with the same new folder.
    ///
    /// # Errors
    /// [`Error::Remote`] when the store cannot be written.
    pub fn rename_folder(&self) -> Result<Option<String>> {
        let mut names: Vec<String> = self.list("")?.into_keys().collect();
        if names.is_empty() {
            return Ok(None);
        }
        // The lease goes last: a folder without it is one that is still being filled.
        names.sort_by_key(|name| name == RUN);
        let (mut number, lease) = (1, self.read_lease()?);
        let other = loop {
            let other = self.numbered(number)?;
            match other.read_lease()? {
                None => break other,
                // It was filled, and only the removal of the old lease is missing.
                other_lease if other_lease == lease && names == [RUN] => break other,
                _ => number += 1,
            }
        };
        names.iter().try_for_each(|name| self.rename(name, &other.key(name)))?;
        Ok(Some(other.url))
    }

    /// The folder `<url>.<number>`.
    pub(super) fn numbered(&self, number: u64) -> Result<Self> {
        let mut parts: Vec<_> = self.folder.parts().map(|part| part.as_ref().to_owned()).collect();
        if let Some(last) = parts.last_mut() {
            last.push_str(&format!(".{number}"));
        }
        let folder = parts.iter().map(String::as_str).collect();
        Self::over(self.store.clone(), folder, format!("{}.{number}", self.url))
    }

    /// Acquires the folder for a run, which continues in `dir` after a watermark and a step. Later
    /// objects are moved to `superseded/`.
    ///
    /// # Errors
    /// [`Error::OtherRun`] when another run owns the folder, [`Error::ObjectConflict`] when a part
    /// differs in size from the one in `dir`, and [`Error::Remote`] when the store cannot be read or
    /// written.
    pub(super) fn acquire(
        &self,
        dir: &Path,
        run_id: &str,
        watermark: &Watermark,
        step: u64,
    ) -> Result<RemoteState> {
        let lease = self.write_lease(run_id)?;
        if let Some(folder) = &self.local {
            remove_partial_copies(folder);
        }
        for name in self.list(STAGING)?.keys() {
            self.delete(name)?;
        }
        let mut state = RemoteState { lease, parts: BTreeSet::new(), checkpoints: BTreeMap::new() };
        // A checkpoint goes before the parts that it depends on.
        let mut later = Vec::new();
        for (name, files) in self.checkpoint_files()? {
            let is_complete = files[0].ends_with(CHECKSUMS);
            match parse_step(&name) {
                Some(checkpoint) if checkpoint > step => later.extend(files),
                Some(_) if is_complete => drop(state.checkpoints.insert(name, true)),
                // A crash interrupted its upload or its removal.
                _ => files.iter().try_for_each(|file| self.delete(file))?,
            }
        }
        for table in TABLES {
            let objects = self.list(table)?;
            let (kept, newer) = self.split(dir, table, watermark.next(table), &objects)?;
            state.parts.extend(kept);
            // From the newest to the oldest: a reader that lists the table in between finds its rows
            // up to some moment.
            later.extend(newer.into_iter().rev());
        }
        self.supersede(&later)?;
        Ok(state)
    }

    /// Writes a lease for this process.
    fn write_lease(&self, run_id: &str) -> Result<Lease> {
        let session = format!("{} {:?}", process::id(), SystemTime::now());
        let lease = Lease { run_id: run_id.to_owned(), session };
        let bytes = serde_json::to_vec_pretty(&lease).unwrap_or_default();
        match self.owner()? {
            None => drop(self.create(RUN, bytes.clone())?),
            Some(owner) if owner == run_id => self.write(RUN, bytes.clone())?,
            Some(_) => {}
        }
        self.check_lease(&lease)?;
        if self.create(RUN, bytes)? {
            tracing::warn!(
                "{} overwrites objects even when it is asked not to: if two processes run this run \
                 at the same time, they may overwrite each other's files; run only one",
                self.url
            );
        }
        Ok(lease)
    }

    /// Checks that the folder still has this lease.
    ///
    /// # Errors
    /// [`Error::OtherRun`] and [`Error::LeaseLost`] when it has another one.
    pub(super) fn check_lease(&self, lease: &Lease) -> Result<()> {
        let url = self.url.clone();
        match self.read_lease()? {
            Some(found) if found == *lease => Ok(()),
            Some(found) if found.run_id != lease.run_id => {
                Err(Error::OtherRun { url, run_id: found.run_id })
            }
            _ => Err(Error::LeaseLost { url }),
        }
    }

    /// The parts of a table before the number `next`, and the later ones.
    fn split(
        &self,
        dir: &Path,
        table: &str,
        next: u64,
        objects: &BTreeMap<String, u64>,
    ) -> Result<(Vec<String>, Vec<String>)> {
        let local = part_names::list(&dir.join(table))?;
        let (mut kept, mut later) = (Vec::new(), Vec::new());
        for (name, bytes) in objects {
            let Some(file) = name.rsplit('/').next() else { continue };
            let Some((first, last)) = part_names::parse(file) else { continue };
            if first >= next {
                later.push(name.clone());
                continue;
            }
            let is_same = |part: &&ClosedPart| (part.first, part.last) == (first, last);
            let local_size = local.iter().find(is_same).map(|part| size(&part.path)).transpose()?;
            if local_size != Some(*bytes) {
                return Err(Error::ObjectConflict { url: format!("{}/{name}", self.url) });
            }
            kept.push(name.clone());
        }
        Ok((kept, later))
    }

    /// Moves a checkpoint to `superseded/`.
    ///
    /// # Errors
    /// [`Error::Remote`] when the store cannot be written.
    pub fn supersede_checkpoint(&self, step: u64) -> Result<()> {
        let files = self.checkpoint_files()?.remove(&step_name(step));
        self.supersede(&files.unwrap_or_default())
    }

    /// The objects of each checkpoint, by the checkpoint's name. The checksums, which make it
    /// complete, are first.
    fn checkpoint_files(&self) -> Result<BTreeMap<String, Vec<String>>> {
        let mut folders = BTreeMap::<String, Vec<String>>::new();
        for name in self.list(CHECKPOINTS)?.into_keys() {
            let folder = name.split('/').nth(1).unwrap_or_default().to_owned();
            folders.entry(folder).or_default().push(name);
        }
        folders.values_mut().for_each(|files| files.sort_by_key(|file| !file.ends_with(CHECKSUMS)));
        Ok(folders)
    }

    fn supersede(&self, names: &[String]) -> Result<()> {
        if names.is_empty() {
            return Ok(());
        }
        let objects = self.list("superseded")?;
        let number = |name: &String| name.split('/').nth(1)?.parse::<u64>().ok();
        let next = objects.keys().filter_map(number).max().map_or(0, |last| last + 1);
        for name in names {
            self.rename(name, &self.key(&format!("superseded/{next}/{name}")))?;
        }
        tracing::info!("moved what came after the checkpoint to {}/superseded/{next}", self.url);
        Ok(())
    }
}

fn size(file: &Path) -> Result<u64> {
    Ok(fs::metadata(file).map_err(failed("read the size of", file))?.len())
}

/// Removes the temporary files that a killed copy left in a folder on this machine. `object_store`
/// leaves them out of its listings. It never needs them, so errors are ignored.
fn remove_partial_copies(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let number = name.rsplit_once('#').map(|(_, number)| number);
        if path.is_dir() {
            remove_partial_copies(&path);
        } else if number.is_some_and(|number| number.parse::<u64>().is_ok()) {
            let _ = fs::remove_file(&path);
        }
    }
}
