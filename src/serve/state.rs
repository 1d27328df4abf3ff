//! What the server knows, and the answers that it gives.

use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;

use super::history::History;
use super::http::Answer;
use super::metrics;
use super::process::Process;
use super::snapshot::{Snapshot, seconds};

/// How long the trainer may work on one thing while batches wait, before it counts as stuck.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// Until the first step is done: a GPU compiles its kernels in it.
    pub(super) first: Duration,
    /// Later, at least; and at least ten times as long as a step takes.
    pub(super) later: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { first: Duration::from_secs(600), later: Duration::from_secs(60) }
    }
}

/// What the trainer sends.
#[derive(Debug)]
pub(super) enum News {
    Beat(Beat),
    Snapshot(Box<Snapshot>),
}

/// A sign of life.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beat {
    pub(super) step: u64,
    pub(super) time: SystemTime,
    pub(super) at: Instant,
}

/// The newest of everything.
pub(super) struct State {
    snapshot: Snapshot,
    published: SystemTime,
    history: History,
    beat: Beat,
    /// When `beat.step` was done; none before the first.
    stepped: Option<SystemTime>,
    patience: Patience,
    waiting: Box<dyn Fn() -> usize + Send>,
}

/// `/state.json`.
#[derive(Serialize)]
struct Shown<'a> {
    now: f64,
    published: f64,
    last_step: Option<f64>,
    health: Verdict,
    ready: Verdict,
    #[serde(flatten)]
    snapshot: &'a Snapshot,
    history: &'a History,
    process: Process,
}

#[derive(Serialize)]
struct Verdict {
    ok: bool,
    reason: String,
}

impl From<Result<(), String>> for Verdict {
    fn from(result: Result<(), String>) -> Self {
        Self { ok: result.is_ok(), reason: result.err().unwrap_or_default() }
    }
}

impl State {
    pub(super) fn new(
        first: Snapshot,
        patience: Patience,
        waiting: Box<dyn Fn() -> usize + Send>,
    ) -> Self {
        let beat = Beat { step: 0, time: SystemTime::now(), at: Instant::now() };
        let mut state = Self {
            snapshot: first.clone(),
            published: beat.time,
            history: History::default(),
            beat,
            stepped: None,
            patience,
            waiting,
        };
        state.apply(News::Snapshot(Box::new(first)));
        state
    }

    pub(super) fn apply(&mut self, news: News) {
        match news {
            News::Beat(beat) => self.beat(beat),
            News::Snapshot(snapshot) => {
                self.history.offer(snapshot.step, &snapshot.losses);
                self.published = SystemTime::now();
                self.snapshot = *snapshot;
                // Whoever publishes is alive.
                let step = self.snapshot.step;
                self.beat(Beat { step, time: self.published, at: Instant::now() });
            }
        }
        self.snapshot.step = self.beat.step;
        self.snapshot.queue.batches = (self.waiting)();
    }

    fn beat(&mut self, beat: Beat) {
        if beat.step > self.beat.step {
            self.stepped = Some(beat.time);
        }
        self.beat = Beat { step: self.beat.step.max(beat.step), ..beat };
    }

    /// Whether the trainer works, or waits for data: both are well.
    ///
    /// # Errors
    /// How long it has neither taken a batch nor done a step although batches wait. A run whose
    /// streams are all gone is healthy, and not ready: starting it anew would not help.
    pub(super) fn health(&self, now: Instant) -> Result<(), String> {
        let silent = now.saturating_duration_since(self.beat.at);
        let waiting = (self.waiting)();
        if waiting == 0 || silent <= self.limit() {
            return Ok(());
        }
        let (step, silent) = (self.beat.step, silent.as_secs());
        Err(format!("no step since step {step}, {silent} s ago, although batches wait: {waiting}"))
    }

    fn limit(&self) -> Duration {
        if self.beat.step == 0 {
            return self.patience.first;
        }
        let ten = Duration::try_from_secs_f64(10.0 * self.snapshot.pace.step_seconds);
        self.patience.later.max(ten.unwrap_or_default())
    }

    /// The answer to a GET of `path`.
    pub(super) fn answer(&mut self, path: &str) -> Answer {
        self.snapshot.queue.batches = (self.waiting)();
        match path {
            "/" => Answer::page(include_str!("page.html")),
            "/state.json" => self.json(),
            "/metrics" => Answer::metrics(metrics::text(&self.snapshot, Process::read())),
            "/healthz" => Answer::verdict("ok", self.health(Instant::now())),
            "/readyz" => Answer::verdict("ready", self.snapshot.ready()),
            _ => Answer::text(
                404,
                "not found; there are /, /state.json, /metrics, /healthz, /readyz\n",
            ),
        }
    }

    fn json(&self) -> Answer {
        let shown = Shown {
            now: seconds(SystemTime::now()),
            published: seconds(self.published),
            last_step: self.stepped.map(seconds),
            health: self.health(Instant::now()).into(),
            ready: self.snapshot.ready().into(),
            snapshot: &self.snapshot,
            history: &self.history,
            process: Process::read(),
        };
        match serde_json::to_string(&shown) {
            Ok(text) => Answer::json(text),
            Err(err) => Answer::text(500, &format!("the state cannot be written: {err}\n")),
        }
    }
}
