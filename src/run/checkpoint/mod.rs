//! Checkpoints: all that a run needs to go on where it was, in a folder that is whole or not
//! there at all.
//!
//! ```text
//! checkpoints/step-00000450/
//!   state.json              step, config, positions of the streams, parts of the tables
//!   pool.rgb                pictures of the clips in the pool
//!   {encoder,student,teacher,optimizer,method}.safetensors
//!   SHA256SUMS              of all of them, as sha256sum reads it
//! ```

pub(crate) mod changes;
mod config;
mod folder;
mod keep;
mod rank;
mod restore;
pub(crate) mod room;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context as _, bail};
use model::Trainer;
use pipeline::{Packed, Standing};
use serde::{Deserialize, Serialize};
use storage::Seal;
use tracing::warn;

use crate::run::ledger::Total;

pub(crate) use config::Config;
pub(crate) use folder::{aside, verify};
pub(crate) use keep::{all, prune};
pub(crate) use rank::Recent;
pub(crate) use restore::{refuse_behind, restore};

/// What of the files' form an older or newer program may not know.
const FORMAT: u32 = 2;

const STATE: &str = "state.json";
const POOL: &str = "pool.rgb";

/// Everything but tensors and pictures.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct State {
    format: u32,
    /// Of the program that wrote it.
    version: String,
    /// Tells runs of the same name apart.
    pub(crate) run_id: String,
    pub(crate) step: u64,
    /// When it was written.
    pub(crate) time: SystemTime,
    /// The run's config with all defaults and no password, as TOML.
    pub(crate) config: String,
    pub(crate) config_hash: String,
    /// The parts of the tables that were written until then.
    pub(crate) parts: Seal,
    /// What the rows of the table `streams` add up to, by stream.
    pub(crate) ledger: BTreeMap<String, Total>,
    pub(crate) pipeline: Packed,
    /// Effective rank of recent embeddings, where there were enough.
    pub(crate) rankme: Option<f64>,
}

/// What a checkpoint is made of.
pub(crate) struct Parts<'a> {
    pub(crate) run_id: &'a str,
    pub(crate) step: u64,
    pub(crate) config: &'a crate::Config,
    /// None of a run that learns nothing.
    pub(crate) trainer: Option<&'a dyn Trainer>,
    pub(crate) standing: &'a Standing,
    pub(crate) ledger: BTreeMap<String, Total>,
    pub(crate) seal: Seal,
    pub(crate) rankme: Option<f64>,
}

/// A checkpoint that was found whole.
pub(crate) struct Found {
    pub(crate) folder: PathBuf,
    pub(crate) state: State,
    /// Later ones, which are damaged.
    pub(crate) damaged: Vec<PathBuf>,
}

/// The folder of a step's checkpoint.
pub(crate) fn path(run: &Path, step: u64) -> PathBuf {
    run.join(format!("checkpoints/step-{step:08}"))
}

/// Writes a checkpoint, and gives its folder.
pub(crate) fn write(run: &Path, parts: Parts<'_>) -> anyhow::Result<PathBuf> {
    let folder = path(run, parts.step);
    folder::create(&folder, |folder| {
        parts.trainer.map_or(Ok(()), |it| it.save(folder))?;
        let (packed, pictures) = parts.standing.pack();
        folder::put(&folder.join(POOL), |file| {
            pictures.iter().try_for_each(|it| std::io::Write::write_all(file, it))
        })?;
        let state = State {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").into(),
            run_id: parts.run_id.into(),
            step: parts.step,
            time: SystemTime::now(),
            config: parts.config.resolved()?,
            config_hash: parts.config.hash()?,
            parts: parts.seal,
            ledger: parts.ledger,
            pipeline: packed,
            rankme: parts.rankme,
        };
        let text = serde_json::to_vec_pretty(&state)?;
        folder::put(&folder.join(STATE), |file| std::io::Write::write_all(file, &text))
    })?;
    Ok(folder)
}

/// The newest checkpoint of a run that is whole; none when there is none at all. Those after it,
/// which are damaged, are named loudly.
///
/// # Errors
/// All are damaged, or the one that is whole is of another version.
pub(crate) fn newest(run: &Path) -> anyhow::Result<Option<Found>> {
    let mut damaged = Vec::new();
    for folder in keep::all(run)?.into_values().rev() {
        match verify(&folder) {
            Ok(()) => {
                let state = read(&folder)?;
                return Ok(Some(Found { folder, state, damaged }));
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
        "all {} checkpoints of {} are damaged: restore one from a backup, or begin anew with \
         --fresh, which sets this run aside",
        damaged.len(),
        run.display()
    )
}

/// The state of a checkpoint whose files are whole.
///
/// # Errors
/// It is of a format that this program does not know.
pub(crate) fn read(folder: &Path) -> anyhow::Result<State> {
    let path = folder.join(STATE);
    let text = fs::read(&path).with_context(|| format!("could not read {}", path.display()))?;
    #[derive(Deserialize)]
    struct Written {
        format: u32,
        version: String,
    }
    let understood = |err| anyhow::anyhow!("{}: {err}", path.display());
    let Written { format, version } = serde_json::from_slice(&text).map_err(understood)?;
    if format != FORMAT {
        bail!(
            "{} was written by onward {version} in format {format}, and this is onward {} with \
             format {FORMAT}: go on with that version, or begin anew with --fresh",
            folder.display(),
            env!("CARGO_PKG_VERSION"),
        );
    }
    serde_json::from_slice(&text).map_err(understood)
}

impl State {
    /// Where the streams stood.
    pub(crate) fn standing(&self, folder: &Path, size: [usize; 2]) -> anyhow::Result<Standing> {
        let path = folder.join(POOL);
        let pictures =
            fs::read(&path).with_context(|| format!("could not read {}", path.display()))?;
        let standing = self.pipeline.clone().unpack(&pictures, size);
        standing.with_context(|| format!("could not use {}", path.display()))
    }
}
