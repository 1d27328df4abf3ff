//! Says how good an encoder is: from vectors and what is known of them to numbers with intervals.
//!
//! Nothing here knows how a vector came about. Every function takes rows of numbers and gives the
//! same result on every machine; what is random comes from a seed.

pub mod benchmark;
pub mod dense;

mod vectors;

pub mod interval;

pub mod classify;

pub mod factors;

pub mod correspond;

pub use interval::Estimate;
pub use vectors::Vectors;
