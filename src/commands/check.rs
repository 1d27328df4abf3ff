//! `onward check`: opens every stream once and prints what a run would find, need and produce.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::bail;
use model::{Clips, Device, Trainer};
use pipeline::{MediaInfo, StreamConfig};

use crate::Config;
use crate::run::clips;
use crate::run::telemetry::{self, Telemetry, TelemetryFile};
use crate::run::throughput::Throughput;
use crate::terminal::print::{self, bytes, count};

/// The longest time that a file or URI may take to open.
const OPEN_TIMEOUT: Duration = Duration::from_secs(15);
/// Time over which the streams are measured.
const MEASURED: Duration = Duration::from_secs(3);

/// Prints the results one by one.
pub(crate) fn run(config: &Config) -> anyhow::Result<()> {
    print::out("streams\n")?;
    let mut bad = 0;
    let mut usable = config.clone();
    usable.pipeline.stream.clear();
    let mut bad_telemetry = 0;
    for stream in &config.pipeline.stream {
        let opened = open_stream(stream)?;
        let telemetry = check_telemetry(stream)?;
        bad_telemetry += telemetry;
        bad += opened.bad + telemetry;
        if opened.good > 0 {
            usable.pipeline.stream.push(stream.clone());
        }
    }

    // Files that are each valid may still differ in their columns.
    let columns = match Telemetry::load(&config.pipeline) {
        Ok(telemetry) => telemetry.columns().len(),
        Err(_) if bad_telemetry > 0 => 1,
        Err(err) => {
            bad += 1;
            print::out(&format!("  BAD {err:#}\n"))?;
            1
        }
    };

    let device = config.device.open()?;
    let input = clips::input(&config.pipeline, columns);
    let mut trainer = model::trainer(&config.model, input, config.seed, &device)?;
    print::out(&describe_networks(trainer.as_ref(), &device))?;

    if !usable.pipeline.stream.is_empty() {
        let delivered = stream_speed(&usable)?;
        let trained = trainer_speed(&usable, trainer.as_mut(), &device)?;
        print::out(&expectations(&usable, delivered, &trained))?;
    }
    if let Some(url) = &config.storage.url {
        bad += check_store(url)?;
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

/// Opens a stream and prints what it contains.
fn open_stream(stream: &StreamConfig) -> anyhow::Result<Opened> {
    let mut opened = Opened::default();
    for video in pipeline::probe(stream, OPEN_TIMEOUT) {
        match video {
            Ok(video) => {
                opened.good += 1;
                print::out(&describe_stream(&stream.name, &video))?;
            }
            Err(err) => {
                opened.bad += 1;
                print::out(&format!("  BAD {err:#}\n"))?;
            }
        }
    }
    Ok(opened)
}

/// Prints what is in the object store. Gives 1 when it cannot be used.
fn check_store(url: &str) -> anyhow::Result<usize> {
    let read = || -> storage::Result<_> {
        let remote = storage::Remote::open(url)?;
        remote.reach()?;
        Ok((remote.owner()?, remote.steps()?.last().copied()))
    };
    let (text, bad) = match read() {
        Ok((None, _)) => (format!("  {url}: free\n"), 0),
        Ok((Some(run), None)) => (format!("  {url}: the run {run}, without a checkpoint\n"), 0),
        Ok((Some(run), Some(step))) => (format!("  {url}: the run {run}, after step {step}\n"), 0),
        Err(err) => (format!("  BAD {:#}\n", anyhow::Error::new(err)), 1),
    };
    print::out(&format!("\nobject store\n{text}"))?;
    Ok(bad)
}

/// Prints the telemetry of a stream, and counts the files that cannot be used.
fn check_telemetry(stream: &StreamConfig) -> anyhow::Result<usize> {
    let files = match telemetry::read(stream) {
        Ok(files) => files,
        Err(err) => {
            print::out(&format!("  BAD {err:#}\n"))?;
            return Ok(1);
        }
    };
    let mut bad = 0;
    for TelemetryFile { path, content, .. } in &files {
        let text = match content {
            Ok(content) => describe_telemetry(path, content),
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
        rows => write!(text, ", {rows} of them incomplete").unwrap_or_default(),
    }
    text + &format!("; {}\n", columns.join(", "))
}

fn describe_stream(stream: &str, media: &MediaInfo) -> String {
    let MediaInfo { item, codec, width, height, fps, duration, rotation, mirrored, live } = media;
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

fn describe_networks(trainer: &dyn Trainer, device: &Device) -> String {
    let mut text = format!("\nnetworks, on {}\n", model::device_name(device));
    for (name, parameters) in trainer.parameters() {
        writeln!(text, "  {name}: {} parameters", count(parameters as u64)).ok();
    }
    text
}

/// Clips per second that the streams deliver, from a short run of the real pipeline; none when
/// they do not fill a batch in that time.
fn stream_speed(config: &Config) -> anyhow::Result<Option<f64>> {
    let ingest = pipeline::start(&config.pipeline, config.seed)?;
    // The pool fills before the first batch. Clips are counted from then on.
    let until = Instant::now() + 3 * MEASURED;
    let mut first = None;
    let mut clips = 0;
    while let Ok(batch) = ingest.batches().recv_deadline(match first {
        Some(first) => first + MEASURED,
        None => until,
    }) {
        match first {
            None => first = Some(Instant::now()),
            Some(_) => clips += batch.shape[0],
        }
    }
    let seconds = first.map(|first| first.elapsed().as_secs_f64().max(1e-3));
    Ok(seconds.filter(|_| clips > 0).map(|seconds| clips as f64 / seconds))
}

/// How fast the networks train.
struct TrainerSpeed {
    clips_per_second: f64,
    /// Rows of `metrics` per reading of the losses.
    metrics: usize,
}

/// Estimates how fast the networks train, from steps over two clips and over three, as short as
/// the method can use. From the two times follow a fixed cost per step and a cost per clip.
fn trainer_speed(
    config: &Config,
    trainer: &mut dyn Trainer,
    device: &Device,
) -> anyhow::Result<TrainerSpeed> {
    let mut metrics = 0;
    let [height, width] = config.pipeline.size;
    let frames = trainer.least_frames();
    let mut time = |clips: usize| {
        let shape = [clips, frames, height, width, 3];
        let pixels = (0..shape.iter().product::<usize>()).map(|idx| (idx * 31 % 251) as u8);
        let clips = Clips::upload(pixels.collect(), shape, device);
        let start = Instant::now();
        let report = trainer.step(&clips, true)?;
        let losses = report.map_or(0, |report| report.values.len());
        metrics = losses + Throughput::default().metrics().len();
        anyhow::Ok(start.elapsed().as_secs_f64())
    };
    // Every micro-batch needs clips to compare.
    let parts = config.model.train.accumulate;
    time(2 * parts)?;
    let (two, three) = (time(2 * parts)?, time(3 * parts)?);
    let per_clip = (three - two).max(two / 20.0) / parts as f64;
    // Methods that use all frames have more pairs of neighbours in a longer clip.
    let longer = (config.pipeline.clip.frames - 1) as f64 / (frames.max(2) - 1) as f64;
    let factor = if trainer.uses_all_frames() { longer } else { 1.0 };
    let clips = config.pipeline.batch.clips;
    let fixed = (two - (2 * parts) as f64 * per_clip).max(0.0);
    let step = fixed + per_clip * clips as f64 * factor;
    Ok(TrainerSpeed { clips_per_second: clips as f64 / step, metrics })
}

fn expectations(config: &Config, delivered: Option<f64>, trained: &TrainerSpeed) -> String {
    let TrainerSpeed { clips_per_second, metrics } = *trained;
    let mut text = "\nexpected\n".to_owned();
    match delivered {
        Some(rate) => writeln!(text, "  streams deliver: {rate:.1} clips/s").ok(),
        None => writeln!(text, "  streams deliver: no full batch in {MEASURED:?}").ok(),
    };
    writeln!(
        text,
        "  networks take: about {clips_per_second:.1} clips/s, estimated from steps over few clips"
    )
    .ok();
    let rate = delivered.map_or(0.0, |rate| rate.min(clips_per_second));
    writeln!(text, "  together: about {rate:.1} clips/s at most").ok();
    let bound = config.pipeline.host_memory_bound();
    writeln!(text, "  host memory: at most {} for frames and decoders", bytes(bound)).ok();

    let steps = rate * 3600.0 / config.pipeline.batch.clips as f64;
    let metrics = steps / config.log_every as f64 * metrics as f64;
    let ledger = steps / config.log_every as f64 * config.pipeline.stream.len() as f64;
    let (mut vectors, mut vector_bytes) = (0.0, 0.0);
    if config.embed_every > 0 {
        vectors = steps / config.embed_every as f64 * config.pipeline.batch.clips as f64;
        let shape = config.model.shape(clips::input(&config.pipeline, 1));
        let dim = shape.map_or(0, |shape| shape.dim());
        vector_bytes = vectors * storage::bytes_per_embedding(dim) as f64;
    }
    let size = vector_bytes + (metrics + ledger) * ROW_BYTES;
    let rows = count((metrics + ledger + vectors).round() as u64);
    let vectors = count(vectors.round() as u64);
    let size = bytes(size as u64);
    writeln!(text, "  tables: about {rows} rows per hour, {vectors} of them embeddings, {size}")
        .ok();
    text
}

/// Bytes of a row of `metrics` or `streams` before compression.
const ROW_BYTES: f64 = 100.0;
