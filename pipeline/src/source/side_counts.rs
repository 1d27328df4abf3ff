//! Counters that GStreamer's own threads write.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

/// Totals of what happened to a stream outside of its decoded frames.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(crate) struct SideCounts {
    /// Coded frames dropped because decoding could not keep up.
    pub(crate) dropped_backlog: u64,
    /// Coded frames not decoded because no clip needs them.
    pub(crate) skipped_gop: u64,
    /// GStreamer pipelines that did not stop in time.
    pub(crate) abandoned_pipelines: u64,
}

/// The same totals, shared between threads. No decision depends on them.
#[derive(Debug, Default)]
pub(crate) struct SideCounters {
    pub(crate) dropped_backlog: AtomicU64,
    pub(crate) skipped_gop: AtomicU64,
    pub(crate) abandoned_pipelines: AtomicU64,
    /// The log already says that all frames of this stream are decoded, and why.
    pub(crate) logged_dense: AtomicBool,
}

impl SideCounters {
    /// Counters that continue from these totals.
    pub(crate) fn starting_at(counts: SideCounts) -> Self {
        let counters = Self::default();
        counters.add(counts);
        counters
    }

    /// The totals so far.
    pub(crate) fn totals(&self) -> SideCounts {
        SideCounts {
            dropped_backlog: self.dropped_backlog.load(Ordering::Relaxed),
            skipped_gop: self.skipped_gop.load(Ordering::Relaxed),
            abandoned_pipelines: self.abandoned_pipelines.load(Ordering::Relaxed),
        }
    }

    /// Adds `more` to the totals.
    pub(crate) fn add(&self, more: SideCounts) {
        self.dropped_backlog.fetch_add(more.dropped_backlog, Ordering::Relaxed);
        self.skipped_gop.fetch_add(more.skipped_gop, Ordering::Relaxed);
        self.abandoned_pipelines.fetch_add(more.abandoned_pipelines, Ordering::Relaxed);
    }
}

impl SideCounts {
    /// What was counted since `before`.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            dropped_backlog: self.dropped_backlog.saturating_sub(before.dropped_backlog),
            skipped_gop: self.skipped_gop.saturating_sub(before.skipped_gop),
            abandoned_pipelines: self
                .abandoned_pipelines
                .saturating_sub(before.abandoned_pipelines),
        }
    }
}

/// Adds one to a counter.
pub(super) fn count_one(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
