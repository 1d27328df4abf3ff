//! Mixes the clips of all streams into batches, on one thread.
//!
//! ```text
//! draw   which stream the next clip comes from
//! pool   holds clips back, to mix moments and streams
//! batch  the batcher: draws from the pool and stacks
//! ```

mod batch;
mod draw;
mod pool;

pub use batch::{Batch, BatcherState};

pub(crate) use batch::{BATCHES_WAITING, Batcher, BatcherReport, NewFrames};
pub(crate) use draw::{ClipDraw, MixInput, StreamProgress};
pub(crate) use pool::Pool;
