//! Data of which everything is known, for a benchmark.

mod idx;

pub use idx::{LabelledImages, ReadError};
