//! What happens to streams while they run.

use std::{fmt, time::SystemTime};

use crate::Counts;

/// Something that happened to a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Index of the stream, as in [`ClipInfo::stream`](crate::ClipInfo::stream).
    pub stream: usize,
    /// When it happened.
    pub time: SystemTime,
    /// The stream's state from then on.
    pub state: State,
    /// How often the stream had been connected, or read, before: no clip holds frames of two.
    pub epoch: u64,
    /// Why, in words, without credentials.
    pub reason: String,
    /// Totals of the stream at that moment.
    pub counts: Counts,
}

/// What a stream is doing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// It is being opened, and has given no frame.
    Connecting,
    /// Frames come.
    Playing,
    /// It is connected, and no frame came for too long.
    Stalled,
    /// It is gone, and will be tried again.
    Waiting,
    /// It was gone for as many attempts as it may.
    GivenUp,
    /// It was read to its end.
    Ended,
    /// It cannot be read.
    Failed,
    /// The run, or whoever removed the stream, stopped it.
    Stopped,
}

impl State {
    /// As the tables have it: `given_up` and alike.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Playing => "playing",
            Self::Stalled => "stalled",
            Self::Waiting => "waiting",
            Self::GivenUp => "given_up",
            Self::Ended => "ended",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
