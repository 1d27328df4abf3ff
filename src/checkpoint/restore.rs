//! A run whose folder is lost goes on from the object store.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use storage::Remote;
use tracing::{info, warn};

use super::{folder, path, read};

/// Makes a run's folder again from the newest whole checkpoint in the store, with all parts that
/// belong to it. Says whether there was a run. `config.toml` comes last: a folder without it is made
/// again from the start.
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
    let Some(step) = fetch_newest(run, remote, &steps)? else {
        bail!(
            "all {} checkpoints in {url} are damaged: restore one from a backup, or begin anew \
             with --fresh, which sets that run aside",
            steps.len()
        )
    };
    let state = read(&path(run, step))?;
    remote.fetch_tables(run, &state.parts)?;
    remote.fetch("config.toml", &run.join("config.toml"))?;
    info!("{here} was made again from {url}, as it was after step {step}");
    Ok(true)
}

/// The step of the newest checkpoint that arrives whole. Those after it are named loudly.
fn fetch_newest(run: &Path, remote: &Remote, steps: &[u64]) -> anyhow::Result<Option<u64>> {
    for step in steps.iter().rev() {
        let fill = |folder: &Path| Ok(remote.fetch_checkpoint(*step, folder)?);
        match folder::receive(&path(run, *step), fill) {
            Ok(()) => return Ok(Some(*step)),
            Err(err) if err.downcast_ref::<storage::Error>().is_some() => return Err(err),
            Err(err) => {
                warn!("the checkpoint of step {step} in {} is damaged: {err:#}", remote.url())
            }
        }
    }
    Ok(None)
}

/// Refuses to go on with a run of which the store has later checkpoints: another machine went on
/// with it.
pub(crate) fn refuse_behind(
    run: &Path,
    run_id: &str,
    step: u64,
    remote: &Remote,
) -> anyhow::Result<()> {
    let newest = remote.steps()?.last().copied().unwrap_or(0);
    if newest <= step || remote.owner()?.as_deref() != Some(run_id) {
        return Ok(());
    }
    let (url, here) = (remote.url(), run.display());
    bail!(
        "{url} has this run as it was after step {newest}, and {here} as it was after step {step}: \
         move {here} away to go on from {url}, or choose another storage.url"
    )
}
