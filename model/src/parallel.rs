//! Work spread over the cores. The only file that names rayon.
//!
//! The CPU backend keeps one core busy through most of its operations, for they are too small to
//! be worth splitting. Clips do not depend on each other until their gradients are summed, so
//! that a part of the batch for every core is the better cut.

use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

/// Parts worth working on at once on the CPU: one a core.
pub(crate) fn cores() -> usize {
    rayon::current_num_threads()
}

/// `work` of every item, in their order; of a single item on the caller's own thread.
pub(crate) fn map<T: Send, R: Send>(items: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    if items.len() < 2 {
        return items.into_iter().map(work).collect();
    }
    items.into_par_iter().map(&work).collect()
}
