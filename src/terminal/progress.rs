//! The progress of a run: a live line in a terminal, a log message from time to time elsewhere.

use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tracing::info;

use crate::run::throughput::Throughput;

/// The least time between two messages.
const MESSAGE_EVERY: Duration = Duration::from_secs(5);

/// Shows how far a run is.
pub(crate) struct ProgressLine {
    bar: ProgressBar,
    first: u64,
    steps: u64,
    /// Whether it writes messages in place of a live line.
    has_messages: bool,
    last_message: Option<Instant>,
    start: Instant,
}

impl ProgressLine {
    /// Progress over `steps` steps, of which `first` are done. The live line goes to `lines`.
    pub(super) fn new(
        lines: Option<&MultiProgress>,
        has_messages: bool,
        first: u64,
        steps: u64,
    ) -> Self {
        let bar = match lines {
            Some(lines) => {
                let bar = lines.add(ProgressBar::new(steps));
                let style = "{wide_bar:.cyan/blue} step {pos}/{len}  {msg}  ETA {eta}";
                let style = ProgressStyle::with_template(style);
                bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
                bar
            }
            None => ProgressBar::hidden(),
        };
        Self { bar, first, steps, has_messages, last_message: None, start: Instant::now() }
    }

    /// Moves to `step`.
    pub(crate) fn advance(&self, step: u64) {
        self.bar.set_position(step);
    }

    /// Shows a reading of the losses.
    pub(crate) fn show(&mut self, step: u64, loss: f32, throughput: &Throughput) {
        let Throughput { clips_per_second, data_wait, .. } = throughput;
        let data_wait = 100.0 * data_wait;
        let text =
            format!("loss {loss:.4}  {clips_per_second:.1} clips/s  data wait {data_wait:.0} %");
        if self.has_messages && self.is_due(step) {
            let done = (step - self.first).max(1) as f64;
            let left = self.start.elapsed().mul_f64((self.steps - step) as f64 / done);
            info!("step {step}/{}  {text}  ETA {}", self.steps, clock(left));
        }
        self.bar.set_message(text);
    }

    /// Removes the live line.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn is_due(&mut self, step: u64) -> bool {
        let is_old = self.last_message.is_none_or(|last| last.elapsed() >= MESSAGE_EVERY);
        let is_due = step == self.steps || is_old;
        if is_due {
            self.last_message = Some(Instant::now());
        }
        is_due
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_show_hours_only_when_there_are_some() {
        let shown = [59, 61, 3_723].map(|seconds| clock(Duration::from_secs(seconds)));
        assert_eq!(shown, ["0:59", "1:01", "1:02:03"]);
    }
}
