//! Metrics of a training step, and of embeddings.

pub(crate) mod cholesky;
pub(crate) mod collapse;
pub(crate) mod linear_probe;
pub mod r2;
mod rankme;
pub(crate) mod report;

pub use rankme::rankme;
