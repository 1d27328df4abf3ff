//! What the thread of a stream says while it runs: each change of state, and its totals.

use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded, select};

use crate::{Counts, Event, State, stop::Stop};

/// How often a live stream's totals are told.
const PULSE: Duration = Duration::from_secs(1);

/// The telling end.
#[derive(Debug)]
pub(crate) struct Reporter {
    stream: usize,
    events: Sender<Event>,
    pulses: Pulses,
    stop: Stop,
    epoch: u64,
    connecting: Instant,
    playing: Option<Instant>,
    due: Instant,
}

/// A channel of one that always holds the newest totals.
#[derive(Debug)]
pub(crate) struct Pulses {
    sender: Sender<Counts>,
    receiver: Receiver<Counts>,
}

impl Pulses {
    pub(crate) fn new() -> Self {
        let (sender, receiver) = bounded(1);
        Self { sender, receiver }
    }

    /// The end that reads them.
    pub(crate) fn receiver(&self) -> Receiver<Counts> {
        self.receiver.clone()
    }

    /// Replaces what was not read.
    fn put(&self, counts: Counts) {
        let mut counts = counts;
        while let Err(TrySendError::Full(again)) = self.sender.try_send(counts) {
            // Old totals are worth nothing.
            let _ = self.receiver.try_recv();
            counts = again;
        }
    }
}

impl Reporter {
    pub(crate) fn new(stream: usize, events: Sender<Event>, pulses: Pulses, stop: Stop) -> Self {
        let now = Instant::now();
        Self { stream, events, pulses, stop, epoch: 0, connecting: now, playing: None, due: now }
    }

    /// Numbers connections from `epoch` on.
    pub(crate) fn from(self, epoch: u64) -> Self {
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

    /// Says that the first frame of a connection came; returns how long it took.
    pub(crate) fn begin_epoch(&mut self) -> Duration {
        self.playing = Some(Instant::now());
        self.connecting.elapsed()
    }

    /// Says that the connection is gone; returns how long it gave frames, if it did.
    pub(crate) fn end_of_epoch(&mut self) -> Option<Duration> {
        let played = self.playing.take()?.elapsed();
        self.epoch += 1;
        Some(played)
    }

    /// Tells a change of state. Waits while a thousand wait already: this stream's events are
    /// worth more than its frames are.
    pub(crate) fn tell(&mut self, state: State, reason: &str, counts: Counts) {
        let event = self.event(state, reason, counts);
        select! {
            send(self.events, event) -> _ => {}
            recv(self.stop.signal()) -> _ => {}
        }
    }

    /// Tells the last state, after which there is none. Nobody may listen any more.
    pub(crate) fn last(&mut self, state: State, reason: &str, counts: Counts) {
        let _ = self.events.try_send(self.event(state, reason, counts));
    }

    /// Whether the totals should be told again.
    pub(crate) fn is_due(&self) -> bool {
        self.playing.is_some() && self.due.elapsed() >= PULSE
    }

    pub(crate) fn pulse(&mut self, counts: Counts) {
        self.due = Instant::now();
        self.pulses.put(counts);
    }

    fn event(&self, state: State, reason: &str, counts: Counts) -> Event {
        let time = SystemTime::now();
        let (stream, epoch, reason) = (self.stream, self.epoch, reason.to_owned());
        Event { stream, time, state, epoch, reason, counts }
    }
}
