//! `onward benchmark make`: a benchmark that needs no download.
//!
//! ```text
//! DIR/items/train/CLASS/00000.mp4     labelled images in motion, one video each
//! DIR/items/test/CLASS/00000.mp4      other images
//! DIR/items/factors/...csv            where the item is in every frame, and how it is changed
//! DIR/scenes/DIFFICULTY/train/*.mp4   objects cut from pictures, over other pictures
//! DIR/scenes/DIFFICULTY/query/        other objects and pictures, in the layout of DAVIS 2017
//! ```

mod items;
mod pictures;
mod scenes;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use tracing::info;

use crate::terminal::print;

/// Where Debian's package dataset-fashion-mnist has its files.
const FASHION_MNIST: &str = "/usr/share/datasets/fashion-mnist";

/// What to do with a benchmark.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Draw the videos of a benchmark, with the same frames for the same seed.
    Make(MakeArguments),
}

/// Of what, and how much.
#[derive(Debug, clap::Args)]
pub(super) struct MakeArguments {
    /// The folder to write; it must not exist.
    folder: PathBuf,
    /// Fixes all that is random.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Labelled images: a folder with the four files of MNIST or Fashion-MNIST, or scikit-learn's
    /// digits as a CSV. By default those of Debian's package dataset-fashion-mnist, if it is
    /// installed.
    #[arg(long, value_name = "PATH")]
    images: Option<PathBuf>,
    /// Videos of items to learn from.
    #[arg(long, value_name = "COUNT", default_value_t = 3000)]
    train: usize,
    /// Videos of items to test on.
    #[arg(long, value_name = "COUNT", default_value_t = 1000)]
    test: usize,
    /// A folder of images or videos to cut objects and backgrounds from. By default three
    /// photographs that come with the program.
    #[arg(long, value_name = "FOLDER")]
    pictures: Option<PathBuf>,
    /// Scenes of each difficulty to learn from; a quarter as many are made to test on.
    #[arg(long, value_name = "COUNT", default_value_t = 40)]
    scenes: usize,
}

/// Makes the benchmark and says what it holds.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let Command::Make(arguments) = &arguments.command;
    let folder = &arguments.folder;
    let shown = folder.display();
    ensure!(!folder.exists(), "{shown} exists: give another folder, or remove it");
    let default = PathBuf::from(FASHION_MNIST);
    let images = arguments.images.clone().or_else(|| default.is_dir().then_some(default));
    ensure!(
        images.is_some() || arguments.train + arguments.test == 0,
        "there are no labelled images: install Debian's package dataset-fashion-mnist, give \
         --images, or make scenes alone with --train 0 --test 0"
    );
    let pictures = pictures::load(arguments.pictures.as_deref())?;
    // It appears under its name when it is complete.
    let name = folder.file_name().with_context(|| format!("{shown} is no name for a folder"))?;
    let unfinished = folder.with_file_name(format!("{}.unfinished", name.display()));
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished)
            .with_context(|| format!("could not remove {}", unfinished.display()))?;
    }
    let mut text = String::new();
    if let Some(images) = images.filter(|_| arguments.train + arguments.test > 0) {
        info!("drawing {} items in motion", arguments.train + arguments.test);
        text += &items::make(&unfinished.join("items"), &images, arguments)?;
    }
    if arguments.scenes > 0 {
        info!("drawing scenes");
        text += &scenes::make(&unfinished.join("scenes"), &pictures, arguments)?;
    }
    storage::disk::rename(&unfinished, folder)?;
    print::out(&format!("{shown}\n{text}"))
}

/// Creates a folder and those above it.
fn create(folder: &std::path::Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("could not create {}", folder.display()))
}
