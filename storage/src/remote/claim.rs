//! A run takes its folder of the store, and leaves in it what it goes on from.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::fetch::{CHECKPOINTS, SUMS, step};
use super::{Remote, STAGING};
use crate::columns::TABLES;
use crate::parts::{self, Closed};
use crate::{Error, Result, Seal};

/// Says whose the folder is.
const RUN: &str = "run.json";

#[derive(Debug, Deserialize, Serialize)]
struct Claim {
    run_id: String,
}

/// What of a run is in the store already.
#[derive(Debug, Default)]
pub(super) struct There {
    /// Closed parts, by their names in the run's folder.
    pub(super) parts: BTreeSet<String>,
    /// Whole checkpoints, by their names.
    pub(super) checkpoints: BTreeSet<String>,
}

impl Remote {
    /// The id of the run whose folder it is; none of a folder that is nobody's.
    ///
    /// # Errors
    /// [`Error::Remote`] when the store cannot be asked.
    pub fn owner(&self) -> Result<Option<String>> {
        let Some(bytes) = self.read(RUN)? else { return Ok(None) };
        let claim: Option<Claim> = serde_json::from_slice(&bytes).ok();
        Ok(Some(claim.map_or_else(|| "unknown".to_owned(), |it| it.run_id)))
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
        let (mut number, owner) = (1, self.owner()?);
        let other = loop {
            let other = self.beside(number)?;
            match other.owner()? {
                None => break other,
                // It was filled, and all but a removal was done.
                there if there == owner && names == [RUN] => break other,
                _ => number += 1,
            }
        };
        for name in names {
            let (from, to) = (self.key(&name), other.key(&name));
            self.wait(
                "move",
                &name,
                object_store::ObjectStoreExt::rename(&self.store, &from, &to),
            )?;
        }
        Ok(Some(other.url))
    }

    /// The folder of the same name with a number.
    pub(super) fn beside(&self, number: u64) -> Result<Self> {
        let folder = object_store::path::Path::from(format!("{}.{number}", self.folder));
        Self::over(self.store.clone(), folder, format!("{}.{number}", self.url))
    }

    /// Makes the folder that of a run, which goes on in `dir` after a seal and a step. What the
    /// store has of later is moved to `superseded/`.
    ///
    /// # Errors
    /// [`Error::Owned`] when it is another run's, [`Error::Foreign`] when a part is not as in `dir`,
    /// and [`Error::Remote`] when the store cannot be asked or written.
    pub(super) fn claim(&self, dir: &Path, run_id: &str, seal: &Seal, at: u64) -> Result<There> {
        self.take(run_id)?;
        for name in self.list(STAGING)?.keys() {
            self.delete(name)?;
        }
        let mut aside = Vec::new();
        let mut there = There::default();
        for table in TABLES {
            let found = self.list(table)?;
            let (stay, go) = self.split(dir, table, seal.next(table), &found)?;
            there.parts.extend(stay);
            // Backwards: a reader that comes in between finds the rows up to some moment.
            aside.extend(go.into_iter().rev());
        }
        let found = self.list(CHECKPOINTS)?;
        for (name, files) in by_folder(found.keys()) {
            let whole = files.iter().any(|it| it.ends_with(&format!("/{SUMS}")));
            match step(&name) {
                Some(it) if whole && it <= at => drop(there.checkpoints.insert(name)),
                Some(_) if whole => aside.extend(files),
                // What a crash left of one that was never whole.
                _ => files.iter().try_for_each(|it| self.delete(it))?,
            }
        }
        self.move_aside(&aside)?;
        Ok(there)
    }

    /// Writes down whose it is, unless it says so already.
    fn take(&self, run_id: &str) -> Result<()> {
        let claim = Claim { run_id: run_id.to_owned() };
        let bytes = serde_json::to_vec_pretty(&claim).unwrap_or_default();
        if self.owner()?.is_none() {
            self.create(RUN, bytes.clone())?;
        }
        match self.owner()? {
            Some(owner) if owner == run_id => {}
            owner => {
                let run = owner.unwrap_or_default();
                return Err(Error::Owned { place: self.url.clone(), run });
            }
        }
        if self.create(RUN, bytes)? {
            tracing::warn!(
                "{} writes over objects that it was asked to leave alone: nothing but care keeps \
                 two processes from writing this run to it at once",
                self.url
            );
        }
        Ok(())
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
            let mine = local.iter().find(same);
            if mine.map(|it| super::size(&it.path)).transpose()? != Some(*bytes) {
                return Err(Error::Foreign { place: format!("{}/{name}", self.url) });
            }
            stay.push(name.clone());
        }
        Ok((stay, go))
    }

    fn move_aside(&self, names: &[String]) -> Result<()> {
        if names.is_empty() {
            return Ok(());
        }
        let taken = self.list("superseded")?;
        let number = |it: &String| it.split('/').nth(1)?.parse::<u64>().ok();
        let next = taken.keys().filter_map(number).max().map_or(0, |it| it + 1);
        for name in names {
            self.rename(name, &format!("superseded/{next}/{name}"))?;
        }
        tracing::info!("what came after the checkpoint is in {}/superseded/{next}", self.url);
        Ok(())
    }
}

/// Files of the folders in `checkpoints/`, by the folders' names.
fn by_folder<'a>(names: impl Iterator<Item = &'a String>) -> BTreeMap<String, Vec<String>> {
    let mut folders = BTreeMap::<String, Vec<String>>::new();
    for name in names {
        let folder = name.split('/').nth(1).unwrap_or_default();
        folders.entry(folder.to_owned()).or_default().push(name.clone());
    }
    folders
}
