//! Accounts for every decoded frame of a stream.

use std::collections::HashMap;

use serde::Serialize;

use crate::{ClipInfo, Counts};

/// How a stream came to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Its source was read to the end.
    Ended,
    /// The caller stopped first.
    Stopped,
    /// It gave up; the text says why and what to do.
    Failed(String),
}

/// What became of one stream and of every frame decoded from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StreamReport {
    /// Name of the stream.
    pub name: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Totals of the thread that decoded and cut it.
    pub counts: Counts,
    /// Frames of clips that the caller reported as trained.
    pub trained: u64,
    /// Frames of clips that nobody trained on: left in channels, the pool and unread batches,
    /// or taken by the caller and not reported.
    pub untrained: u64,
    /// The first problems that did not end the stream, each once.
    pub problems: Vec<String>,
}

impl StreamReport {
    /// Whether every decoded frame was trained on, left over, or skipped with a reason.
    pub fn is_balanced(&self) -> bool {
        self.counts.decoded == self.trained + self.untrained + self.counts.skipped()
    }
}

/// What the thread of a stream says when it ends.
#[derive(Debug)]
pub(crate) struct StreamEnd {
    pub(crate) outcome: Outcome,
    pub(crate) counts: Counts,
    /// Owned frames of clips that were cut and could not be sent.
    pub(crate) unsent: u64,
    pub(crate) problems: Vec<String>,
}

/// What the batcher says when it ends.
#[derive(Debug, Default)]
pub(crate) struct BatcherEnd {
    /// In batches that were sent.
    pub(crate) sent: Owned,
    /// In the pool, in channels and in a batch that nobody took.
    pub(crate) left: Owned,
}

/// Owned frames by stream.
#[derive(Debug, Default)]
pub(crate) struct Owned(HashMap<usize, u64>);

impl Owned {
    /// Adds the frames that a clip owns.
    pub(crate) fn add(&mut self, clip: &ClipInfo) {
        *self.0.entry(clip.stream).or_default() += clip.owned;
    }

    /// Frames of a stream.
    pub(crate) fn of(&self, stream: usize) -> u64 {
        self.0.get(&stream).copied().unwrap_or_default()
    }
}

/// Frames of one stream after they left its thread, each number counted at another place.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fates {
    /// In batches that the batcher sent.
    pub(crate) sent: u64,
    /// In clips that the batcher still held.
    pub(crate) left: u64,
    /// In sent batches that nobody had taken.
    pub(crate) unread: u64,
    /// Reported by the caller.
    pub(crate) trained: u64,
}

pub(crate) fn report(name: &str, end: StreamEnd, fates: Fates) -> StreamReport {
    let taken = fates.sent.saturating_sub(fates.unread);
    // A caller that reports a clip twice must unbalance the books, not wrap around.
    let unreported = taken.saturating_sub(fates.trained);
    StreamReport {
        name: name.into(),
        outcome: end.outcome,
        counts: end.counts,
        trained: fates.trained,
        untrained: end.unsent + fates.left + fates.unread + unreported,
        problems: end.problems,
    }
}
