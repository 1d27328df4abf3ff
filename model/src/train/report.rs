//! What a trainer gives to its caller, on the host.

use burn::tensor::Tensor;

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
    pub frames: Vectors,
    /// The method's other vectors by name.
    pub others: Vec<(&'static str, Vectors)>,
}

/// One vector per clip.
#[derive(Clone, Debug)]
pub struct Vectors {
    /// Width of a vector.
    pub dim: usize,
    /// `[n, dim]`, row by row.
    pub values: Vec<f32>,
}

impl Vectors {
    /// From rows `[n, dim]`.
    pub(crate) fn of(rows: Tensor<2>) -> Self {
        let dim = rows.dims()[1];
        Self { dim, values: rows.into_data().try_to_vec().expect("float32 rows") }
    }
}
