//! `onward evaluate`: how good encoders are, beside an untrained one and plain pixels.
//!
//! ```text
//! data      which images and videos there are, and what is known of them
//! encoders  what makes vectors of frames: checkpoints and the baselines
//! vectors   the vectors of all items, kept for the next time
//! tasks     vectors to one number per item
//! report    means, intervals and comparisons
//! ```

mod data;
mod encoders;
mod report;
mod tasks;
mod vectors;

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use clap::ValueEnum;
use pipeline::FileFrames;
use tracing::info;

use crate::run::trained::{FrameConfig, Trained};
use crate::terminal::print;

use data::DataSet;
use encoders::Encoder;
use report::Report;
use tasks::ProtocolName;

/// What to evaluate, and on what.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Checkpoints (runs/NAME/checkpoints/step-N), or runs, whose newest checkpoint is used.
    #[arg(required = true)]
    checkpoints: Vec<PathBuf>,
    /// What the vectors must be good for; several are separated by commas.
    #[arg(long, value_enum, value_delimiter = ',', required = true)]
    task: Vec<Task>,
    /// A folder of images and videos; for knn and linear one with a folder for each class, or with
    /// folders train and test that have those.
    #[arg(long, value_name = "FOLDER")]
    data: PathBuf,
    /// Evaluate raw pixels, a colour histogram and the same network untrained, too.
    #[arg(long)]
    baselines: bool,
    /// Compare every encoder with this one on the same items.
    #[arg(long, value_name = "CHECKPOINT")]
    against: Option<PathBuf>,
    /// Seconds between the frames of a video that are used.
    #[arg(long, value_name = "SECONDS", default_value_t = 0.5)]
    every: f64,
    /// The most frames of a video that are used.
    #[arg(long, value_name = "COUNT", default_value_t = 8)]
    frames: usize,
    /// The most images or videos of a class that are used, and for correspond of all; 0 uses all.
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    items: usize,
    /// Whose settings propagate uses.
    #[arg(long, value_enum, default_value = "dino")]
    protocol: ProtocolName,
    /// Pixels of the short side of frames in propagate, instead of the protocol's size.
    #[arg(long, value_name = "PIXELS")]
    short_side: Option<usize>,
    /// Neighbours that vote in knn.
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    k: usize,
    /// Where vectors are kept for the next time. By default onward/evaluate in the user's folder
    /// of caches.
    #[arg(long, value_name = "FOLDER")]
    cache: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What is asked of vectors.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Task {
    /// The class of an item, by the votes of the nearest training frames.
    Knn,
    /// The class of an item, by ridge regression on standardised vectors.
    Linear,
    /// Where each patch of a frame went in a moved, turned and scaled copy. Needs no classes.
    Correspond,
    /// Where the objects of a video's first frame go, by propagating their labels. Needs the
    /// layout of DAVIS 2017.
    Propagate,
    /// How well numbers that are known of every frame can be read off its vector: R² of ridge
    /// regression. Needs a CSV for each video.
    Factors,
}

impl Task {
    /// The name in options and reports.
    fn name(self) -> &'static str {
        match self {
            Self::Knn => "knn",
            Self::Linear => "linear",
            Self::Correspond => "correspond",
            Self::Propagate => "propagate",
            Self::Factors => "factors",
        }
    }
}

/// Evaluates, and prints the table or JSON.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    ensure!(arguments.every > 0.0, "--every must be more than 0 seconds");
    ensure!(arguments.frames > 0, "--frames must be at least 1");
    ensure!(arguments.k > 0, "--k must be at least 1");
    let compared = arguments.against.as_ref();
    let paths = arguments.checkpoints.iter().chain(compared);
    let trained = paths.map(|it| Trained::find(it)).collect::<anyhow::Result<Vec<_>>>()?;
    let first = &trained[0].config.pipeline;
    for other in &trained {
        let FrameConfig { size: [height, width], .. } = other.config.pipeline;
        ensure!(
            other.config.pipeline.size == first.size && other.config.pipeline.fit == first.fit,
            "{} was trained on frames of {height} x {width} pixels and the first checkpoint on \
             others: evaluate them one by one",
            other.folder.display()
        );
    }
    let frames = FileFrames {
        size: first.size,
        fit: first.fit,
        every: arguments.every,
        limit: arguments.frames,
    };
    let encoders = Encoder::all(&trained, arguments.baselines)?;
    let cache = match &arguments.cache {
        Some(folder) => folder.clone(),
        None => default_cache()?,
    };
    let mut reports = Vec::new();
    for task in &arguments.task {
        let folder = &arguments.data;
        let (scores, summary) = match task {
            Task::Propagate => {
                let (protocol, short_side) = (arguments.protocol, arguments.short_side);
                let scores = tasks::propagate(folder, protocol, short_side, &encoders)?;
                (scores, format!("{protocol:?}'s protocol"))
            }
            Task::Correspond => {
                let data = DataSet::open(folder, false, arguments.items)?;
                (tasks::correspond(&data, &frames, &encoders)?, data.summary())
            }
            Task::Knn | Task::Linear | Task::Factors => {
                let data = DataSet::open(folder, true, arguments.items)?;
                info!("{}: {}", task.name(), data.summary());
                let vectors = vectors::of_items(&data, &frames, &encoders, &cache)?;
                let scores = match task {
                    Task::Factors => tasks::factors(&data, &vectors)?,
                    _ => tasks::classify(*task, arguments.k, &data, vectors),
                };
                (scores, data.summary())
            }
        };
        let against = compared.map(|_| trained.len() - 1);
        let summary = format!("{summary} in {}", folder.display());
        reports.push(Report::new(*task, summary, &encoders, scores, against)?);
    }
    if arguments.json {
        return print::out(&(serde_json::to_string_pretty(&reports)? + "\n"));
    }
    print::out(&reports.iter().map(Report::text).collect::<Vec<_>>().join("\n"))
}

fn default_cache() -> anyhow::Result<PathBuf> {
    let from = |variable: &str| std::env::var_os(variable).filter(|it| !it.is_empty());
    let caches = from("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| from("HOME").map(|home| PathBuf::from(home).join(".cache")));
    let caches = caches.context("neither XDG_CACHE_HOME nor HOME is set: give --cache a folder")?;
    Ok(caches.join("onward/evaluate"))
}
