//! Fetches a run from the object store when its folder is lost.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use storage::Remote;
use tracing::{info, warn};

use super::folder::{self, Damaged};
use super::{Checkpoint, path, read, step_of};

/// Fetches a run's folder from the store: its intact checkpoints and its tables. Says whether
/// the store had a run.
///
/// `config.toml` comes last. A folder without it is fetched again from the beginning, because
/// the store may have changed since. A checkpoint that is damaged in the store is moved to
/// `superseded/` there.
pub(crate) fn fetch(run: &Path, remote: &Remote) -> anyhow::Result<bool> {
    let Some(owner) = remote.owner()? else { return Ok(false) };
    let (url, here) = (remote.url(), run.display());
    let steps = remote.steps()?;
    ensure!(
        !steps.is_empty(),
        "{url} holds the run {owner}, which has no checkpoint, and {here} holds nothing to resume \
         from: choose another storage.url, or start over with --fresh, which moves that run to \
         another folder"
    );
    fs::create_dir_all(run).with_context(|| format!("could not create {here}"))?;
    let _lock = storage::lock(run)?;
    info!("restoring {here} from {url}; Ctrl-C twice leaves it to the next start");
    let mut newest = None;
    for step in steps.iter().rev() {
        match fetch_checkpoint(run, remote, *step, newest.is_none()) {
            Ok(()) => newest = newest.or(Some(*step)),
            Err(err) if err.is::<Damaged>() => {
                warn!("the checkpoint of step {step} in {url} cannot be used: {err:#}");
                folder::remove(&path(run, *step))?;
                remote.supersede_checkpoint(*step)?;
            }
            Err(err) => return Err(err),
        }
    }
    let Some(step) = newest else {
        bail!(
            "all {} checkpoints in {url} were damaged and are now in {url}/superseded: start over \
             with --fresh, which moves that run to another folder",
            steps.len()
        )
    };
    for name in ["environment.json", "config.toml"] {
        remote.fetch(name, &run.join(name))?;
    }
    info!("{here} was restored from {url}, as it was after step {step}");
    Ok(true)
}

/// Fetches the checkpoint of a step. With the newest one come the tables, without which it counts
/// as damaged.
fn fetch_checkpoint(run: &Path, remote: &Remote, step: u64, is_newest: bool) -> anyhow::Result<()> {
    let folder = path(run, step);
    folder::receive(&folder, |to| Ok(remote.fetch_checkpoint(step, to)?))?;
    if !is_newest {
        return Ok(());
    }
    match remote.fetch_tables(run, &read(&folder)?.watermark) {
        Err(err @ storage::Error::MissingObject { .. }) => {
            Err(anyhow::Error::new(err).context(Damaged))
        }
        fetched => Ok(fetched?),
    }
}

/// Refuses to resume a run of which the store has later checkpoints: another machine has
/// continued it.
pub(crate) fn refuse_behind(
    run: &Path,
    run_id: &str,
    checkpoint: Option<&Checkpoint>,
    remote: &Remote,
) -> anyhow::Result<()> {
    // A checkpoint that is damaged here was written here, too.
    let damaged = checkpoint.iter().flat_map(|checkpoint| &checkpoint.damaged);
    let last_damaged = damaged.filter_map(|folder| step_of(folder)).max().unwrap_or(0);
    let step = checkpoint.map_or(0, |checkpoint| checkpoint.state.step);
    let newest = remote.steps()?.last().copied().unwrap_or(0);
    let is_behind = newest > last_damaged.max(step);
    if !is_behind || remote.owner()?.as_deref() != Some(run_id) {
        return Ok(());
    }
    let (url, here) = (remote.url(), run.display());
    bail!(
        "{url} has this run as it was after step {newest}, and {here} as it was after step {step}: \
         move {here} away to resume from {url}, or choose another storage.url"
    )
}
