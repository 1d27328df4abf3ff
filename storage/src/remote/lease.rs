//! A run takes its folder of the store, and leaves in it what it goes on from.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::Remote;
use super::fetch::{CHECKPOINTS, SUMS, folder_of, step};
use super::requests::STAGING;
use crate::disk::publish::failed;
use crate::table::columns::TABLES;
use crate::table::part_names::{self as parts, Closed};
use crate::{Error, Result, Seal};

/// Says whose the folder is.
const RUN: &str = "run.json";

/// The run, and the process that writes for it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Claim {
    run_id: String,
    session: String,
}

/// What of a run is in the store already.
#[derive(Debug)]
pub(super) struct There {
    pub(super) claim: Claim,
    /// Closed parts, by their names in the run's folder.
    pub(super) parts: BTreeSet<String>,
    /// Checkpoints by their names, and whether each is whole.
    pub(super) checkpoints: BTreeMap<String, bool>,
}

impl Remote {
    /// The id of the run whose folder it is; none of a folder that is nobody's.
    ///
    /// # Errors
    /// [`Error::Remote`] when the store cannot be asked.
    pub fn owner(&self) -> Result<Option<String>> {
        Ok(self.claimed()?.map(|it| it.run_id))
    }

    /// What `run.json` says. One that cannot be understood is nobody's that we know.
    fn claimed(&self) -> Result<Option<Claim>> {
        let unknown = || Claim { run_id: "unknown".to_owned(), session: String::new() };
        Ok(self.read(RUN)?.map(|it| serde_json::from_slice(&it).unwrap_or_else(|_| unknown())))
    }

    /// Moves everything to a folder of another name, so that a run can begin anew. Returns its URL;
    /// nothing when nothing was there. Killed and called again, it goes on with the same folder.
    ///
    /// # Errors
    /// [`Error::Remote`] when the store cannot be written.
    pub fn set_aside(&self) -> Result<Option<String>> {
        let mut names: Vec<String> = self.list("")?.into_keys().collect();
        if names.is_empty() {
            return Ok(None);
        }
        // Whose it was goes last: a folder without it is one that is still being filled.
        names.sort_by_key(|it| it == RUN);
        let (mut number, claim) = (1, self.claimed()?);
        let other = loop {
            let other = self.beside(number)?;
            match other.claimed()? {
                None => break other,
                // It was filled, and all but a removal was done.
                there if there == claim && names == [RUN] => break other,
                _ => number += 1,
            }
        };
        names.iter().try_for_each(|it| self.rename(it, &other.key(it)))?;
        Ok(Some(other.url))
    }

    /// The folder of the same name with a number.
    pub(super) fn beside(&self, number: u64) -> Result<Self> {
        let mut parts: Vec<_> = self.folder.parts().map(|it| it.as_ref().to_owned()).collect();
        if let Some(last) = parts.last_mut() {
            last.push_str(&format!(".{number}"));
        }
        let folder = parts.iter().map(String::as_str).collect();
        Self::over(self.store.clone(), folder, format!("{}.{number}", self.url))
    }

    /// Makes the folder that of a run, which goes on in `dir` after a seal and a step. What the
    /// store has of later is moved to `superseded/`.
    ///
    /// # Errors
    /// [`Error::Owned`] when it is another run's, [`Error::Foreign`] when a part is not as large as
    /// in `dir`, and [`Error::Remote`] when the store cannot be asked or written.
    pub(super) fn claim(&self, dir: &Path, run_id: &str, seal: &Seal, at: u64) -> Result<There> {
        let claim = self.take(run_id)?;
        if let Some(folder) = &self.disk {
            clear(folder);
        }
        for name in self.list(STAGING)?.keys() {
            self.delete(name)?;
        }
        let mut there = There { claim, parts: BTreeSet::new(), checkpoints: BTreeMap::new() };
        // A checkpoint that counts on a part goes before it.
        let mut aside = Vec::new();
        for (name, files) in self.checkpoint_files()? {
            let is_whole = files[0].ends_with(SUMS);
            match step(&name) {
                Some(it) if it > at => aside.extend(files),
                Some(_) if is_whole => drop(there.checkpoints.insert(name, true)),
                // What a crash left of one that was being copied or removed.
                _ => files.iter().try_for_each(|it| self.delete(it))?,
            }
        }
        for table in TABLES {
            let found = self.list(table)?;
            let (stay, go) = self.split(dir, table, seal.next(table), &found)?;
            there.parts.extend(stay);
            // Backwards: a reader that comes in between finds the rows up to some moment.
            aside.extend(go.into_iter().rev());
        }
        self.move_aside(&aside)?;
        Ok(there)
    }

    /// Writes down whose it is from now on.
    fn take(&self, run_id: &str) -> Result<Claim> {
        let session = format!("{} {:?}", process::id(), SystemTime::now());
        let claim = Claim { run_id: run_id.to_owned(), session };
        let bytes = serde_json::to_vec_pretty(&claim).unwrap_or_default();
        match self.owner()? {
            None => drop(self.create(RUN, bytes.clone())?),
            Some(owner) if owner == run_id => self.write(RUN, bytes.clone())?,
            Some(_) => {}
        }
        self.check(&claim)?;
        if self.create(RUN, bytes)? {
            tracing::warn!(
                "{} writes over objects that it was asked to leave alone: it cannot keep two \
                 processes apart that write this run to it at the same moment",
                self.url
            );
        }
        Ok(claim)
    }

    /// Whether the folder is still that of a claim.
    ///
    /// # Errors
    /// [`Error::Owned`] when it is another's.
    pub(super) fn check(&self, claim: &Claim) -> Result<()> {
        let place = self.url.clone();
        match self.claimed()? {
            Some(it) if it == *claim => Ok(()),
            Some(it) if it.run_id != claim.run_id => Err(Error::Owned { place, run: it.run_id }),
            _ => Err(Error::Taken { place }),
        }
    }

    /// The parts of a table that stay, and those that came after.
    fn split(
        &self,
        dir: &Path,
        table: &str,
        next: u64,
        found: &BTreeMap<String, u64>,
    ) -> Result<(Vec<String>, Vec<String>)> {
        let local = parts::list(&dir.join(table))?;
        let (mut stay, mut go) = (Vec::new(), Vec::new());
        for (name, bytes) in found {
            let Some(file) = name.rsplit('/').next() else { continue };
            let Some((first, last)) = parts::parse(file) else { continue };
            if first >= next {
                go.push(name.clone());
                continue;
            }
            let same = |it: &&Closed| (it.first, it.last) == (first, last);
            let mine = local.iter().find(same).map(|it| size(&it.path)).transpose()?;
            if mine != Some(*bytes) {
                return Err(Error::Foreign { place: format!("{}/{name}", self.url) });
            }
            stay.push(name.clone());
        }
        Ok((stay, go))
    }

    /// Moves a checkpoint to `superseded/`.
    ///
    /// # Errors
    /// [`Error::Remote`] when the store cannot be written.
    pub fn set_checkpoint_aside(&self, step: u64) -> Result<()> {
        let files = self.checkpoint_files()?.remove(&folder_of(step));
        self.move_aside(&files.unwrap_or_default())
    }

    /// Objects of each checkpoint, by its name. The one that makes it whole is the first.
    fn checkpoint_files(&self) -> Result<BTreeMap<String, Vec<String>>> {
        let mut folders = BTreeMap::<String, Vec<String>>::new();
        for name in self.list(CHECKPOINTS)?.into_keys() {
            let folder = name.split('/').nth(1).unwrap_or_default().to_owned();
            folders.entry(folder).or_default().push(name);
        }
        folders.values_mut().for_each(|it| it.sort_by_key(|it| !it.ends_with(SUMS)));
        Ok(folders)
    }

    fn move_aside(&self, names: &[String]) -> Result<()> {
        if names.is_empty() {
            return Ok(());
        }
        let taken = self.list("superseded")?;
        let number = |it: &String| it.split('/').nth(1)?.parse::<u64>().ok();
        let next = taken.keys().filter_map(number).max().map_or(0, |it| it + 1);
        for name in names {
            self.rename(name, &self.key(&format!("superseded/{next}/{name}")))?;
        }
        tracing::info!("what the run does not go on from is in {}/superseded/{next}", self.url);
        Ok(())
    }
}

fn size(file: &Path) -> Result<u64> {
    Ok(fs::metadata(file).map_err(failed("read the size of", file))?.len())
}

/// Removes what a copy that was killed left in a folder of this machine: whole files under other
/// names, which `object_store` hides from who lists them through it. It makes them again as it
/// pleases, so that nothing depends on it.
fn clear(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.filter_map(|it| Some(it.ok()?.path())) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let number = name.rsplit_once('#').map(|it| it.1);
        if path.is_dir() {
            clear(&path);
        } else if number.is_some_and(|it| it.parse::<u64>().is_ok()) {
            let _ = fs::remove_file(&path);
        }
    }
}
