//! What a trainer gives to its caller, on the host.

use crate::VectorBatch;
use crate::method::Warning;

/// The metrics of a step.
#[derive(Clone, Debug)]
pub struct Report {
    /// Metrics by name; `loss` is the first.
    pub values: Vec<(String, f32)>,
    /// Metrics per clip of the batch by name.
    pub per_clip: Vec<(String, Vec<f32>)>,
    /// Signs that training goes wrong; each kind is in one report of a run.
    pub warnings: Vec<Warning>,
}

/// The embeddings of a batch of clips.
#[derive(Clone, Debug)]
pub struct Embeddings {
    /// Name of the frame encoder.
    pub encoder: &'static str,
    /// The frame encoder's vectors.
    pub frames: VectorBatch,
    /// The method's other vectors by name.
    pub others: Vec<(&'static str, VectorBatch)>,
}
