//! Checkpoints: everything that a run needs to resume where it was.
//!
//! ```text
//! checkpoints/step-00000450/
//!   state.json              step, config, positions of the streams, parts of the tables
//!   pool.rgb                frames of the clips in the pool
//!   {encoder,student,teacher,optimizer,method}.safetensors
//!   SHA256SUMS              of all files above, as sha256sum reads it
//! ```
//!
//! The folder appears under its name once it is complete.

pub(crate) mod changes;
mod config;
mod fetch;
mod folder;
pub(crate) mod free_space;
mod recent;
mod retention;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context as _, bail};
use model::Trainer;
use pipeline::{ResumeState, SavedState};
use serde::{Deserialize, Serialize};
use storage::Watermark;
use storage::checkpoint_names::{CHECKPOINTS, step_name};
use tracing::warn;

use crate::run::config::ResolvedConfig;
use crate::run::ledger::StreamTotals;

pub(crate) use config::Config;
pub(crate) use fetch::{fetch, refuse_behind};
pub(crate) use folder::{supersede, verify};
pub(crate) use recent::RecentEmbeddings;
pub(crate) use retention::{list, prune, step_of};

/// Version of the files' form. It changes with every change that another version of the program
/// could not read.
const FORMAT: u32 = 2;

const STATE: &str = "state.json";
const POOL: &str = "pool.rgb";

/// What a checkpoint holds beside tensors and frames.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct CheckpointState {
    format: u32,
    /// Version of the program that wrote it.
    version: String,
    /// Tells runs of the same name apart.
    pub(crate) run_id: String,
    pub(crate) step: u64,
    /// When it was written.
    pub(crate) time: SystemTime,
    /// The run's resolved config, as TOML.
    pub(crate) config: String,
    pub(crate) config_hash: String,
    /// The parts of the tables that were complete.
    pub(crate) watermark: Watermark,
    /// The sums of all rows of the table `streams`, by stream.
    pub(crate) totals: BTreeMap<String, StreamTotals>,
    pub(crate) pipeline: SavedState,
    /// Effective rank of recent embeddings, where there were enough.
    pub(crate) rankme: Option<f64>,
}

/// What a checkpoint is written from.
pub(crate) struct Contents<'a> {
    pub(crate) run_id: &'a str,
    pub(crate) step: u64,
    pub(crate) config: ResolvedConfig,
    /// None for a command that does not train.
    pub(crate) trainer: Option<&'a dyn Trainer>,
    pub(crate) streams: &'a ResumeState,
    pub(crate) totals: BTreeMap<String, StreamTotals>,
    pub(crate) watermark: Watermark,
    pub(crate) rankme: Option<f64>,
}

/// An intact checkpoint.
pub(crate) struct Checkpoint {
    pub(crate) folder: PathBuf,
    pub(crate) state: CheckpointState,
    /// Later checkpoints, which are damaged.
    pub(crate) damaged: Vec<PathBuf>,
}

/// The folder of a step's checkpoint.
pub(crate) fn path(run: &Path, step: u64) -> PathBuf {
    run.join(CHECKPOINTS).join(step_name(step))
}

/// Writes a checkpoint and gives its folder.
pub(crate) fn write(run: &Path, contents: Contents<'_>) -> anyhow::Result<PathBuf> {
    let folder = path(run, contents.step);
    folder::create(&folder, |folder| {
        contents.trainer.map_or(Ok(()), |trainer| trainer.save(folder))?;
        let (pipeline, frames) = contents.streams.save();
        folder::write_file(&folder.join(POOL), |file| {
            frames.iter().try_for_each(|frame| file.write_all(frame))
        })?;
        let state = CheckpointState {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").into(),
            run_id: contents.run_id.into(),
            step: contents.step,
            time: SystemTime::now(),
            config: contents.config.text,
            config_hash: contents.config.hash,
            watermark: contents.watermark,
            totals: contents.totals,
            pipeline,
            rankme: contents.rankme,
        };
        let text = serde_json::to_vec_pretty(&state)?;
        folder::write_file(&folder.join(STATE), |file| file.write_all(&text))
    })?;
    Ok(folder)
}

/// The newest intact checkpoint of a run, if there is any. Warns of every damaged one after it.
///
/// # Errors
/// All checkpoints are damaged, or the newest intact one has another format.
pub(crate) fn newest(run: &Path) -> anyhow::Result<Option<Checkpoint>> {
    let mut damaged = Vec::new();
    for folder in list(run)?.into_values().rev() {
        match verify(&folder) {
            Ok(()) => {
                let state = read(&folder)?;
                return Ok(Some(Checkpoint { folder, state, damaged }));
            }
            Err(err) => {
                warn!("the checkpoint {} is damaged: {err:#}", folder.display());
                damaged.push(folder);
            }
        }
    }
    if damaged.is_empty() {
        return Ok(None);
    }
    bail!(
        "all {} checkpoints of {} are damaged: restore one from a backup, or start over with \
         --fresh, which moves this run to another folder",
        damaged.len(),
        run.display()
    )
}

/// The state of an intact checkpoint.
///
/// # Errors
/// It has another format.
pub(crate) fn read(folder: &Path) -> anyhow::Result<CheckpointState> {
    let path = folder.join(STATE);
    let text = fs::read(&path).with_context(|| format!("could not read {}", path.display()))?;
    #[derive(Deserialize)]
    struct Header {
        format: u32,
        version: String,
    }
    let invalid = |err| anyhow::anyhow!("{}: {err}", path.display());
    let Header { format, version } = serde_json::from_slice(&text).map_err(invalid)?;
    if format != FORMAT {
        bail!(
            "{} was written by onward {version} in format {format}, and this is onward {} with \
             format {FORMAT}: use that version, or start over with --fresh",
            folder.display(),
            env!("CARGO_PKG_VERSION"),
        );
    }
    serde_json::from_slice(&text).map_err(invalid)
}

impl CheckpointState {
    /// The positions of the streams and the clips of the pool; frames are `size` = `[height,
    /// width]`.
    pub(crate) fn resume_streams(
        &self,
        folder: &Path,
        size: [usize; 2],
    ) -> anyhow::Result<ResumeState> {
        let path = folder.join(POOL);
        let frames =
            fs::read(&path).with_context(|| format!("could not read {}", path.display()))?;
        let streams = self.pipeline.clone().restore(&frames, size);
        streams.with_context(|| format!("could not use {}", path.display()))
    }
}
