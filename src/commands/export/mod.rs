//! `onward export`: the frame encoder of a checkpoint as a folder that timm or DINOv2's code
//! loads, with a model card.

mod card;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use clap::ValueEnum;
use model::{EncoderChoice, Layout};
use storage::StepValues;
use tracing::warn;

use crate::run::checkpoint::{self, step_of};
use crate::run::trained::{Trained, TrainedConfig};
use crate::terminal::print;

use card::Card;

/// What to export, and where to.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A checkpoint (runs/NAME/checkpoints/step-N), or a run, whose newest checkpoint is used.
    from: PathBuf,
    /// The folder to write model.safetensors, config.json and README.md into.
    #[arg(long)]
    out: PathBuf,
    /// Which encoder; by default the teacher's, or the student's if the method has no teacher.
    #[arg(long)]
    encoder: Option<Encoder>,
    /// Whose names the weights get.
    #[arg(long, default_value = "timm")]
    layout: LayoutName,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Encoder {
    Student,
    Teacher,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LayoutName {
    Timm,
    Dinov2,
}

/// Writes the three files and prints their paths.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let trained = Trained::find(&arguments.from)?;
    let (checkpoint, TrainedConfig { pipeline, model, .. }) = (&trained.folder, &trained.config);
    let image = model.method.view_size(pipeline.size);
    let shape = model.encoder.shape(image, model.precision)?;
    let layout = match arguments.layout {
        LayoutName::Timm => Layout::Timm,
        LayoutName::Dinov2 => Layout::Dinov2,
    };
    let choice = choose(arguments.encoder, model)?;
    let files @ [weights, config, card] = &new_files(&arguments.out)?;
    model::export(&shape, layout, &checkpoint.join(weights_file(choice, model)), weights)?;
    let crop = pipeline.fit == pipeline::Fit::Crop;
    let timm = model::timm_config(&shape, layout, image, crop);
    write_file(config, &serde_json::to_string_pretty(&timm)?)?;
    let (run, step) = (&trained.run_name(), trained.step());
    let (shape, timm, config) = (&shape, &timm, &trained.text[..]);
    let metrics = metrics(checkpoint);
    let content = Card { run, step, choice, shape, layout, image, crop, timm, metrics, config };
    write_file(card, &content.text()?)?;
    let paths = files.each_ref().map(|path| format!("{}\n", path.display()));
    print::out(&(paths.concat() + "choose a licence for the weights and fill it in\n"))
}

/// The paths to write. Existing files are not overwritten: they may have been edited by hand.
fn new_files(out: &Path) -> anyhow::Result<[PathBuf; 3]> {
    let files = ["model.safetensors", "config.json", "README.md"].map(|name| out.join(name));
    if let Some(path) = files.iter().find(|path| path.exists()) {
        anyhow::bail!("{} exists; give --out another folder, or remove it", path.display());
    }
    fs::create_dir_all(out).with_context(|| format!("could not create {}", out.display()))?;
    Ok(files)
}

fn write_file(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("could not write {}", path.display()))
}

/// `from` itself if it is a checkpoint, or else the checkpoint in it with the most steps.
/// The metrics of the run at a checkpoint; none for a checkpoint that was moved out of its run.
fn metrics(checkpoint: &Path) -> Option<StepValues> {
    let step = step_of(checkpoint)?;
    let reading = storage::last_metrics(&checkpoint.join("../.."), step).unwrap_or_else(|err| {
        warn!("the card has no metrics: {:#}", anyhow::Error::new(err));
        None
    });
    let rankme = checkpoint::read(checkpoint).ok().and_then(|state| state.rankme);
    reading.map(|mut reading| {
        reading.values.extend(rankme.map(|rank| ("rankme".to_owned(), rank)));
        reading
    })
}

fn choose(requested: Option<Encoder>, model: &model::Config) -> anyhow::Result<EncoderChoice> {
    let has_teacher = model.method.has_teacher();
    match requested {
        Some(Encoder::Student) => Ok(EncoderChoice::Student),
        Some(Encoder::Teacher) => {
            ensure!(has_teacher, "this method has no teacher; use --encoder student");
            Ok(EncoderChoice::Teacher)
        }
        None if has_teacher => Ok(EncoderChoice::Teacher),
        None => Ok(EncoderChoice::Student),
    }
}

/// The file of a checkpoint that holds an encoder. `encoder.safetensors` holds the teacher's, if
/// there is one.
fn weights_file(choice: EncoderChoice, model: &model::Config) -> &'static str {
    match choice {
        EncoderChoice::Student if model.method.has_teacher() => "student.safetensors",
        _ => "encoder.safetensors",
    }
}
