//! AdaSSL on digits that move and then turn: trains as a config says, and writes what the method
//! says of sequences that it has never seen, beside what is true of them. For `scripts/bench`:
//!
//! ```text
//! moving_digits CONFIG OUT [KEY=VALUE]...
//! ```
//!
//! `KEY=VALUE` replaces a value of the config. Clips are drawn without the pipeline's threads, in
//! the order of their numbers, so that two methods see the same. `OUT` becomes a safetensors file
//! of two held-out sets, `readout` and `test`: sequences of the two seeds after the config's.
//! Standard output gets the metrics, one line of JSON.

use std::error::Error;
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

use model::{Clips, Device, DeviceChoice, Futures, Input, Trainer, trainer};
use pipeline::{MovingDigits, Sequences, SourceConfig};
use safetensors::{Dtype, View, serialize_to_file};
use serde::Deserialize;
use serde_json::json;
use toml::Table;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Frames of a sequence.
const FRAMES: usize = 9;
/// Sequences of the sets that a readout is fitted on, and that it is applied to.
const SETS: [(&str, u64); 2] = [("readout", 2048), ("test", 512)];
/// Futures of each sequence of either.
const SAMPLES: usize = 64;

/// What is used here of a run's config.
#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    seed: u64,
    #[serde(default)]
    device: DeviceChoice,
    log_every: u64,
    pipeline: pipeline::Config,
    model: model::Config,
}

/// Numbers under a name, with their shape.
struct Array {
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [config, out, sets @ ..] = &arguments[..] else {
        return Err("usage: moving_digits CONFIG OUT [KEY=VALUE]...".into());
    };
    let mut table: Table = toml::from_str(&std::fs::read_to_string(config)?)?;
    sets.iter().try_for_each(|it| replace(&mut table, it))?;
    let config = Config::deserialize(table)?;
    let SourceConfig::MovingDigits(digits) = &config.pipeline.stream[0].source else {
        return Err("the first stream must be moving-digits".into());
    };
    let (size, device) = (config.pipeline.size, config.device.open()?);
    let mut trainer = trainer(&config.model, Input::frames(size, FRAMES), config.seed, &device)?;

    let begun = Instant::now();
    let reports = train(&config, &digits.open()?, trainer.as_mut(), &device)?;
    let seconds = begun.elapsed().as_secs_f64();

    let held_out = SETS.iter().zip(1..).map(|((name, count), offset)| {
        let digits = MovingDigits { seed: digits.seed + offset, ..digits.clone() };
        write_down(name, *count, &digits.open()?, trainer.as_ref(), size, &device)
    });
    let arrays: Vec<_> = held_out.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
    serialize_to_file(arrays, None, Path::new(out))?;
    let line = json!({
        "steps": config.model.train.steps, "clips": config.pipeline.batch.clips,
        "size": size, "seconds": seconds, "parameters": trainer.parameters(), "reports": reports,
    });
    Ok(writeln!(std::io::stdout(), "{line}")?)
}

/// All steps; what they showed every `log_every`.
fn train(
    config: &Config,
    sequences: &Sequences,
    trainer: &mut dyn Trainer,
    device: &Device,
) -> Result<Vec<serde_json::Value>> {
    let (steps, count) = (config.model.train.steps, config.pipeline.batch.clips as u64);
    let mut reports = Vec::new();
    for step in 0..steps {
        let clips = clips(sequences, step * count, count, config.pipeline.size, device);
        let read = (step + 1).is_multiple_of(config.log_every) || step + 1 == steps;
        if let Some(report) = trainer.step(&clips, read)? {
            let values = report.values.into_iter().map(|(name, it)| (name, json!(it)));
            let step = ("step".to_owned(), json!(step + 1));
            reports.push(serde_json::Value::Object([step].into_iter().chain(values).collect()));
        }
    }
    Ok(reports)
}

/// Sequences `first..first + count` as one batch.
fn clips(
    sequences: &Sequences,
    first: u64,
    count: u64,
    size: [usize; 2],
    device: &Device,
) -> Clips {
    let pixels = (first..first + count).flat_map(|it| sequences.clip(it, size)).collect();
    Clips::upload(pixels, [count as usize, FRAMES, size[0], size[1], 3], device)
}

/// What the method says of a set, what came, and what else could have come; positions in pixels
/// of the field of 64, `x` and `y`.
fn write_down(
    set: &str,
    count: u64,
    sequences: &Sequences,
    trainer: &dyn Trainer,
    size: [usize; 2],
    device: &Device,
) -> Result<Vec<(String, Array)>> {
    let clips = clips(sequences, 0, count, size, device);
    let futures = trainer.futures(&clips, SAMPLES).ok_or("this method predicts no futures")?;
    let Futures { dim, samples, expected, actual } = futures;
    let n = count as usize;
    let truths: Vec<_> = (0..count).map(|it| sequences.truth(it)).collect();
    let centres = truths.iter().flat_map(|it| it.centres).flatten();
    let velocities = truths.iter().flat_map(|it| it.velocity_before);
    let others = (0..count).flat_map(|it| sequences.futures(it, SAMPLES, 0));
    let others = others.flatten().flatten();
    let single = |values: Vec<f64>| values.into_iter().map(|it| it as f32).collect::<Vec<_>>();
    let arrays = [
        ("samples", vec![n, SAMPLES, dim], samples),
        ("expected", vec![n, dim], expected),
        ("actual", vec![n, dim], actual),
        ("centres", vec![n, FRAMES, 2], single(centres.collect())),
        ("velocity_before", vec![n, 2], single(velocities.collect())),
        ("simulated", vec![n, SAMPLES, FRAMES, 2], single(others.collect())),
    ];
    let arrays = arrays.map(|(name, shape, values)| {
        let bytes = values.iter().flat_map(|it| it.to_le_bytes()).collect();
        (format!("{set}.{name}"), Array { shape, bytes })
    });
    Ok(arrays.into())
}

impl View for Array {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> std::borrow::Cow<'_, [u8]> {
        (&self.bytes).into()
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

/// Applies `dotted.key=value`; the value is TOML.
fn replace(table: &mut Table, set: &str) -> Result<()> {
    let (key, text) = set.split_once('=').ok_or("a replacement looks like key=value")?;
    let value = toml::from_str::<Table>(&format!("value = {text}"))?.remove("value");
    let value = value.ok_or("a replacement has a value")?;
    let (parents, last) = key.rsplit_once('.').unwrap_or(("", key));
    let mut parents = parents.split('.').filter(|it| !it.is_empty());
    let parent = parents.try_fold(table, |at, part| at.get_mut(part)?.as_table_mut());
    let parent = parent.ok_or_else(|| format!("{set}: there is no such table"))?;
    parent.insert(last.to_owned(), value);
    Ok(())
}
