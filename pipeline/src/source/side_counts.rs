//! What happens beside the decoded pictures, counted where it happens.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::Counts;

/// Counters of one stream that GStreamer's own threads, and helpers, write. Nothing is decided
/// by them.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Coded pictures that were dropped because decoding could not keep up.
    pub(crate) late: AtomicU64,
    /// Coded pictures that no clip needs.
    pub(crate) unneeded: AtomicU64,
    /// Pipelines that were left behind.
    pub(crate) abandoned: AtomicU64,
    /// Its log says that all its pictures are decoded after all, and why.
    pub(crate) said_dense: AtomicBool,
}

impl Tally {
    /// Counts on from a stream's totals.
    pub(crate) fn of(counts: &Counts) -> Self {
        let Counts { late, unneeded, abandoned, .. } = *counts;
        let [late, unneeded, abandoned] = [late, unneeded, abandoned].map(AtomicU64::new);
        Self { late, unneeded, abandoned, said_dense: AtomicBool::new(false) }
    }

    /// Copies the counters into a stream's totals.
    pub(crate) fn write(&self, counts: &mut Counts) {
        counts.late = self.late.load(Ordering::Relaxed);
        counts.unneeded = self.unneeded.load(Ordering::Relaxed);
        counts.abandoned = self.abandoned.load(Ordering::Relaxed);
    }
}

/// Counts one more.
pub(crate) fn add(counter: &AtomicU64) {
    add_some(counter, 1);
}

/// Counts `more`.
pub(crate) fn add_some(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}
