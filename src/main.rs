//! `onward`: pretrains vision encoders, without labels, on video that never stops.

mod commands;
mod process;
mod run;
mod serve;
mod terminal;

use std::process::ExitCode;

use clap::Parser;

use crate::commands::{Command, decode_worker};
use crate::process::allocator;
use crate::run::config::{Config, ConfigError};
use crate::terminal::Terminal;
use crate::terminal::log::LogFormat;

/// Pretrains vision encoders, without labels, on video that never stops.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Print only warnings and errors.
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Print debug messages too.
    #[arg(long, short, global = true)]
    verbose: bool,
    /// Format of the messages on standard error.
    #[arg(long, global = true, value_enum, value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,
}

/// `EX_CONFIG` of `sysexits.h`.
const BAD_CONFIG: u8 = 78;

fn main() -> ExitCode {
    allocator::limit_heaps();
    let cli = Cli::parse();
    if let Command::DecodeWorker = cli.command {
        return decode_worker::run();
    }
    let terminal = Terminal::new(cli.quiet, cli.verbose, cli.log_format);
    match cli.command.run(&terminal) {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            terminal.error(&format!("{err:#}"));
            let is_config = err.downcast_ref::<ConfigError>().is_some();
            if is_config { ExitCode::from(BAD_CONFIG) } else { ExitCode::FAILURE }
        }
    }
}
