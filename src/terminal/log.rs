//! Log messages on standard error, as text or as JSON.

use std::io::{self, IsTerminal as _, Write};

use clap::ValueEnum;
use indicatif::MultiProgress;
use tracing::Level;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::prelude::*;

/// How log messages are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people. Each has a timestamp when standard error is not a terminal.
    Text,
    /// One JSON object per line.
    Json,
}

/// Starts to write messages of `level` and above.
pub(super) fn start(level: Level, format: LogFormat, lines: Lines) {
    let is_terminal = io::stderr().is_terminal();
    let layer = tracing_subscriber::fmt::layer().with_target(false).with_writer(lines);
    let layer = match format {
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
        LogFormat::Text if is_terminal => layer.without_time().with_ansi(true).boxed(),
        LogFormat::Text => layer.with_ansi(false).boxed(),
    };
    tracing_subscriber::registry().with(layer).with(LevelFilter::from_level(level)).init();
}

/// Writes log messages above the progress line. A closed standard error is not an error.
#[derive(Clone)]
pub(super) struct Lines(pub(super) MultiProgress);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().write_all(bytes).ok());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
