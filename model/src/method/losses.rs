//! What a method computes for a part of a batch.

use burn::tensor::Tensor;

/// The loss of a part, and what its metrics are computed from. Only `total` has gradients.
pub(crate) struct Losses {
    pub(crate) total: Tensor<1>,
    /// Numbers by name, means over the clips.
    pub(crate) terms: Vec<(&'static str, Tensor<1>)>,
    /// Numbers per clip by name, `[n]`.
    pub(crate) per_clip: Vec<(&'static str, Tensor<1>)>,
    /// Tokens `[rows, tokens, d]` by name, for their variance and covariance over the batch.
    pub(crate) tokens: Vec<(&'static str, Tensor<3>)>,
    /// Vectors `[rows, d]` for the sample- and the dimension-contrastive criterion.
    pub(crate) projections: Option<Tensor<2>>,
}

impl Losses {
    /// Without gradients.
    pub(crate) fn inner(mut self) -> Self {
        self.total = self.total.inner();
        self
    }
}
