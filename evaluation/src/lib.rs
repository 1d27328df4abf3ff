//! Says how good an encoder is: from vectors and what is known of them to numbers with intervals.
//!
//! ```text
//! vectors     rows of numbers
//! interval    means over items, with what they may be off by
//! classify    k-NN and linear classifiers
//! factors     how well known numbers can be read off vectors
//! correspond  whether a patch is found again after a known change
//! dense       labels that are propagated through a video, and their scores
//! benchmark   videos that are drawn, of which everything is known
//! ```
//!
//! Nothing here knows how a vector came about. Every function takes rows of numbers and gives the
//! same result on every machine; what is random comes from a seed.

mod vectors;

pub mod interval;

pub mod classify;

pub mod factors;

pub mod correspond;

pub mod dense;

pub mod benchmark;

pub use interval::Estimate;
pub use vectors::Vectors;
