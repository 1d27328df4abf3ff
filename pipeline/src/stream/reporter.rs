//! Publishes what the thread of a stream does: each change of state, and its totals.

use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded, select};

use crate::{Counts, StreamEvent, StreamState, stop::Stop};

/// How often a live stream publishes its totals.
const COUNTS_EVERY: Duration = Duration::from_secs(1);

/// The publishing end.
#[derive(Debug)]
pub(crate) struct Reporter {
    stream: usize,
    events: Sender<StreamEvent>,
    latest_counts: LatestCounts,
    stop: Stop,
    epoch: u64,
    connecting: Instant,
    playing: Option<Instant>,
    due: Instant,
}

/// A channel of one that always holds the newest totals.
#[derive(Debug)]
pub(crate) struct LatestCounts {
    sender: Sender<Counts>,
    receiver: Receiver<Counts>,
}

impl LatestCounts {
    pub(crate) fn new() -> Self {
        let (sender, receiver) = bounded(1);
        Self { sender, receiver }
    }

    /// The reading end.
    pub(crate) fn receiver(&self) -> Receiver<Counts> {
        self.receiver.clone()
    }

    /// Replaces totals that were not read.
    fn replace(&self, counts: Counts) {
        let mut counts = counts;
        while let Err(TrySendError::Full(again)) = self.sender.try_send(counts) {
            // Old totals are of no use.
            let _ = self.receiver.try_recv();
            counts = again;
        }
    }
}

impl Reporter {
    pub(crate) fn new(
        stream: usize,
        events: Sender<StreamEvent>,
        latest_counts: LatestCounts,
        stop: Stop,
    ) -> Self {
        let now = Instant::now();
        Self {
            stream,
            events,
            latest_counts,
            stop,
            epoch: 0,
            connecting: now,
            playing: None,
            due: now,
        }
    }

    /// Numbers connections from `epoch` on.
    pub(crate) fn starting_at(self, epoch: u64) -> Self {
        Self { epoch, ..self }
    }

    /// Number of the connection that plays, or will play next.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(crate) fn is_playing(&self) -> bool {
        self.playing.is_some()
    }

    pub(crate) fn connecting(&mut self, now: Instant) {
        self.connecting = now;
    }

    /// Notes the first frame of a connection. Returns how long it took.
    pub(crate) fn first_frame(&mut self) -> Duration {
        self.playing = Some(Instant::now());
        self.connecting.elapsed()
    }

    /// Notes that the connection is lost. Returns how long it gave frames, if it did.
    pub(crate) fn connection_lost(&mut self) -> Option<Duration> {
        let played = self.playing.take()?.elapsed();
        self.epoch += 1;
        Some(played)
    }

    /// Publishes a change of state. Waits while a thousand events wait already: for this stream,
    /// events matter more than frames.
    pub(crate) fn report(&mut self, state: StreamState, reason: &str, counts: Counts) {
        let event = self.event(state, reason, counts);
        select! {
            send(self.events, event) -> _ => {}
            recv(self.stop.signal()) -> _ => {}
        }
    }

    /// Publishes the last state. The receiver may be gone already.
    pub(crate) fn report_last(&mut self, state: StreamState, reason: &str, counts: Counts) {
        let _ = self.events.try_send(self.event(state, reason, counts));
    }

    /// Whether the totals are due.
    pub(crate) fn counts_due(&self) -> bool {
        self.playing.is_some() && self.due.elapsed() >= COUNTS_EVERY
    }

    pub(crate) fn publish_counts(&mut self, counts: Counts) {
        self.due = Instant::now();
        self.latest_counts.replace(counts);
    }

    fn event(&self, state: StreamState, reason: &str, counts: Counts) -> StreamEvent {
        let time = SystemTime::now();
        let (stream, epoch, reason) = (self.stream, self.epoch, reason.to_owned());
        StreamEvent { stream, time, state, epoch, reason, counts }
    }
}
