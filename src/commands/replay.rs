//! `onward replay`: repeats the steps after a checkpoint and says where the first number that is
//! not finite arose.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use model::NotFinite;
use pipeline::{Batch, ClipInfo, Ingest, Outcome};
use serde::{Deserialize, Serialize};
use tracing::info;

use crate::Config;
use crate::run::checkpoint::{self, State};
use crate::run::clips;
use crate::run::telemetry::Telemetry;
use crate::terminal::print::{self, count};

/// How many of the things that are not finite are named.
const NAMED: usize = 10;

/// What to repeat.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A run's folder, or one of its checkpoints.
    folder: PathBuf,
    /// The most steps to repeat.
    #[arg(long, default_value_t = 1000)]
    steps: u64,
}

/// A batch without its pixels, for a file.
#[derive(Deserialize, Serialize)]
struct Kept {
    shape: [usize; 5],
    /// Bits of the stream times: JSON readers round numbers.
    times: Vec<u64>,
    clips: Vec<ClipInfo>,
    motion: Option<Vec<f32>>,
}

/// Where the batches come from.
enum Batches {
    /// From files that the run kept.
    Kept(PathBuf),
    /// From the archives, which give them again.
    Again(Box<Ingest>),
}

/// Repeats steps until something is not finite. Writes nothing.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let (run, folder) = find(&arguments.folder)?;
    let state = checkpoint::read(&folder)?;
    let config: Config = toml::from_str(&state.config)
        .with_context(|| format!("the config in {} cannot be read", folder.display()))?;
    let device = config.device.open()?;
    let telemetry = Telemetry::load(&config.pipeline)?;
    let input = clips::input(&config.pipeline, telemetry.columns().len());
    let mut trainer = model::trainer(&config.model, input, config.seed, &device)?;
    trainer.load(&folder)?;
    let mut batches = Batches::open(&run, &folder, &config, &state)?;
    info!("repeating what came after step {} of {}", state.step, run.display());
    for step in state.step + 1..=state.step + arguments.steps {
        let Some(mut batch) = batches.next(step)? else {
            batches.end(state.step, step - 1)?;
            return nothing(state.step, step - 1);
        };
        let origin = origins(&config, &batch);
        let clips = clips::upload(&mut batch, &telemetry, &device);
        let found = trainer.trace(&clips);
        if !found.is_empty() {
            return print::out(&text(step, &found, &origin));
        }
    }
    nothing(state.step, state.step + arguments.steps)
}

/// The run and the checkpoint of a folder that is either.
fn find(folder: &Path) -> anyhow::Result<(PathBuf, PathBuf)> {
    if folder.join("checkpoints").is_dir() {
        let found = checkpoint::newest(folder)?.context("the run has no checkpoint yet")?;
        return Ok((folder.into(), found.folder));
    }
    checkpoint::verify(folder)
        .with_context(|| format!("{} is no run and no whole checkpoint", folder.display()))?;
    let run = folder.parent().and_then(Path::parent).context("a checkpoint is inside its run")?;
    Ok((run.into(), folder.into()))
}

impl Batches {
    fn open(run: &Path, checkpoint: &Path, config: &Config, state: &State) -> anyhow::Result<Self> {
        if path(run, state.step + 1).exists() {
            return Ok(Self::Kept(run.into()));
        }
        if let Some(live) = config.pipeline.stream.iter().find(|it| it.is_live()) {
            bail!(
                "stream {:?} is live and does not give the same frames again: set \
                 checkpoint.keep_batches = true, which keeps them as files, before it happens",
                live.name
            );
        }
        let standing = state.standing(checkpoint, config.pipeline.size)?;
        let ingest = pipeline::resume(&config.pipeline, config.seed, standing)?;
        Ok(Self::Again(Box::new(ingest)))
    }

    fn next(&mut self, step: u64) -> anyhow::Result<Option<Batch>> {
        match self {
            Self::Again(ingest) => Ok(ingest.batches().recv().ok()),
            Self::Kept(run) => read(&path(run, step)),
        }
    }
}

impl Batches {
    /// There are no more.
    ///
    /// # Errors
    /// A stream failed, so that nobody knows whether something was wrong in what it did not give.
    fn end(self, first: u64, last: u64) -> anyhow::Result<()> {
        let Self::Again(ingest) = self else { return Ok(()) };
        let failed = ingest.finish().into_iter().find_map(|it| match it.outcome {
            Outcome::Failed(why) => Some(why),
            Outcome::Ended | Outcome::Stopped => None,
        });
        match failed {
            Some(why) => bail!(
                "only {} steps could be repeated, and every number of theirs is finite; then {why}",
                last - first
            ),
            None => Ok(()),
        }
    }
}

/// The file of the batch of a step.
fn path(run: &Path, step: u64) -> PathBuf {
    run.join(format!("replay/step-{step:08}.batch"))
}

/// Keeps a batch until the next checkpoint.
pub(crate) fn keep(run: &Path, step: u64, batch: &Batch) -> anyhow::Result<()> {
    let path = path(run, step);
    let kept = Kept {
        shape: batch.shape,
        times: batch.times.iter().map(|it| it.to_bits()).collect(),
        clips: batch.clips.clone(),
        motion: batch.motion.clone(),
    };
    let mut bytes = serde_json::to_vec(&kept)?;
    bytes.push(b'\n');
    fs::create_dir_all(run.join("replay"))
        .and_then(|()| {
            let mut file = fs::File::create(&path)?;
            file.write_all(&bytes)?;
            file.write_all(&batch.pixels)
        })
        .with_context(|| format!("could not write {}", path.display()))
}

/// Removes the batches up to a step, whose checkpoint is there.
pub(crate) fn forget(run: &Path, step: u64) -> anyhow::Result<()> {
    let folder = run.join("replay");
    let listed = match fs::read_dir(&folder) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.and_then(|it| it.collect::<io::Result<Vec<_>>>()),
    };
    let last = path(run, step);
    let old =
        listed.map(|it| it.into_iter().map(|it| it.path()).filter(|it| *it <= last).collect());
    old.and_then(|it: Vec<PathBuf>| it.iter().try_for_each(fs::remove_file))
        .with_context(|| format!("could not clear {}", folder.display()))
}

fn read(path: &Path) -> anyhow::Result<Option<Batch>> {
    let mut bytes = match fs::read(path) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.with_context(|| format!("could not read {}", path.display()))?,
    };
    let end = bytes.iter().position(|it| *it == b'\n').unwrap_or_default();
    let kept: Kept = serde_json::from_slice(&bytes[..end])
        .with_context(|| format!("{} is damaged", path.display()))?;
    let pixels = bytes.split_off(end + 1);
    let Kept { shape, times, clips, motion } = kept;
    if pixels.len() != shape.iter().product::<usize>() {
        bail!("{} is cut off", path.display());
    }
    let times = times.into_iter().map(f64::from_bits).collect();
    Ok(Some(Batch {
        pixels,
        shape,
        times,
        clips,
        motion,
        cut: Vec::new(),
        mark: Default::default(),
    }))
}

fn origins(config: &Config, batch: &Batch) -> String {
    let times = batch.times.chunks(batch.shape[1]);
    let line = |(clip, times): (&ClipInfo, &[f64])| {
        let stream = config.pipeline.stream.get(clip.stream).map_or("?", |it| &it.name);
        format!("  {stream}: {} at {:.3} s\n", clip.item, times[0])
    };
    batch.clips.iter().zip(times).map(line).collect()
}

fn text(step: u64, found: &[NotFinite], origins: &str) -> String {
    let named = found.iter().take(NAMED);
    let lines = named.map(|it| {
        format!("  {}: {} of {}\n", it.what, count(it.wrong as u64), count(it.of as u64))
    });
    let lines: String = lines.collect();
    let more = match found.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!("  and {more} others\n"),
    };
    format!("step {step}: the first numbers that are not finite\n{lines}{more}its clips\n{origins}")
}

fn nothing(first: u64, last: u64) -> anyhow::Result<()> {
    print::out(&format!(
        "{} steps repeated, up to step {last}: every number is finite\n",
        last - first
    ))
}
