//! Mixes the clips of all streams into batches.

mod batch;
mod draw;
mod pool;

pub use batch::Batch;

pub(crate) use batch::{BATCHES_WAITING, Batcher};
pub(crate) use draw::{Draw, Input};
pub(crate) use pool::Pool;
