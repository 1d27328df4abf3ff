//! What the server knows of the run.

use std::time::{Duration, Instant, SystemTime};

use super::history::History;
use super::snapshot::Snapshot;

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
    pub(super) snapshot: Snapshot,
    pub(super) published: SystemTime,
    pub(super) history: History,
    activity: Activity,
    /// When the last step was done; none before the first.
    pub(super) last_step: Option<SystemTime>,
    stuck_after: StuckAfter,
    pub(super) queued_batches: Box<dyn Fn() -> usize + Send>,
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
}
