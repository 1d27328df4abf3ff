//! A run whose folder is lost goes on from the object store.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use storage::Remote;
use tracing::{info, warn};

use super::folder::{self, Damaged};
use super::{Found, path, read};

/// Makes a run's folder again from the store: all checkpoints that are whole there, and the tables.
/// Says whether there was a run. `config.toml` comes last: a folder without it is made again, for
/// the store may have changed since. A checkpoint that is damaged in the store is set aside there.
pub(crate) fn restore(run: &Path, remote: &Remote) -> anyhow::Result<bool> {
    let Some(owner) = remote.owner()? else { return Ok(false) };
    let (url, here) = (remote.url(), run.display());
    let steps = remote.steps()?;
    ensure!(
        !steps.is_empty(),
        "{url} holds the run {owner}, which has no checkpoint, and {here} holds nothing to go on \
         from: choose another storage.url, or begin anew with --fresh, which sets that run aside"
    );
    fs::create_dir_all(run).with_context(|| format!("could not create {here}"))?;
    let _lock = storage::lock(run)?;
    info!("making {here} again from {url}; Ctrl-C twice leaves it for later");
    let mut newest = None;
    for step in steps.iter().rev() {
        match fetch(run, remote, *step, newest.is_none()) {
            Ok(()) => newest = newest.or(Some(*step)),
            Err(err) if err.is::<Damaged>() => {
                warn!("the checkpoint of step {step} in {url} cannot be used: {err:#}");
                folder::remove(&path(run, *step))?;
                remote.set_checkpoint_aside(*step)?;
            }
            Err(err) => return Err(err),
        }
    }
    let Some(step) = newest else {
        bail!(
            "all {} checkpoints in {url} were damaged, and are in {url}/superseded: begin anew \
             with --fresh, which sets that run aside",
            steps.len()
        )
    };
    for name in ["environment.json", "config.toml"] {
        remote.fetch(name, &run.join(name))?;
    }
    info!("{here} was made again from {url}, as it was after step {step}");
    Ok(true)
}

/// Fetches the checkpoint of a step; of the newest the tables, too, without which it is worth no
/// more than a damaged one.
fn fetch(run: &Path, remote: &Remote, step: u64, is_newest: bool) -> anyhow::Result<()> {
    let folder = path(run, step);
    folder::receive(&folder, |it| Ok(remote.fetch_checkpoint(step, it)?))?;
    if !is_newest {
        return Ok(());
    }
    match remote.fetch_tables(run, &read(&folder)?.parts) {
        Err(err @ storage::Error::Gone { .. }) => Err(anyhow::Error::new(err).context(Damaged)),
        other => Ok(other?),
    }
}

/// Refuses to go on with a run of which the store has later checkpoints: another machine went on
/// with it. One that is damaged here was here, too.
pub(crate) fn refuse_behind(
    run: &Path,
    run_id: &str,
    found: Option<&Found>,
    remote: &Remote,
) -> anyhow::Result<()> {
    let damaged = found.iter().flat_map(|it| &it.damaged).filter_map(|it| step_of(it));
    let step = found.map_or(0, |it| it.state.step);
    let newest = remote.steps()?.last().copied().unwrap_or(0);
    let is_behind = newest > damaged.max().unwrap_or(0).max(step);
    if !is_behind || remote.owner()?.as_deref() != Some(run_id) {
        return Ok(());
    }
    let (url, here) = (remote.url(), run.display());
    bail!(
        "{url} has this run as it was after step {newest}, and {here} as it was after step {step}: \
         move {here} away to go on from {url}, or choose another storage.url"
    )
}

fn step_of(folder: &Path) -> Option<u64> {
    folder.file_name()?.to_str()?.strip_prefix("step-")?.parse().ok()
}
