//! Which checkpoints are kept.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use storage::checkpoint_names::{CHECKPOINTS, parse_step};
use tracing::debug;

use super::{Config, folder, read};

/// The checkpoints of a run by step, damaged ones included.
pub(crate) fn list(run: &Path) -> anyhow::Result<BTreeMap<u64, PathBuf>> {
    let folder = run.join(CHECKPOINTS);
    let entries = match fs::read_dir(&folder) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        entries => entries.and_then(|entries| entries.collect::<io::Result<Vec<_>>>()),
    };
    let entries = entries.with_context(|| format!("could not list {}", folder.display()))?;
    let folders = entries.iter().map(fs::DirEntry::path);
    Ok(folders.filter_map(|folder| Some((step_of(&folder)?, folder))).collect())
}

/// The step of a checkpoint, by the name of its folder.
pub(crate) fn step_of(folder: &Path) -> Option<u64> {
    parse_step(folder.file_name()?.to_str()?)
}

/// Removes the checkpoints that the config does not keep.
pub(crate) fn prune(run: &Path, config: &Config) -> anyhow::Result<()> {
    let folders = list(run)?;
    let ranks = match config.keep_best {
        Some(_) => ranks(&folders),
        None => BTreeMap::new(),
    };
    let steps: Vec<u64> = folders.keys().copied().collect();
    for step in obsolete(&steps, &ranks, config) {
        debug!("removing the checkpoint of step {step}");
        folder::remove(&folders[&step])?;
    }
    Ok(())
}

fn ranks(folders: &BTreeMap<u64, PathBuf>) -> BTreeMap<u64, f64> {
    let rank = |folder: &PathBuf| read(folder).ok()?.rankme;
    folders.iter().filter_map(|(step, folder)| Some((*step, rank(folder)?))).collect()
}

/// The steps whose checkpoints are removed, of `steps` in ascending order.
fn obsolete(steps: &[u64], ranks: &BTreeMap<u64, f64>, config: &Config) -> Vec<u64> {
    let mut kept: BTreeSet<u64> = steps.iter().rev().take(config.keep_last).copied().collect();
    if config.keep_every > 0 {
        kept.extend(steps.iter().filter(|step| step.is_multiple_of(config.keep_every)));
    }
    // Of two with the same rank the later one is kept.
    let best = ranks.iter().max_by(|a, b| a.1.total_cmp(b.1).then(a.0.cmp(b.0)));
    kept.extend(best.map(|(step, _)| step));
    steps.iter().filter(|step| !kept.contains(step)).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn removed(config: Config, ranks: &[(u64, f64)]) -> Vec<u64> {
        obsolete(&[10, 20, 30, 40, 50, 60], &ranks.iter().copied().collect(), &config)
    }

    #[test]
    fn the_last_the_regular_and_the_best_are_kept() {
        let plain = || Config { keep_last: 2, ..Default::default() };
        assert_eq!(removed(plain(), &[]), [10, 20, 30, 40]);
        assert_eq!(removed(Config { keep_every: 20, ..plain() }, &[]), [10, 30]);
        let ranks = [(10, 3.0), (20, 9.5), (30, 9.5), (60, 1.0)];
        assert_eq!(removed(plain(), &ranks), [10, 20, 40]);
        assert_eq!(removed(Config { keep_last: 9, ..plain() }, &[]), [0; 0]);
    }
}
