//! Which checkpoints stay.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tracing::debug;

use super::{Config, folder, read};

/// The checkpoints of a run by step, whole or not.
pub(crate) fn all(run: &Path) -> anyhow::Result<BTreeMap<u64, PathBuf>> {
    let folder = run.join("checkpoints");
    let listed = match fs::read_dir(&folder) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        other => other.and_then(|it| it.collect::<io::Result<Vec<_>>>()),
    };
    let listed = listed.with_context(|| format!("could not list {}", folder.display()))?;
    let named = listed.iter().filter_map(|entry| {
        let step = entry.file_name().to_str()?.strip_prefix("step-")?.parse().ok()?;
        Some((step, entry.path()))
    });
    Ok(named.collect())
}

/// Removes the checkpoints that nothing asks to keep.
pub(crate) fn prune(run: &Path, config: &Config) -> anyhow::Result<()> {
    let all = all(run)?;
    let ranks = match config.keep_best {
        Some(_) => ranks(&all),
        None => BTreeMap::new(),
    };
    let steps: Vec<u64> = all.keys().copied().collect();
    for step in unwanted(&steps, &ranks, config) {
        debug!("removing the checkpoint of step {step}");
        folder::remove(&all[&step])?;
    }
    Ok(())
}

fn ranks(all: &BTreeMap<u64, PathBuf>) -> BTreeMap<u64, f64> {
    let rank = |folder: &PathBuf| read(folder).ok()?.rankme;
    all.iter().filter_map(|(step, folder)| Some((*step, rank(folder)?))).collect()
}

/// The steps whose checkpoints go, of `steps` in ascending order.
fn unwanted(steps: &[u64], ranks: &BTreeMap<u64, f64>, config: &Config) -> Vec<u64> {
    let mut kept: BTreeSet<u64> = steps.iter().rev().take(config.keep_last).copied().collect();
    if config.keep_every > 0 {
        kept.extend(steps.iter().filter(|it| it.is_multiple_of(config.keep_every)));
    }
    // Of equals the later one.
    let best = ranks.iter().max_by(|a, b| a.1.total_cmp(b.1).then(a.0.cmp(b.0)));
    kept.extend(best.map(|it| it.0));
    steps.iter().filter(|it| !kept.contains(it)).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gone(config: Config, ranks: &[(u64, f64)]) -> Vec<u64> {
        unwanted(&[10, 20, 30, 40, 50, 60], &ranks.iter().copied().collect(), &config)
    }

    #[test]
    fn the_last_the_regular_and_the_best_stay() {
        let plain = || Config { keep_last: 2, ..Default::default() };
        assert_eq!(gone(plain(), &[]), [10, 20, 30, 40]);
        assert_eq!(gone(Config { keep_every: 20, ..plain() }, &[]), [10, 30]);
        let ranks = [(10, 3.0), (20, 9.5), (30, 9.5), (60, 1.0)];
        assert_eq!(gone(plain(), &ranks), [10, 20, 40]);
        assert_eq!(gone(Config { keep_last: 9, ..plain() }, &[]), [0; 0]);
    }
}
