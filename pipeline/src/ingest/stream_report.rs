//! The report of a stream at its end: every decoded frame has an outcome.

use serde::Serialize;

use crate::{
    Counts,
    stream::{StreamEnd, ThreadReport},
};

/// How a stream ended, and what became of every frame decoded from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StreamReport {
    /// Name of the stream.
    pub name: String,
    /// How it ended.
    pub end: StreamEnd,
    /// Its totals. `untrained` are frames of clips that were left in channels, in the pool or in
    /// batches that were not taken, and of clips that the caller took and did not report.
    pub counts: Counts,
    /// The first problems that did not end the stream, each once.
    pub problems: Vec<String>,
}

impl StreamReport {
    /// Whether every decoded frame has exactly one outcome.
    pub fn is_balanced(&self) -> bool {
        self.counts.decoded == self.counts.accounted()
    }
}

/// New frames of one stream's clips after they left its thread, counted where the clips are.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FrameFlow {
    /// In batches that the batcher sent.
    pub(crate) sent: u64,
    /// In clips that the batcher still held.
    pub(crate) left: u64,
    /// In batches that were sent but not taken.
    pub(crate) unread: u64,
    /// In batches that the caller trained on.
    pub(crate) trained: u64,
}

pub(crate) fn report(name: &str, thread: ThreadReport, flow: FrameFlow) -> StreamReport {
    let taken = flow.sent.saturating_sub(flow.unread);
    // A caller that reports a batch twice must unbalance the counts, not wrap around.
    let unreported = taken.saturating_sub(flow.trained);
    let untrained = thread.unsent + flow.left + flow.unread + unreported;
    StreamReport {
        name: name.into(),
        end: thread.end,
        counts: Counts { trained: flow.trained, untrained, ..thread.counts },
        problems: thread.problems,
    }
}
