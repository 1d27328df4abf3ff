//! How far apart the frames of a stream are.

use std::collections::VecDeque;

/// Number of gaps that the median is taken over.
const RECENT: usize = 31;

/// Recent gaps between frames, in seconds. The frame rate that a file states is no help: it is
/// wrong for files with a variable rate.
#[derive(Debug, Default)]
pub(crate) struct FrameGaps {
    recent: VecDeque<f64>,
}

impl FrameGaps {
    pub(crate) fn push(&mut self, gap: f64) {
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(gap);
    }

    /// Median of the recent gaps; 0 before the first.
    pub(crate) fn median(&self) -> f64 {
        let mut sorted: Vec<f64> = self.recent.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or_default()
    }

    /// Whether there were enough gaps for the median to be trusted.
    pub(crate) fn is_settled(&self) -> bool {
        self.recent.len() >= 8
    }
}
