//! What happens to streams while they run.

use std::{fmt, time::SystemTime};

use crate::Counts;

/// A change of a stream's state.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamEvent {
    /// Number of the stream, as in [`ClipInfo::stream`](crate::ClipInfo::stream).
    pub stream: usize,
    /// When it happened.
    pub time: SystemTime,
    /// The state from then on.
    pub state: StreamState,
    /// Number of the connection of a live stream, from 0; 0 for an archive.
    pub epoch: u64,
    /// Why, in words, without credentials.
    pub reason: String,
    /// Totals of the stream at that moment.
    pub counts: Counts,
}

/// What a stream is doing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StreamState {
    /// It is being opened and has given no frame yet.
    Connecting,
    /// It gives frames.
    Playing,
    /// It is connected, but gave no frame for too long.
    Stalled,
    /// It is lost and will be tried again.
    Waiting,
    /// It failed too many times in a row and is not tried again.
    GivenUp,
    /// It was read to its end.
    Ended,
    /// It cannot be read.
    Failed,
    /// The run, or a removal of the stream, stopped it.
    Stopped,
}

impl StreamState {
    /// The name in tables and metrics, for example `given_up`.
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

impl fmt::Display for StreamState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
