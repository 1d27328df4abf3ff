//! `onward`: pretrains vision encoders, without labels, on video that never stops.

mod commands;
mod process;
mod run;
mod serve;
mod terminal;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing::Level;

use crate::commands::{check, compact, embed, export, replay, train};
use crate::process::allocator;
use crate::run::config::{BadConfig, Config};
use crate::terminal::progress::Progress;

/// Pretrains vision encoders, without labels, on video that never stops.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Say nothing but warnings and errors.
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Say more.
    #[arg(long, short, global = true)]
    verbose: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Train as a config says, until its steps are done, its streams end, or Ctrl-C. A run that
    /// is there already goes on from its last checkpoint.
    Train {
        #[command(flatten)]
        run: Run,
        /// Show the run at this address: a page at /, and /metrics, /healthz, /readyz for machines.
        /// Without a password: let nobody in who may not see it.
        #[arg(long, value_name = "ADDRESS:PORT")]
        listen: Option<SocketAddr>,
        /// Begin anew: a run that is there already is set aside, not gone on with.
        #[arg(long)]
        fresh: bool,
    },
    /// Open every stream once and say what a run would find, need and give.
    Check(Run),
    /// Write what a checkpoint's encoder sees in the streams of a config, each read once.
    Embed(embed::Arguments),
    /// Merge the small parts of a run's tables into large ones, under the eyes of readers.
    Compact(compact::Arguments),
    /// Repeat the steps after a checkpoint, and say where the first number that is not finite arose.
    Replay(replay::Arguments),
    /// Write a checkpoint's frame encoder for timm or DINOv2, with a model card.
    Export(export::Arguments),
    /// Decode for a run that is isolated; `train` starts it.
    #[command(hide = true)]
    DecodeWorker,
}

#[derive(Debug, clap::Args)]
struct Run {
    /// One run, as TOML; see configs/.
    config: PathBuf,
    /// Replace one value, as in `--set model.train.learning_rate=3e-4`.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
}

impl Run {
    /// Reads the config, or reads it again.
    fn load(&self) -> anyhow::Result<Config> {
        Config::load(&self.config, &self.sets)
    }
}

/// What `sysexits.h` calls EX_CONFIG.
const BAD_CONFIG: u8 = 78;

fn main() -> ExitCode {
    allocator::settle();
    let arguments = Arguments::parse();
    if let Command::DecodeWorker = arguments.command {
        return decode();
    }
    let progress = Progress::new(arguments.quiet, arguments.verbose);
    match run(&arguments, &progress) {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            progress.error(&format!("{err:#}"));
            let bad_config = err.downcast_ref::<BadConfig>().is_some();
            if bad_config { ExitCode::from(BAD_CONFIG) } else { ExitCode::FAILURE }
        }
    }
}

/// Serves as a decoder process, whose log goes to its parent.
fn decode() -> ExitCode {
    let log = tracing_subscriber::fmt().with_max_level(Level::DEBUG).with_ansi(false);
    log.with_target(false).without_time().with_writer(std::io::stderr).init();
    match pipeline::decode_worker() {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            tracing::error!("it is started by `onward train`, not by hand: {err}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments, progress: &Progress) -> anyhow::Result<()> {
    match &arguments.command {
        Command::Train { run, listen, fresh } => train::run(run, *listen, *fresh, progress),
        Command::Check(run) => check::run(&run.load()?),
        Command::Embed(arguments) => embed::run(arguments, progress),
        Command::Compact(arguments) => compact::run(arguments),
        Command::Replay(arguments) => replay::run(arguments),
        Command::Export(arguments) => export::run(arguments),
        Command::DecodeWorker => Ok(()),
    }
}
