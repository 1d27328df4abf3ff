//! A run's beginning: from nothing, or from the last checkpoint of one that is there already.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context as _, bail};
use model::Trainer;
use pipeline::Ingest;
use sha2::{Digest as _, Sha256};
use storage::{EventRow, Mirror, Remote, Seal, Store};
use tracing::{info, warn};

use crate::Config;
use crate::run::checkpoint::{self, Found, State};
use crate::run::environment;
use crate::run::ledger::Ledger;

use super::end::copy_rest;
use super::events::event;

/// All that a run begins with.
pub(super) struct Begun {
    pub(super) run_id: String,
    pub(super) step: u64,
    pub(super) store: Store,
    pub(super) mirror: Option<Mirror>,
    pub(super) ingest: Ingest,
    pub(super) ledger: Ledger,
    /// What there is to say about it.
    pub(super) events: Vec<EventRow>,
}

/// What a run goes on from.
pub(super) enum From {
    /// Nothing is there.
    Nothing,
    /// A run that wrote no checkpoint: what it left is set aside, and its id stays.
    Rows {
        run_id: Option<String>,
    },
    Checkpoint(Box<Found>),
}

/// Looks for a run that is there already, in its folder or in the object store; `fresh` moves it out
/// of the way.
pub(super) fn look(config: &Config, fresh: bool, remote: Option<&Remote>) -> anyhow::Result<From> {
    remote.map_or(Ok(()), Remote::reach)?;
    let run = &config.storage.dir;
    let is_here = run.join("config.toml").exists();
    if fresh {
        if is_here {
            set_aside(run)?;
        }
        if let Some(place) = remote.map(Remote::set_aside).transpose()?.flatten() {
            info!("what the object store had is now in {place}");
        }
        return Ok(From::Nothing);
    }
    if !is_here && !remote.map_or(Ok(false), |it| checkpoint::restore(run, it))? {
        return Ok(From::Nothing);
    }
    let Some(found) = checkpoint::newest(run)? else {
        let run_id = environment::run_id(run);
        if let (Some(remote), Some(run_id)) = (remote, &run_id) {
            checkpoint::refuse_behind(run, run_id, None, remote)?;
        }
        return Ok(From::Rows { run_id });
    };
    if let Some(remote) = remote {
        checkpoint::refuse_behind(run, &found.state.run_id, Some(&found), remote)?;
    }
    let changes = checkpoint::changes::between(&found.state.config, &config.resolved()?)?;
    let (may, may_not): (Vec<_>, Vec<_>) = changes.iter().partition(|it| it.may());
    for change in may {
        info!("changed since the checkpoint: {change}");
    }
    if !may_not.is_empty() {
        let lines: Vec<String> = may_not.iter().map(|it| format!("\n  {it}")).collect();
        bail!(
            "the run in {} cannot go on with another config:{}\nwrite the old values, choose \
             another storage.dir, or begin anew with --fresh, which sets that run aside",
            run.display(),
            lines.concat()
        );
    }
    Ok(From::Checkpoint(Box::new(found)))
}

/// Opens everything where the run begins.
pub(super) fn begin(
    config: &Config,
    from: From,
    remote: Option<Remote>,
    trainer: &mut dyn Trainer,
    device: &str,
) -> anyhow::Result<Begun> {
    match from {
        From::Checkpoint(found) => resume(config, *found, remote, trainer, device),
        From::Nothing => start(config, new_id(config)?, storage::start, remote, Vec::new(), device),
        From::Rows { run_id } => {
            let run = config.storage.dir.display();
            let message = format!(
                "{run} holds a run without a checkpoint: it begins anew, and its rows are in \
                 {run}/superseded"
            );
            warn!("{message}");
            let open = |config: &_, run: &_| storage::resume(config, run, &Seal::default());
            let run_id = run_id.map_or_else(|| new_id(config), Ok)?;
            start(config, run_id, open, remote, vec![event("resume", message)], device)
        }
    }
}

fn start(
    config: &Config,
    run_id: String,
    open: impl FnOnce(&storage::Config, &storage::Run) -> storage::Result<Store>,
    remote: Option<Remote>,
    events: Vec<EventRow>,
    device: &str,
) -> anyhow::Result<Begun> {
    let store = open(&config.storage, &identity(config, &run_id)?)?;
    // First, so that a start that fails in the store can be tried again.
    environment::write(config, device, &run_id, None)?;
    let mirror = mirror(config, remote, &run_id, &Seal::default(), 0)?;
    let ingest = pipeline::start(&config.pipeline, config.seed)?;
    Ok(Begun { run_id, step: 0, store, mirror, ingest, ledger: Ledger::default(), events })
}

fn resume(
    config: &Config,
    found: Found,
    remote: Option<Remote>,
    trainer: &mut dyn Trainer,
    device: &str,
) -> anyhow::Result<Begun> {
    let Found { folder, state, damaged } = found;
    let from = || format!("could not go on from {}", folder.display());
    let standing = state.standing(&folder, config.pipeline.size)?;
    trainer.load(&folder).with_context(from)?;
    let run_id = state.run_id.clone();
    let identity = identity(config, &run_id)?;
    let store = storage::resume(&config.storage, &identity, &state.parts).with_context(from)?;
    for folder in &damaged {
        checkpoint::aside(&config.storage.dir, folder)?;
    }
    let mirror = mirror(config, remote, &run_id, &state.parts, state.step)?;
    environment::write(config, device, &run_id, Some(state.step))?;
    info!("going on after step {}, from {}", state.step, folder.display());
    let events = lost(config, &state, &damaged);
    let names: Vec<&str> = config.pipeline.stream.iter().map(|it| it.name.as_str()).collect();
    let ledger = Ledger::resumed(&state.ledger, &names);
    let ingest = pipeline::resume(&config.pipeline, config.seed, standing)?;
    Ok(Begun { run_id, step: state.step, store, mirror, ingest, ledger, events })
}

/// Begins to copy the run to the object store, which has nothing of it after `step` any more.
fn mirror(
    config: &Config,
    remote: Option<Remote>,
    run_id: &str,
    seal: &Seal,
    step: u64,
) -> anyhow::Result<Option<Mirror>> {
    let Some(remote) = remote else { return Ok(None) };
    info!("tables and checkpoints are copied to {}", remote.url());
    Ok(Some(Mirror::start(remote, &config.storage.dir, run_id, seal, step)?))
}

/// Copies what the store lacks of a run that is done.
pub(super) fn copy_done(config: &Config, found: &Found, remote: Remote) -> anyhow::Result<()> {
    let run = &config.storage.dir;
    let _lock = storage::lock(run)?;
    let State { run_id, step, .. } = &found.state;
    copy_rest(Mirror::start(remote, run, run_id, &Seal::whole(run)?, *step)?)
}

/// What the table `events` says about going on: which checkpoints were damaged, and how much of
/// each live stream nobody saw.
fn lost(config: &Config, state: &checkpoint::State, damaged: &[PathBuf]) -> Vec<EventRow> {
    let broken = damaged.iter().map(|folder| {
        event("resume", format!("the checkpoint {} is damaged and set aside", folder.display()))
    });
    let seconds = SystemTime::now().duration_since(state.time).unwrap_or_default().as_secs_f64();
    let streams = config.pipeline.stream.iter().filter(|it| it.is_live());
    let unseen = streams.filter(|it| state.ledger.contains_key(&it.name)).map(|stream| {
        let message =
            format!("{seconds:.1} s of it were not trained on, nor are they in the tables");
        EventRow { stream: Some(stream.name.clone()), ..event("resume", message) }
    });
    let all = event("resume", format!("going on after step {}", state.step));
    broken.chain([all]).chain(unseen).collect()
}

fn identity(config: &Config, run_id: &str) -> anyhow::Result<storage::Run> {
    let (name, id) = (config.run_name(), run_id.to_owned());
    Ok(storage::Run { name, id, config_hash: config.hash()? })
}

/// When, and a few digits of what: enough to tell two runs in one folder apart.
fn new_id(config: &Config) -> anyhow::Result<String> {
    let now = SystemTime::now();
    let text = format!("{now:?} {} {}", std::process::id(), config.resolved()?);
    let digest = Sha256::digest(text);
    let digits: String = digest[..4].iter().map(|it| format!("{it:02x}")).collect();
    Ok(format!("{}-{digits}", humantime::format_rfc3339_seconds(now)))
}

/// Gives the folder of a run another name.
fn set_aside(run: &Path) -> anyhow::Result<()> {
    // Nobody may be writing to it.
    let lock = storage::lock(run)?;
    let name = run.file_name().unwrap_or_default().to_string_lossy();
    let free = (1..).map(|it| run.with_file_name(format!("{name}.{it}"))).find(|it| !it.exists());
    let free = free.context("there is always another number")?;
    std::fs::rename(run, &free)
        .with_context(|| format!("could not set {} aside", run.display()))?;
    drop(lock);
    info!("the run that was there is now {}", free.display());
    Ok(())
}
