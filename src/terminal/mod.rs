//! What a command prints: results on standard output; messages and progress on standard error.

pub(crate) mod log;
pub(crate) mod print;
pub(crate) mod progress;

use std::io::{self, IsTerminal as _, Write as _};

use indicatif::MultiProgress;
use tracing::{Level, error};

use self::log::{Lines, LogFormat};
use self::progress::ProgressLine;

/// Standard error: log messages, and a progress line below them.
pub(crate) struct Terminal {
    lines: MultiProgress,
    is_quiet: bool,
    format: LogFormat,
}

impl Terminal {
    /// Sets up logging for the process.
    pub(crate) fn new(is_quiet: bool, is_verbose: bool, format: LogFormat) -> Self {
        let lines = MultiProgress::new();
        let level = match (is_quiet, is_verbose) {
            (true, _) => Level::WARN,
            (_, true) => Level::DEBUG,
            _ => Level::INFO,
        };
        log::start(level, format, Lines(lines.clone()));
        Self { lines, is_quiet, format }
    }

    /// Whether `--quiet` was given.
    pub(crate) fn is_quiet(&self) -> bool {
        self.is_quiet
    }

    /// Prints why the command failed.
    pub(crate) fn error(&self, message: &str) {
        match self.format {
            LogFormat::Json => error!("{message}"),
            // A closed standard error is not an error.
            LogFormat::Text => {
                self.lines.suspend(|| writeln!(io::stderr(), "error: {message}").ok());
            }
        }
    }

    /// A progress line for a run of `steps` steps, of which `first` are done.
    pub(crate) fn progress(&self, first: u64, steps: u64) -> ProgressLine {
        let is_live = io::stderr().is_terminal() && self.format == LogFormat::Text;
        let lines = (is_live && !self.is_quiet).then_some(&self.lines);
        ProgressLine::new(lines, !is_live, first, steps)
    }
}
