//! How a run starts: from nothing, or from the last checkpoint of a run that exists already.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context as _, bail};
use model::Trainer;
use pipeline::Ingest;
use storage::{EventRow, Mirror, Remote, Store, Watermark};
use tracing::{info, warn};

use super::events::run_event;
use super::finish::finish_upload;
use crate::Config;
use crate::run::checkpoint::{self, Checkpoint, CheckpointState};
use crate::run::environment;
use crate::run::ledger::Ledger;

/// What a run has when it starts.
pub(super) struct Started {
    pub(super) run_id: String,
    /// Steps that are done.
    pub(super) step: u64,
    pub(super) store: Store,
    pub(super) mirror: Option<Mirror>,
    pub(super) ingest: Ingest,
    pub(super) ledger: Ledger,
    /// Events about the start.
    pub(super) events: Vec<EventRow>,
}

/// What a run starts from.
pub(super) enum Origin {
    /// There is no run.
    Nothing,
    /// There is a run without a checkpoint. Its rows are superseded, and its id is kept.
    NoCheckpoint {
        run_id: Option<String>,
    },
    Checkpoint(Box<Checkpoint>),
}

/// Looks for an existing run, in its folder or in the object store. With `fresh` it is moved to
/// another folder.
pub(super) fn find(
    config: &Config,
    fresh: bool,
    remote: Option<&Remote>,
) -> anyhow::Result<Origin> {
    remote.map_or(Ok(()), Remote::reach)?;
    let run = &config.storage.dir;
    let is_here = run.join("config.toml").exists();
    if fresh {
        if is_here {
            move_away(run)?;
        }
        if let Some(url) = remote.map(Remote::rename_folder).transpose()?.flatten() {
            info!("the run that was in the object store is now in {url}");
        }
        return Ok(Origin::Nothing);
    }
    if !is_here && !remote.map_or(Ok(false), |remote| checkpoint::fetch(run, remote))? {
        return Ok(Origin::Nothing);
    }
    let Some(checkpoint) = checkpoint::newest(run)? else {
        let run_id = environment::run_id(run);
        if let (Some(remote), Some(run_id)) = (remote, &run_id) {
            checkpoint::refuse_behind(run, run_id, None, remote)?;
        }
        return Ok(Origin::NoCheckpoint { run_id });
    };
    if let Some(remote) = remote {
        let run_id = &checkpoint.state.run_id;
        checkpoint::refuse_behind(run, run_id, Some(&checkpoint), remote)?;
    }
    refuse_changes(config, &checkpoint.state)?;
    Ok(Origin::Checkpoint(Box::new(checkpoint)))
}

/// Refuses a config that would change what the run learned so far.
fn refuse_changes(config: &Config, state: &CheckpointState) -> anyhow::Result<()> {
    let changes = checkpoint::changes::between(&state.config, &config.resolve()?.text)?;
    let (allowed, refused): (Vec<_>, Vec<_>) =
        changes.iter().partition(|change| change.is_allowed());
    for change in allowed {
        info!("changed since the checkpoint: {change}");
    }
    if refused.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = refused.iter().map(|change| format!("\n  {change}")).collect();
    bail!(
        "the run in {} cannot resume with another config:{}\nrestore the old values, choose \
         another storage.dir, or start over with --fresh, which moves that run to another folder",
        config.storage.dir.display(),
        lines.concat()
    );
}

/// Opens the tables and the streams, where the run left them.
pub(super) fn open(
    config: &Config,
    origin: Origin,
    remote: Option<Remote>,
    trainer: &mut dyn Trainer,
    device: &str,
) -> anyhow::Result<Started> {
    match origin {
        Origin::Checkpoint(checkpoint) => resume(config, *checkpoint, remote, trainer, device),
        Origin::Nothing => {
            start(config, new_id(config)?, storage::start, remote, Vec::new(), device)
        }
        Origin::NoCheckpoint { run_id } => {
            let run = config.storage.dir.display();
            let message = format!(
                "{run} holds a run without a checkpoint: it starts over, and its rows are now in \
                 {run}/superseded"
            );
            warn!("{message}");
            let open = |config: &_, run: &_| storage::resume(config, run, &Watermark::default());
            let run_id = run_id.map_or_else(|| new_id(config), Ok)?;
            start(config, run_id, open, remote, vec![run_event("resume", message)], device)
        }
    }
}

fn start(
    config: &Config,
    run_id: String,
    open: impl FnOnce(&storage::Config, &storage::RunIdentity) -> storage::Result<Store>,
    remote: Option<Remote>,
    events: Vec<EventRow>,
    device: &str,
) -> anyhow::Result<Started> {
    let resolved = config.resolve()?;
    let store = open(&config.storage, &identity(config, &run_id, &resolved.hash))?;
    // Written first, so that a start that fails in the object store can be repeated.
    environment::write(&config.storage.dir, &resolved, device, &run_id, None)?;
    let mirror = start_mirror(config, remote, &run_id, &Watermark::default(), 0)?;
    let ingest = pipeline::start(&config.pipeline, config.seed)?;
    Ok(Started { run_id, step: 0, store, mirror, ingest, ledger: Ledger::default(), events })
}

fn resume(
    config: &Config,
    checkpoint: Checkpoint,
    remote: Option<Remote>,
    trainer: &mut dyn Trainer,
    device: &str,
) -> anyhow::Result<Started> {
    let Checkpoint { folder, state, damaged } = checkpoint;
    let failed = || format!("could not resume from {}", folder.display());
    let streams = state.resume_streams(&folder, config.pipeline.size)?;
    trainer.load(&folder).with_context(failed)?;
    let run_id = state.run_id.clone();
    let resolved = config.resolve()?;
    let identity = identity(config, &run_id, &resolved.hash);
    let store = storage::resume(&config.storage, &identity, &state.watermark);
    let store = store.with_context(failed)?;
    let run = &config.storage.dir;
    for folder in &damaged {
        checkpoint::supersede(run, folder)?;
    }
    let mirror = start_mirror(config, remote, &run_id, &state.watermark, state.step)?;
    environment::write(run, &resolved, device, &run_id, Some(state.step))?;
    info!("resuming after step {}, from {}", state.step, folder.display());
    let events = resume_events(config, &state, &damaged);
    let configs = config.pipeline.stream.iter();
    let names: Vec<&str> = configs.map(|stream| stream.name.as_str()).collect();
    let ledger = Ledger::resume(&state.totals, &names);
    let ingest = pipeline::resume(&config.pipeline, config.seed, streams)?;
    Ok(Started { run_id, step: state.step, store, mirror, ingest, ledger, events })
}

/// Starts to copy the run to the object store, from which everything after `step` is removed.
fn start_mirror(
    config: &Config,
    remote: Option<Remote>,
    run_id: &str,
    watermark: &Watermark,
    step: u64,
) -> anyhow::Result<Option<Mirror>> {
    let Some(remote) = remote else { return Ok(None) };
    info!("tables and checkpoints are copied to {}", remote.url());
    Ok(Some(Mirror::start(remote, &config.storage.dir, run_id, watermark, step)?))
}

/// Uploads what the object store lacks of a run whose steps are done.
pub(super) fn upload(
    config: &Config,
    checkpoint: &Checkpoint,
    remote: Remote,
) -> anyhow::Result<()> {
    let run = &config.storage.dir;
    let _lock = storage::lock(run)?;
    let CheckpointState { run_id, step, .. } = &checkpoint.state;
    finish_upload(Mirror::start(remote, run, run_id, &Watermark::of_folder(run)?, *step)?)
}

/// Events about resuming: damaged checkpoints, and how much of each live stream was missed.
fn resume_events(config: &Config, state: &CheckpointState, damaged: &[PathBuf]) -> Vec<EventRow> {
    let damaged = damaged.iter().map(|folder| {
        let message =
            format!("the checkpoint {} is damaged and was moved to superseded/", folder.display());
        run_event("resume", message)
    });
    let resumed = run_event("resume", format!("resuming after step {}", state.step));
    let seconds = SystemTime::now().duration_since(state.time).unwrap_or_default().as_secs_f64();
    let live = config.pipeline.stream.iter().filter(|stream| stream.is_live());
    let missed = live.filter(|stream| state.totals.contains_key(&stream.name)).map(|stream| {
        let message =
            format!("{seconds:.1} s of it were not trained on, nor are they in the tables");
        EventRow { stream: Some(stream.name.clone()), ..run_event("resume", message) }
    });
    damaged.chain([resumed]).chain(missed).collect()
}

fn identity(config: &Config, run_id: &str, config_hash: &str) -> storage::RunIdentity {
    storage::RunIdentity {
        name: config.run_name(),
        id: run_id.to_owned(),
        config_hash: config_hash.to_owned(),
    }
}

/// The time and a short hash, which tell two runs in one folder apart.
fn new_id(config: &Config) -> anyhow::Result<String> {
    let now = SystemTime::now();
    let text = format!("{now:?} {} {}", std::process::id(), config.resolve()?.text);
    let digits = &storage::disk::sha256(text)[..8];
    Ok(format!("{}-{digits}", humantime::format_rfc3339_seconds(now)))
}

/// Renames the folder of a run.
fn move_away(run: &Path) -> anyhow::Result<()> {
    // No other process may be writing to it.
    let lock = storage::lock(run)?;
    let name = run.file_name().unwrap_or_default().to_string_lossy();
    let mut names = (1..).map(|number| run.with_file_name(format!("{name}.{number}")));
    let target = names.find(|path| !path.exists()).context("there is always another number")?;
    std::fs::rename(run, &target)
        .with_context(|| format!("could not move {} to {}", run.display(), target.display()))?;
    drop(lock);
    info!("the run that was there is now in {}", target.display());
    Ok(())
}
