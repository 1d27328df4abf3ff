//! How far apart the frames of a stream really are.

use std::collections::VecDeque;

/// Gaps that the typical one is taken over.
const RECENT: usize = 31;

/// Recent gaps between frames, in seconds. The frame rate that a file states is no help: with
/// a variable rate it lies.
#[derive(Debug, Default)]
pub(crate) struct Gaps {
    recent: VecDeque<f64>,
}

impl Gaps {
    pub(crate) fn push(&mut self, gap: f64) {
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(gap);
    }

    /// Median of the recent gaps; 0 before the first.
    pub(crate) fn typical(&self) -> f64 {
        let mut sorted: Vec<f64> = self.recent.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or_default()
    }

    /// Whether enough gaps were seen for the typical one to be trusted.
    pub(crate) fn is_settled(&self) -> bool {
        self.recent.len() >= 8
    }
}
