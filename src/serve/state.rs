//! What the server knows, and its responses.

use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;

use super::history::History;
use super::http::Response;
use super::metrics;
use super::process::Process;
use super::snapshot::{Snapshot, seconds};

/// How long the trainer may be inactive while batches wait, before it counts as stuck.
#[derive(Clone, Copy, Debug)]
pub(super) struct StuckAfter {
    /// Until the first step is done, because a GPU compiles its kernels in it.
    pub(super) first: Duration,
    /// Later, at least; and at least ten times the duration of a step.
    pub(super) later: Duration,
}

impl Default for StuckAfter {
    fn default() -> Self {
        Self { first: Duration::from_secs(600), later: Duration::from_secs(60) }
    }
}

/// What the trainer sends.
#[derive(Debug)]
pub(super) enum Update {
    Activity(Activity),
    Snapshot(Box<Snapshot>),
}

/// The trainer took a batch, or has done `step` steps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Activity {
    pub(super) step: u64,
    pub(super) time: SystemTime,
    pub(super) instant: Instant,
}

/// The newest state of the run.
pub(super) struct ServerState {
    snapshot: Snapshot,
    published: SystemTime,
    history: History,
    activity: Activity,
    /// When the last step was done; none before the first.
    last_step: Option<SystemTime>,
    stuck_after: StuckAfter,
    queued_batches: Box<dyn Fn() -> usize + Send>,
}

/// `/state.json`.
#[derive(Serialize)]
struct StateJson<'a> {
    now: f64,
    published: f64,
    last_step: Option<f64>,
    health: Check,
    ready: Check,
    #[serde(flatten)]
    snapshot: &'a Snapshot,
    history: &'a History,
    process: Process,
}

/// The result of a health check.
#[derive(Serialize)]
struct Check {
    ok: bool,
    reason: String,
}

impl From<Result<(), String>> for Check {
    fn from(result: Result<(), String>) -> Self {
        Self { ok: result.is_ok(), reason: result.err().unwrap_or_default() }
    }
}

impl ServerState {
    pub(super) fn new(
        first: Snapshot,
        stuck_after: StuckAfter,
        queued_batches: Box<dyn Fn() -> usize + Send>,
    ) -> Self {
        let activity = Activity { step: 0, time: SystemTime::now(), instant: Instant::now() };
        let mut state = Self {
            snapshot: first.clone(),
            published: activity.time,
            history: History::default(),
            activity,
            last_step: None,
            stuck_after,
            queued_batches,
        };
        state.apply(Update::Snapshot(Box::new(first)));
        state
    }

    /// Takes in what the trainer sent.
    pub(super) fn apply(&mut self, update: Update) {
        match update {
            Update::Activity(activity) => self.mark_active(activity),
            Update::Snapshot(snapshot) => {
                self.history.add(snapshot.step, &snapshot.losses);
                self.published = SystemTime::now();
                self.snapshot = *snapshot;
                // A trainer that publishes is active.
                let (step, time) = (self.snapshot.step, self.published);
                self.mark_active(Activity { step, time, instant: Instant::now() });
            }
        }
        self.snapshot.step = self.activity.step;
        self.snapshot.queue.batches = (self.queued_batches)();
    }

    fn mark_active(&mut self, activity: Activity) {
        if activity.step > self.activity.step {
            self.last_step = Some(activity.time);
        }
        self.activity = Activity { step: self.activity.step.max(activity.step), ..activity };
    }

    /// Whether the trainer works or waits for data; it is healthy in both cases.
    ///
    /// # Errors
    /// How long it has neither taken a batch nor done a step although batches wait. A run whose
    /// streams are all gone is healthy but not ready: a restart would not help.
    pub(super) fn health(&self, now: Instant) -> Result<(), String> {
        let inactive = now.saturating_duration_since(self.activity.instant);
        let batches = (self.queued_batches)();
        if batches == 0 || inactive <= self.limit() {
            return Ok(());
        }
        let (step, seconds) = (self.activity.step, inactive.as_secs());
        Err(format!("no step since step {step}, {seconds} s ago, although batches wait: {batches}"))
    }

    fn limit(&self) -> Duration {
        if self.activity.step == 0 {
            return self.stuck_after.first;
        }
        let ten_steps = 10.0 * self.snapshot.throughput.step_seconds;
        let ten_steps = Duration::try_from_secs_f64(ten_steps).unwrap_or_default();
        self.stuck_after.later.max(ten_steps)
    }

    /// The response to a GET of `path`.
    pub(super) fn respond(&mut self, path: &str) -> Response {
        self.snapshot.queue.batches = (self.queued_batches)();
        match path {
            "/" => Response::page(include_str!("page.html")),
            "/state.json" => self.json(),
            "/metrics" => Response::metrics(metrics::text(&self.snapshot, Process::read())),
            "/healthz" => Response::check("ok", self.health(Instant::now())),
            "/readyz" => Response::check("ready", self.snapshot.ready()),
            _ => Response::text(
                404,
                "not found; there are /, /state.json, /metrics, /healthz and /readyz\n",
            ),
        }
    }

    fn json(&self) -> Response {
        let state = StateJson {
            now: seconds(SystemTime::now()),
            published: seconds(self.published),
            last_step: self.last_step.map(seconds),
            health: self.health(Instant::now()).into(),
            ready: self.snapshot.ready().into(),
            snapshot: &self.snapshot,
            history: &self.history,
            process: Process::read(),
        };
        match serde_json::to_string(&state) {
            Ok(text) => Response::json(text),
            Err(err) => Response::text(500, &format!("the state could not be written: {err}\n")),
        }
    }
}
