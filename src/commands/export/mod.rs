//! `onward export`: the frame encoder of a checkpoint in a folder that timm or DINOv2's code
//! loads, with a model card.

mod card;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use clap::ValueEnum;
use model::{EncoderChoice, Layout};
use serde::Deserialize;
use storage::Reading;
use tracing::warn;

use crate::run::checkpoint;
use crate::terminal::print;

use card::Card;

/// What to export, and where to.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A checkpoint (runs/NAME/checkpoints/step-N), or a run, whose newest is taken.
    from: PathBuf,
    /// The folder to write model.safetensors, config.json and README.md into.
    #[arg(long)]
    out: PathBuf,
    /// Whose encoder; by default the teacher's, of a method without one the student's.
    #[arg(long)]
    encoder: Option<Whose>,
    /// Whose names the weights get.
    #[arg(long, default_value = "timm")]
    layout: Names,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Whose {
    Student,
    Teacher,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Names {
    Timm,
    Dinov2,
}

/// What an export needs of a run's `config.toml`. Streams, devices and secrets are no part of
/// it, for they may be those of another machine.
#[derive(Debug, Deserialize)]
struct Kept {
    pipeline: Pictures,
    model: model::Config,
}

#[derive(Debug, Deserialize)]
struct Pictures {
    size: [usize; 2],
    fit: pipeline::Fit,
}

/// Writes the three files, and prints where they are.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let checkpoint = &newest(&arguments.from)?;
    let (text, Kept { pipeline, model }) = read_config(checkpoint)?;
    let image = model.method.view_size(pipeline.size);
    let shape = model.encoder.shape(image, model.precision)?;
    let layout = match arguments.layout {
        Names::Timm => Layout::Timm,
        Names::Dinov2 => Layout::Dinov2,
    };
    let choice = choose(arguments.encoder, &model)?;
    let files @ [weights, config, card] = &files(&arguments.out)?;
    model::export(&shape, layout, &checkpoint.join(holder(choice, &model)), weights)?;
    let crop = pipeline.fit == pipeline::Fit::Crop;
    let timm = model::timm_config(&shape, layout, image, crop);
    put(config, &serde_json::to_string_pretty(&timm)?)?;
    let (run, step) = (&run_name(checkpoint), step_of(checkpoint));
    let (shape, timm, config) = (&shape, &timm, &text[..]);
    let measured = measured(checkpoint);
    let about = Card { run, step, choice, shape, layout, image, crop, timm, measured, config };
    put(card, &about.text()?)?;
    let written = files.each_ref().map(|it| format!("{}\n", it.display()));
    print::out(&(written.concat() + "the licence of the weights is yours to fill in\n"))
}

/// The run's config, as text and read.
fn read_config(checkpoint: &Path) -> anyhow::Result<(String, Kept)> {
    let path = config_of(checkpoint)?;
    let text =
        fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
    let kept = toml::from_str(&text)
        .with_context(|| format!("{} is not the config of a run", path.display()))?;
    Ok((text, kept))
}

/// The paths to write. What is there already may have been edited by hand, the licence first of
/// all.
fn files(out: &Path) -> anyhow::Result<[PathBuf; 3]> {
    let files = ["model.safetensors", "config.json", "README.md"].map(|it| out.join(it));
    if let Some(there) = files.iter().find(|it| it.exists()) {
        anyhow::bail!("{} exists; give --out another folder, or remove it", there.display());
    }
    fs::create_dir_all(out).with_context(|| format!("could not create {}", out.display()))?;
    Ok(files)
}

fn put(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("could not write {}", path.display()))
}

/// `from` itself if it is a checkpoint, and else the one of the most steps in it.
fn newest(from: &Path) -> anyhow::Result<PathBuf> {
    if from.join("encoder.safetensors").is_file() {
        return Ok(from.into());
    }
    let entries = fs::read_dir(from.join("checkpoints")).into_iter().flatten().flatten();
    let checkpoints = entries.map(|it| it.path()).filter(|it| step_of(it).is_some());
    checkpoints.max_by_key(|it| step_of(it)).with_context(|| {
        format!(
            "{} is neither a checkpoint nor a run that has one: no encoder.safetensors and no \
             checkpoints/step-* in it",
            from.display()
        )
    })
}

/// Steps that a checkpoint was trained for, by its name.
fn step_of(checkpoint: &Path) -> Option<u64> {
    let name = checkpoint.file_name()?.to_str()?;
    name.strip_prefix("step-")?.parse().ok()
}

/// The run's config: beside the weights, or two folders up.
fn config_of(checkpoint: &Path) -> anyhow::Result<PathBuf> {
    let folders = [checkpoint.to_owned(), checkpoint.join("../..")];
    let found = folders.iter().map(|it| it.join("config.toml")).find(|it| it.is_file());
    found.with_context(|| {
        format!("no config.toml in {}, and none in the run around it", checkpoint.display())
    })
}

/// What the run around a checkpoint measured until then; nothing of a checkpoint that was moved.
fn measured(checkpoint: &Path) -> Option<Reading> {
    let step = step_of(checkpoint)?;
    let found = storage::reading(&checkpoint.join("../.."), step).unwrap_or_else(|err| {
        warn!("the card goes without metrics: {:#}", anyhow::Error::new(err));
        None
    });
    let rankme = checkpoint::read(checkpoint).ok().and_then(|it| it.rankme);
    found.map(|mut it| {
        it.values.extend(rankme.map(|rank| ("rankme".to_owned(), rank)));
        it
    })
}

/// The name of the run around a checkpoint.
fn run_name(checkpoint: &Path) -> String {
    let whole = fs::canonicalize(checkpoint).unwrap_or_else(|_| checkpoint.into());
    let run = whole.ancestors().nth(2).and_then(Path::file_name);
    run.map_or_else(|| "encoder".into(), |it| it.to_string_lossy().into_owned())
}

fn choose(asked: Option<Whose>, model: &model::Config) -> anyhow::Result<EncoderChoice> {
    let has_teacher = model.method.has_teacher();
    match asked {
        Some(Whose::Student) => Ok(EncoderChoice::Student),
        Some(Whose::Teacher) => {
            ensure!(has_teacher, "this method has no teacher; use --encoder student");
            Ok(EncoderChoice::Teacher)
        }
        None if has_teacher => Ok(EncoderChoice::Teacher),
        None => Ok(EncoderChoice::Student),
    }
}

/// The file of a checkpoint that has the encoder: the better one has a file of its own.
fn holder(choice: EncoderChoice, model: &model::Config) -> &'static str {
    match choice {
        EncoderChoice::Student if model.method.has_teacher() => "student.safetensors",
        _ => "encoder.safetensors",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_checkpoint_is_the_one_of_the_most_steps() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path();
        let message = newest(run).unwrap_err().to_string();
        assert!(message.contains("checkpoints/step-*"), "{message}");
        for name in ["step-00000900", "step-00001000", "step-100000000", "step-2.tmp", "other"] {
            fs::create_dir_all(run.join("checkpoints").join(name)).unwrap();
        }
        assert_eq!(newest(run).unwrap(), run.join("checkpoints/step-100000000"));
        let one = run.join("checkpoints/step-00000900");
        fs::write(one.join("encoder.safetensors"), "").unwrap();
        assert_eq!(newest(&one).unwrap(), one);
        assert_eq!(step_of(&one), Some(900));
    }
}
