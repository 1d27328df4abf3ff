//! Stays connected to a source that cannot be read again.
//!
//! ```text
//! connecting ──frame──▶ playing ──silence──▶ stalled
//!     ▲  │ no frame        │ the end, an error  │
//!     │  └────────────▶ waiting ◀───────────────┘
//!     └──── after the delay ┘ └──▶ given up, after retry.max_attempts
//! ```

use std::{sync::Arc, time::Instant};

use super::{ReadEnd, StreamReader, backoff::Backoff};
use crate::{
    Problem, Result, StreamState,
    clip::Origin,
    random,
    source::{self, Item},
};

impl StreamReader {
    /// Connects, and reconnects whenever the source is lost, until it is stopped.
    ///
    /// Each connection has a number of its own, and no clip holds frames of two.
    pub(super) fn stay_connected(&mut self) -> Result<ReadEnd> {
        let items = source::list_items(&self.config.source);
        let label = self.config.source.label();
        let name = self.config.name.clone();
        let items = items.map_err(|it| it.of(&name, &label))?;
        let item = items.into_iter().next().ok_or_else(|| Problem::NoMatch.of(&name, &label))?;
        let mut backoff = Backoff::new(self.config.retry, random::backoff(self.seed, self.idx));
        let mut failed = 0;
        loop {
            let counts = self.counts();
            self.reporter.report(StreamState::Connecting, "opening", counts);
            let problem = match self.connect(&item) {
                Ok(end) => return Ok(end),
                // A missing installation does not appear by waiting.
                Err(problem @ Problem::GStreamer(_)) => return Err(problem.of(&name, &label)),
                Err(problem) => problem,
            };
            self.sampler.counts.errors += 1;
            let played = self.reporter.connection_lost();
            failed = if played.is_some() { 1 } else { failed + 1 };
            let max_attempts = self.config.retry.max_attempts;
            if max_attempts > 0 && failed >= max_attempts {
                let last = Box::new(problem);
                return Err(Problem::GivenUp { attempts: failed, last }.of(&name, &label));
            }
            let delay = backoff.delay(played.unwrap_or_default());
            let reason = format!("{problem}; trying again in {:.2} s", delay.as_secs_f64());
            if failed == 1 {
                // An outage is logged once, however many attempts it takes.
                tracing::warn!("stream {name:?}: {label}: {reason}");
            }
            let counts = self.counts();
            self.reporter.report(StreamState::Waiting, &reason, counts);
            if self.context.stop.sleep(delay) {
                return Ok(ReadEnd::Stopped);
            }
        }
    }

    fn connect(&mut self, item: &Item) -> Result<ReadEnd, Problem> {
        self.reporter.connecting(Instant::now());
        let epoch = self.reporter.epoch();
        let cursor = Arc::default();
        self.read_item(item, Origin { item: item.label(), epoch, phase: 0.0, cursor })
    }

    /// Notes a frame; the first of a connection starts playing.
    pub(super) fn note_frame(&mut self) {
        if self.reporter.is_playing() {
            return;
        }
        let after = self.reporter.first_frame();
        if self.config.is_live() && self.reporter.epoch() > 0 {
            self.sampler.counts.reconnects += 1;
            tracing::info!("stream {:?} plays again", self.config.name);
        }
        let counts = self.counts();
        let reason = format!("first frame after {:.2} s", after.as_secs_f64());
        self.reporter.report(StreamState::Playing, &reason, counts);
    }

    /// Notes that frames stopped coming while connected.
    pub(super) fn note_stall(&mut self, problem: &Problem) {
        if !self.config.is_live() {
            return;
        }
        self.sampler.counts.stalls += 1;
        let counts = self.counts();
        self.reporter.report(StreamState::Stalled, &problem.to_string(), counts);
    }
}
