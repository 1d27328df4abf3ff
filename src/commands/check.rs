//! `onward check`: opens every stream once and says what a run would find, need and give.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::bail;
use model::{Clips, Device, Trainer};
use pipeline::{Found, StreamConfig};

use crate::Config;
use crate::run::clips;
use crate::run::telemetry::{self, Beside, Telemetry};
use crate::terminal::print::{self, bytes, count};

/// The longest that one file or URI may take to open.
const OPEN: Duration = Duration::from_secs(15);
/// How long the streams are watched.
const WATCH: Duration = Duration::from_secs(3);

/// Prints what it finds, line by line as it finds it.
pub(crate) fn run(config: &Config) -> anyhow::Result<()> {
    print::out("streams\n")?;
    let mut bad = 0;
    let mut sound = config.clone();
    sound.pipeline.stream.clear();
    let mut telemetry_bad = 0;
    for stream in &config.pipeline.stream {
        let Opened { good, bad: wrong } = open(stream)?;
        let measured = measured(stream)?;
        telemetry_bad += measured;
        bad += wrong + measured;
        if good > 0 {
            sound.pipeline.stream.push(stream.clone());
        }
    }

    // Each file is sound by itself; together they may not be.
    let telemetry = match Telemetry::load(&config.pipeline) {
        Ok(telemetry) => telemetry.columns().len(),
        Err(_) if telemetry_bad > 0 => 1,
        Err(err) => {
            bad += 1;
            print::out(&format!("  BAD {err:#}\n"))?;
            1
        }
    };

    let device = config.device.open()?;
    let input = clips::input(&config.pipeline, telemetry);
    let mut trainer = model::trainer(&config.model, input, config.seed, &device)?;
    print::out(&networks(trainer.as_ref(), &device))?;

    if !sound.pipeline.stream.is_empty() {
        let delivered = watch(&sound)?;
        let trained = step_rate(&sound, trainer.as_mut(), &device)?;
        print::out(&expectations(&sound, delivered, &trained))?;
    }
    if let Some(url) = &config.storage.url {
        bad += store(url)?;
    }
    match bad {
        0 => Ok(()),
        1 => bail!("one file or URI cannot be used, see above"),
        _ => bail!("{bad} files or URIs cannot be used, see above"),
    }
}

/// How many files or URIs of a stream can be used, and how many cannot.
#[derive(Default)]
struct Opened {
    good: usize,
    bad: usize,
}

/// Prints what one stream holds.
fn open(stream: &StreamConfig) -> anyhow::Result<Opened> {
    let mut opened = Opened::default();
    for found in pipeline::probe(stream, OPEN) {
        match found {
            Ok(found) => {
                opened.good += 1;
                print::out(&describe(&stream.name, &found))?;
            }
            Err(err) => {
                opened.bad += 1;
                print::out(&format!("  BAD {err:#}\n"))?;
            }
        }
    }
    Ok(opened)
}

/// Prints what is in the object store; 1 when it cannot be used.
fn store(url: &str) -> anyhow::Result<usize> {
    let asked = || -> storage::Result<_> {
        let remote = storage::Remote::open(url)?;
        remote.reach()?;
        Ok((remote.owner()?, remote.steps()?.last().copied()))
    };
    let (text, bad) = match asked() {
        Ok((None, _)) => (format!("  {url}: free\n"), 0),
        Ok((Some(run), None)) => (format!("  {url}: the run {run}, without a checkpoint\n"), 0),
        Ok((Some(run), Some(step))) => (format!("  {url}: the run {run}, after step {step}\n"), 0),
        Err(err) => (format!("  BAD {:#}\n", anyhow::Error::new(err)), 1),
    };
    print::out(&format!("\nobject store\n{text}"))?;
    Ok(bad)
}

/// Prints what was measured beside one stream, and counts the files that cannot be used.
fn measured(stream: &StreamConfig) -> anyhow::Result<usize> {
    let beside = match telemetry::read(stream) {
        Ok(beside) => beside,
        Err(err) => {
            print::out(&format!("  BAD {err:#}\n"))?;
            return Ok(1);
        }
    };
    let mut bad = 0;
    for Beside { path, found, .. } in &beside {
        let text = match found {
            Ok(it) => describe_telemetry(path, it),
            Err(err) => {
                bad += 1;
                format!("  BAD stream {:?}: {err}\n", stream.name)
            }
        };
        print::out(&text)?;
    }
    Ok(bad)
}

fn describe_telemetry(path: &Path, found: &storage::Telemetry) -> String {
    let storage::Telemetry { columns, times, .. } = found;
    let mut text = format!("    telemetry: {}, {} rows", path.display(), count(times.len() as u64));
    if let (Some(first), Some(last)) = (times.first(), times.last()) {
        write!(text, " from {first:.2} s to {last:.2} s").ok();
    }
    match found.incomplete() {
        0 => {}
        rows => write!(text, ", {rows} of them not whole").unwrap_or_default(),
    }
    text + &format!("; {}\n", columns.join(", "))
}

fn describe(stream: &str, found: &Found) -> String {
    let Found { item, codec, width, height, fps, duration, rotation, mirrored, live } = found;
    let mut text = format!("  {stream}: {item}\n    {codec}");
    if *width > 0 {
        write!(text, ", {width} x {height}").ok();
    }
    match fps {
        Some(fps) => write!(text, ", {fps:.2} frames/s").ok(),
        None => write!(text, ", no stated frame rate").ok(),
    };
    match duration {
        Some(duration) => write!(text, ", {:.1} s", duration.as_secs_f64()).ok(),
        None => write!(text, ", no stated duration").ok(),
    };
    write!(text, ", rotation {rotation}°").ok();
    text.push_str(if *mirrored { ", mirrored" } else { "" });
    text.push_str(if *live { ", live\n" } else { "\n" });
    text
}

fn networks(trainer: &dyn Trainer, device: &Device) -> String {
    let mut text = format!("\nnetworks, on {}\n", model::device_name(device));
    for (name, parameters) in trainer.parameters() {
        writeln!(text, "  {name}: {} parameters", count(parameters as u64)).ok();
    }
    text
}

/// Clips a second that the streams deliver, from a short run of the real pipeline; none when
/// they fill no batch in that time.
fn watch(config: &Config) -> anyhow::Result<Option<f64>> {
    let ingest = pipeline::start(&config.pipeline, config.seed)?;
    // The pool fills before the first batch; its clips count from then on.
    let until = Instant::now() + 3 * WATCH;
    let mut first = None;
    let mut clips = 0;
    while let Ok(batch) = ingest.batches().recv_deadline(match first {
        Some(first) => first + WATCH,
        None => until,
    }) {
        match first {
            None => first = Some(Instant::now()),
            Some(_) => clips += batch.shape[0],
        }
    }
    let seconds = first.map(|it| it.elapsed().as_secs_f64().max(1e-3));
    Ok(seconds.filter(|_| clips > 0).map(|it| clips as f64 / it))
}

/// What the networks can do.
struct Trained {
    clips_per_second: f64,
    /// Rows of `metrics` that a reading of the loss gives.
    values: usize,
}

/// Clips a second that the networks train on, drawn out from steps over two clips and over
/// three, as short as the method can use: a fixed cost a step and a cost a clip.
fn step_rate(
    config: &Config,
    trainer: &mut dyn Trainer,
    device: &Device,
) -> anyhow::Result<Trained> {
    let mut values = 0;
    let [height, width] = config.pipeline.size;
    let frames = trainer.least_frames();
    let mut time = |clips: usize| {
        let shape = [clips, frames, height, width, 3];
        let pixels = (0..shape.iter().product::<usize>()).map(|it| (it * 31 % 251) as u8);
        let clips = Clips::upload(pixels.collect(), shape, device);
        let begun = Instant::now();
        let report = trainer.step(&clips, true)?;
        // The program adds its pace: clips a second, the share of waiting, seconds a step.
        values = report.map_or(0, |it| it.values.len() + 3);
        anyhow::Ok(begun.elapsed().as_secs_f64())
    };
    // Every micro-batch needs clips to compare.
    let parts = config.model.train.accumulate;
    time(2 * parts)?;
    let (two, three) = (time(2 * parts)?, time(3 * parts)?);
    let a_clip = (three - two).max(two / 20.0) / parts as f64;
    // Methods over neighbours have as much more to do as there are more neighbours.
    let longer = (config.pipeline.clip.frames - 1) as f64 / (frames.max(2) - 1) as f64;
    let grows = if trainer.uses_all_frames() { longer } else { 1.0 };
    let clips = config.pipeline.batch.clips;
    let step = (two - (2 * parts) as f64 * a_clip).max(0.0) + a_clip * clips as f64 * grows;
    Ok(Trained { clips_per_second: clips as f64 / step, values })
}

fn expectations(config: &Config, delivered: Option<f64>, trained: &Trained) -> String {
    let Trained { clips_per_second, values } = *trained;
    let mut text = "\nexpected\n".to_owned();
    match delivered {
        Some(rate) => writeln!(text, "  streams deliver: {rate:.1} clips/s").ok(),
        None => writeln!(text, "  streams deliver: no full batch in {WATCH:?}").ok(),
    };
    writeln!(
        text,
        "  networks take: about {clips_per_second:.1} clips/s, from steps on a few clips"
    )
    .ok();
    let rate = delivered.map_or(0.0, |it| it.min(clips_per_second));
    writeln!(text, "  together: about {rate:.1} clips/s at most").ok();
    let bound = config.pipeline.host_memory_bound();
    writeln!(text, "  host memory: at most {} for frames and decoders", bytes(bound)).ok();

    let steps = rate * 3600.0 / config.pipeline.batch.clips as f64;
    let metrics = steps / config.log_every as f64 * values as f64;
    let ledger = steps / config.log_every as f64 * config.pipeline.stream.len() as f64;
    let (mut vectors, mut vector_bytes) = (0.0, 0.0);
    if config.embed_every > 0 {
        vectors = steps / config.embed_every as f64 * config.pipeline.batch.clips as f64;
        let shape = config.model.shape(clips::input(&config.pipeline, 1));
        let dim = shape.map_or(0, |it| it.dim());
        vector_bytes = vectors * storage::bytes_per_embedding(dim) as f64;
    }
    let size = vector_bytes + (metrics + ledger) * ROW_BYTES;
    let rows = count((metrics + ledger + vectors).round() as u64);
    let vectors = count(vectors.round() as u64);
    let size = bytes(size as u64);
    writeln!(text, "  tables: about {rows} rows an hour, {vectors} of them embeddings, {size}")
        .ok();
    text
}

/// A row of `metrics` or `streams` before compression.
const ROW_BYTES: f64 = 100.0;
