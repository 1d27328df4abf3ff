//! `onward replay`: repeats the steps after a checkpoint and finds where the first NaN or infinity
//! arose.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use model::NotFinite;
use pipeline::{Batch, ClipInfo, Ingest, StreamEnd};
use serde::{Deserialize, Serialize};
use tracing::info;

use crate::Config;
use crate::run::checkpoint::{self, CheckpointState};
use crate::run::clips;
use crate::run::telemetry::Telemetry;
use crate::terminal::print::{self, count};

/// The most tensors that are named.
const NAMED: usize = 10;

/// What to repeat.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A run's folder, or one of its checkpoints.
    folder: PathBuf,
    /// Stop after this many steps.
    #[arg(long, default_value_t = 1000)]
    steps: u64,
}

/// A stored batch without its pixels, which follow it in the file.
#[derive(Deserialize, Serialize)]
struct BatchHeader {
    shape: [usize; 5],
    /// The bits of the stream times, because JSON readers round numbers.
    times: Vec<u64>,
    clips: Vec<ClipInfo>,
    motion: Option<Vec<f32>>,
}

/// Where the batches come from.
enum BatchSource {
    /// Files that the run stored.
    Files(PathBuf),
    /// Archives, which give the same batches again.
    Archives(Box<Ingest>),
}

/// Repeats steps until a NaN or an infinity arises. Writes nothing.
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
    let mut batches = BatchSource::open(&run, &folder, &config, &state)?;
    info!("repeating the steps after step {} of {}", state.step, run.display());
    for step in state.step + 1..=state.step + arguments.steps {
        let Some(mut batch) = batches.next(step)? else {
            batches.finish(state.step, step - 1)?;
            return print_finite(state.step, step - 1);
        };
        let origins = origins(&config, &batch);
        let clips = clips::upload(&mut batch, &telemetry, &device);
        let not_finite = trainer.trace(&clips);
        if !not_finite.is_empty() {
            return print::out(&text(step, &not_finite, &origins));
        }
    }
    print_finite(state.step, state.step + arguments.steps)
}

/// The run and the checkpoint of a folder that is either.
fn find(folder: &Path) -> anyhow::Result<(PathBuf, PathBuf)> {
    if folder.join("checkpoints").is_dir() {
        let newest = checkpoint::newest(folder)?.context("the run has no checkpoint yet")?;
        return Ok((folder.into(), newest.folder));
    }
    checkpoint::verify(folder)
        .with_context(|| format!("{} is not a run or an intact checkpoint", folder.display()))?;
    let run = folder.parent().and_then(Path::parent).context("a checkpoint is inside its run")?;
    Ok((run.into(), folder.into()))
}

impl BatchSource {
    fn open(
        run: &Path,
        checkpoint: &Path,
        config: &Config,
        state: &CheckpointState,
    ) -> anyhow::Result<Self> {
        if batch_path(run, state.step + 1).exists() {
            return Ok(Self::Files(run.into()));
        }
        if let Some(live) = config.pipeline.stream.iter().find(|stream| stream.is_live()) {
            bail!(
                "stream {:?} is live and does not give the same frames again: set \
                 checkpoint.keep_batches = true to store the batches of the next run",
                live.name
            );
        }
        let streams = state.resume_streams(checkpoint, config.pipeline.size)?;
        let ingest = pipeline::resume(&config.pipeline, config.seed, streams)?;
        Ok(Self::Archives(Box::new(ingest)))
    }

    fn next(&mut self, step: u64) -> anyhow::Result<Option<Batch>> {
        match self {
            Self::Archives(ingest) => Ok(ingest.batches().recv().ok()),
            Self::Files(run) => read_batch(&batch_path(run, step)),
        }
    }

    /// Stops the streams after the last batch.
    ///
    /// # Errors
    /// A stream failed, so that the steps after `last` could not be repeated.
    fn finish(self, first: u64, last: u64) -> anyhow::Result<()> {
        let Self::Archives(ingest) = self else { return Ok(()) };
        let failed = ingest.finish().into_iter().find_map(|report| match report.end {
            StreamEnd::Failed(reason) => Some(reason),
            StreamEnd::Ended | StreamEnd::Stopped => None,
        });
        match failed {
            Some(reason) => bail!(
                "only {} steps could be repeated, and every number of theirs is finite; then \
                 {reason}",
                last - first
            ),
            None => Ok(()),
        }
    }
}

/// The file of a step's batch.
fn batch_path(run: &Path, step: u64) -> PathBuf {
    run.join("replay").join(format!("{}.batch", storage::checkpoint_names::step_name(step)))
}

/// Stores a batch until the next checkpoint.
pub(crate) fn save_batch(run: &Path, step: u64, batch: &Batch) -> anyhow::Result<()> {
    let path = batch_path(run, step);
    let header = BatchHeader {
        shape: batch.shape,
        times: batch.times.iter().map(|time| time.to_bits()).collect(),
        clips: batch.clips.clone(),
        motion: batch.motion.clone(),
    };
    let mut bytes = serde_json::to_vec(&header)?;
    bytes.push(b'\n');
    fs::create_dir_all(run.join("replay"))
        .and_then(|()| {
            let mut file = fs::File::create(&path)?;
            file.write_all(&bytes)?;
            file.write_all(&batch.pixels)
        })
        .with_context(|| format!("could not write {}", path.display()))
}

/// Removes the batches of the steps up to `step`, which has a checkpoint.
pub(crate) fn remove_batches(run: &Path, step: u64) -> anyhow::Result<()> {
    let folder = run.join("replay");
    let entries = match fs::read_dir(&folder) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.and_then(|entries| entries.collect::<io::Result<Vec<_>>>()),
    };
    let last = batch_path(run, step);
    let removed = entries.and_then(|entries| {
        let paths = entries.iter().map(fs::DirEntry::path);
        paths.filter(|path| *path <= last).try_for_each(fs::remove_file)
    });
    removed.with_context(|| format!("could not clear {}", folder.display()))
}

fn read_batch(path: &Path) -> anyhow::Result<Option<Batch>> {
    let mut bytes = match fs::read(path) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(None),
        bytes => bytes.with_context(|| format!("could not read {}", path.display()))?,
    };
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or_default();
    let header: BatchHeader = serde_json::from_slice(&bytes[..end])
        .with_context(|| format!("{} is damaged", path.display()))?;
    let pixels = bytes.split_off(end + 1);
    let BatchHeader { shape, times, clips, motion } = header;
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
        cut_at: Vec::new(),
        state: Default::default(),
    }))
}

fn origins(config: &Config, batch: &Batch) -> String {
    let times = batch.times.chunks(batch.shape[1]);
    let line = |(clip, times): (&ClipInfo, &[f64])| {
        let stream = config.pipeline.stream.get(clip.stream).map_or("?", |stream| &stream.name);
        format!("  {stream}: {} at {:.3} s\n", clip.item, times[0])
    };
    batch.clips.iter().zip(times).map(line).collect()
}

fn text(step: u64, not_finite: &[NotFinite], origins: &str) -> String {
    let named = not_finite.iter().take(NAMED).map(|tensor| {
        let (wrong, all) = (count(tensor.wrong as u64), count(tensor.of as u64));
        format!("  {}: {wrong} of {all}\n", tensor.what)
    });
    let lines: String = named.collect();
    let more = match not_finite.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!("  and {more} others\n"),
    };
    format!("step {step}: the first numbers that are not finite\n{lines}{more}its clips\n{origins}")
}

fn print_finite(first: u64, last: u64) -> anyhow::Result<()> {
    print::out(&format!(
        "{} steps repeated, up to step {last}: every number is finite\n",
        last - first
    ))
}
