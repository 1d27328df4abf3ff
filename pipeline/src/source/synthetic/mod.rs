//! Frames that are drawn, not decoded: exact motion that is known in advance, without GStreamer.

mod digits;
mod discs;

pub use digits::{MovingDigits, Sequences, Trajectory};
pub use discs::Synthetic;
