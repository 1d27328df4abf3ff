//! What a person sees while a command runs, all of it on standard error: a live line on a
//! terminal, plain lines elsewhere, and log messages that do not tear the live line apart.

use std::io::{self, IsTerminal as _, Write};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tracing::{Level, info};
use tracing_subscriber::fmt::MakeWriter;

/// The least time between two plain lines.
const PLAIN_EVERY: Duration = Duration::from_secs(5);

/// Where a command's messages go.
pub(crate) struct Progress {
    lines: MultiProgress,
    quiet: bool,
}

impl Progress {
    /// Sets up logging for the process.
    pub(crate) fn new(quiet: bool, verbose: bool) -> Self {
        let lines = MultiProgress::new();
        let level = match (quiet, verbose) {
            (true, _) => Level::WARN,
            (_, true) => Level::DEBUG,
            _ => Level::INFO,
        };
        tracing_subscriber::fmt()
            .with_max_level(level)
            .with_ansi(io::stderr().is_terminal())
            .with_target(false)
            .without_time()
            .with_writer(Lines(lines.clone()))
            .init();
        Self { lines, quiet }
    }

    /// Whether `--quiet` was given.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Says why the command failed.
    pub(crate) fn error(&self, message: &str) {
        self.lines.suspend(|| writeln!(io::stderr(), "error: {message}").ok());
    }

    /// A line for a run of `steps` steps, of which `first` are done.
    pub(crate) fn run(&self, first: u64, steps: u64) -> RunLine {
        let bar = if self.quiet || !io::stderr().is_terminal() {
            ProgressBar::hidden()
        } else {
            let bar = self.lines.add(ProgressBar::new(steps));
            let style = "{wide_bar:.cyan/blue} step {pos}/{len}  {msg}  ETA {eta}";
            bar.set_style(
                ProgressStyle::with_template(style)
                    .unwrap_or_else(|_| ProgressStyle::default_bar()),
            );
            bar
        };
        RunLine {
            bar,
            first,
            steps,
            plain: !io::stderr().is_terminal(),
            shown: None,
            start: Instant::now(),
        }
    }
}

/// The line that shows how a run is doing.
pub(crate) struct RunLine {
    bar: ProgressBar,
    first: u64,
    steps: u64,
    plain: bool,
    shown: Option<Instant>,
    start: Instant,
}

/// What the line shows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) loss: f32,
    pub(crate) clips_per_second: f64,
    /// Share of the time that the trainer waited for data, 0..1.
    pub(crate) waiting: f64,
    /// Mean time since the clips were cut, in seconds.
    pub(crate) clip_age: f64,
    /// Share of the clips that were in a batch before, 0..1.
    pub(crate) reused: f64,
}

impl RunLine {
    /// Shows that `step` steps are done.
    pub(crate) fn advance(&self, step: u64) {
        self.bar.set_position(step);
    }

    /// Shows new numbers.
    pub(crate) fn show(&mut self, step: u64, pace: Pace) {
        let Pace { loss, clips_per_second, waiting, .. } = pace;
        let waiting = 100.0 * waiting;
        let text = format!("loss {loss:.4}  {clips_per_second:.1} clips/s  waiting {waiting:.0} %");
        if self.plain && self.is_due(step) {
            let done = (step - self.first).max(1) as f64;
            let left = self.start.elapsed().mul_f64((self.steps - step) as f64 / done);
            info!("step {step}/{}  {text}  ETA {}", self.steps, clock(left));
        }
        self.bar.set_message(text);
    }

    /// Removes the line.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn is_due(&mut self, step: u64) -> bool {
        let due = step == self.steps || self.shown.is_none_or(|it| it.elapsed() >= PLAIN_EVERY);
        if due {
            self.shown = Some(Instant::now());
        }
        due
    }
}

/// A duration as `1:02:03` or `2:03`.
pub(crate) fn clock(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

/// Writes log messages above the live line. A closed standard error is no reason to stop.
#[derive(Clone)]
struct Lines(MultiProgress);

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_show_hours_only_when_there_are_some() {
        let shown = [59, 61, 3_723].map(|it| clock(Duration::from_secs(it)));
        assert_eq!(shown, ["0:59", "1:01", "1:02:03"]);
    }
}
