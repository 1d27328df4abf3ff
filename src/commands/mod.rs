//! The commands: one file or folder for each.

pub(crate) mod benchmark;
pub(crate) mod check;
pub(crate) mod compact;
pub(crate) mod completions;
pub(crate) mod decode_worker;
pub(crate) mod embed;
pub(crate) mod evaluate;
pub(crate) mod export;
pub(crate) mod init;
pub(crate) mod replay;
pub(crate) mod schema;
pub(crate) mod train;

use std::path::PathBuf;

use clap::Subcommand;

use crate::Config;
use crate::process::signals;
use crate::terminal::Terminal;

/// What to do, with its arguments.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print a config to start from.
    Init,
    /// Open every stream once and print what a run would find, need and produce.
    Check(ConfigArguments),
    /// Train until the steps of the config are done, the streams end, or Ctrl-C. A run that
    /// exists already resumes from its last checkpoint.
    Train(train::Arguments),
    /// Embed the streams of a config with the encoder of a checkpoint. Each stream is read once.
    Embed(embed::Arguments),
    /// Measure how good the encoders of checkpoints are, beside an untrained one and pixels.
    Evaluate(evaluate::Arguments),
    /// Make a benchmark: videos that are drawn, of which everything is known.
    Benchmark(benchmark::Arguments),
    /// Write the frame encoder of a checkpoint for timm or DINOv2, with a model card.
    Export(export::Arguments),
    /// Merge the small parts of a run's tables into large ones, while others may be reading.
    Compact(compact::Arguments),
    /// Repeat the steps after a checkpoint and print where the first NaN or infinity arose.
    Replay(replay::Arguments),
    /// Print a script that completes the arguments of this program in a shell.
    Completions(completions::Arguments),
    /// Print the JSON Schema of a config, for editors that read a `#:schema` line.
    Schema,
    /// Decode for a run with `pipeline.isolate`, which starts this command itself.
    #[command(hide = true)]
    DecodeWorker,
}

/// A config and changes to it.
#[derive(Debug, clap::Args)]
pub(crate) struct ConfigArguments {
    /// The config of a run, as TOML; see configs/.
    config: PathBuf,
    /// Replace one value of the config, as in `--set model.train.learning_rate=3e-4`.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
}

impl ConfigArguments {
    /// Reads the config.
    fn load(&self) -> anyhow::Result<Config> {
        Config::load(&self.config, &self.sets)
    }
}

impl Command {
    /// Runs the command.
    pub(crate) fn run(&self, terminal: &Terminal) -> anyhow::Result<()> {
        // The others save their work on a signal.
        if !matches!(self, Self::Train(_) | Self::Embed(_)) {
            signals::end_first_process()?;
        }
        match self {
            Self::Init => init::run(),
            Self::Check(arguments) => check::run(&arguments.load()?),
            Self::Train(arguments) => train::run(arguments, terminal),
            Self::Embed(arguments) => embed::run(arguments, terminal),
            Self::Benchmark(arguments) => benchmark::run(arguments),
            Self::Evaluate(arguments) => evaluate::run(arguments),
            Self::Export(arguments) => export::run(arguments),
            Self::Compact(arguments) => compact::run(arguments),
            Self::Replay(arguments) => replay::run(arguments),
            Self::Completions(arguments) => completions::run(arguments),
            Self::Schema => schema::run(),
            Self::DecodeWorker => Ok(()),
        }
    }
}
