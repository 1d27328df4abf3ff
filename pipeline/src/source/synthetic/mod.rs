//! Frames that are drawn and not decoded.

mod digits;
mod discs;

pub use digits::{MovingDigits, Sequences, Trajectory};
pub use discs::Synthetic;

pub(crate) use digits::Digit;
pub(crate) use discs::Drawn;
