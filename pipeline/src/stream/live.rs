//! Staying connected to what cannot be read again.
//!
//! ```text
//! connecting ──frame──▶ playing ──silence──▶ stalled
//!     ▲  │ no frame        │ the end, an error  │
//!     │  └────────────▶ waiting ◀───────────────┘
//!     └── the delay is over ┘ └──▶ given up, if told to
//! ```

use std::{sync::Arc, time::Instant};

use super::{End, Reader, backoff::Backoff};
use crate::{
    Problem, Result, State,
    clip::Origin,
    random,
    source::{self, Item},
};

impl Reader {
    /// Connects, and connects again whenever the source goes away, until it is stopped.
    ///
    /// Each connection has a number of its own, and no clip holds frames of two.
    pub(super) fn stay_connected(&mut self) -> Result<End> {
        let items = source::items_of(&self.config.source);
        let label = self.config.source.label();
        let name = self.config.name.clone();
        let items = items.map_err(|it| it.of(&name, &label))?;
        let item = items.into_iter().next().ok_or_else(|| Problem::NoMatch.of(&name, &label))?;
        let mut backoff = Backoff::new(self.config.retry, random::backoff(self.seed, self.idx));
        let mut failed = 0;
        loop {
            let counts = self.counts();
            self.reporter.tell(State::Connecting, "opening it", counts);
            let problem = match self.connect(&item) {
                Ok(end) => return Ok(end),
                // What is not installed does not come by waiting.
                Err(problem @ Problem::GStreamer(_)) => return Err(problem.of(&name, &label)),
                Err(problem) => problem,
            };
            self.sampler.counts.errors += 1;
            let played = self.reporter.end_of_epoch();
            failed = if played.is_some() { 1 } else { failed + 1 };
            let attempts = self.config.retry.attempts;
            if attempts > 0 && failed >= attempts {
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
            self.reporter.tell(State::Waiting, &reason, counts);
            if self.opening.stop.sleep(delay) {
                return Ok(End::Stopped);
            }
        }
    }

    fn connect(&mut self, item: &Item) -> Result<End, Problem> {
        self.reporter.connecting(Instant::now());
        let epoch = self.reporter.epoch();
        let place = Arc::default();
        self.read_item(item, Origin { item: item.label(), pass: epoch, phase: 0.0, place })
    }

    /// The first frame of a connection came.
    pub(super) fn note_frame(&mut self) {
        if self.reporter.is_playing() {
            return;
        }
        let after = self.reporter.begin_epoch();
        if self.config.is_live() && self.reporter.epoch() > 0 {
            self.sampler.counts.reconnects += 1;
            tracing::info!("stream {:?} plays again", self.config.name);
        }
        let counts = self.counts();
        let reason = format!("first frame after {:.2} s", after.as_secs_f64());
        self.reporter.tell(State::Playing, &reason, counts);
    }

    /// Frames stopped coming while the connection stands.
    pub(super) fn note_stall(&mut self, problem: &Problem) {
        if !self.config.is_live() {
            return;
        }
        self.sampler.counts.stalls += 1;
        let counts = self.counts();
        self.reporter.tell(State::Stalled, &problem.to_string(), counts);
    }
}
