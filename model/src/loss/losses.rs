//! What a method computes of a part of a batch.

use burn::tensor::Tensor;

/// The loss of a part, and what a person would want to see of it. Only `total` is tracked.
pub(crate) struct Losses {
    pub(crate) total: Tensor<1>,
    /// Named numbers, means over the clips.
    pub(crate) terms: Vec<(&'static str, Tensor<1>)>,
    /// Named numbers a clip, `[n]`.
    pub(crate) per_clip: Vec<(&'static str, Tensor<1>)>,
    /// Named tokens `[rows, tokens, d]` whose spread over the batch is watched.
    pub(crate) tokens: Vec<(&'static str, Tensor<3>)>,
    /// Vectors `[rows, d]` whose sample- and dimension-contrastive criteria are watched.
    pub(crate) projections: Option<Tensor<2>>,
}

impl Losses {
    /// A loss with nothing beside it.
    pub(crate) fn of(total: Tensor<1>) -> Self {
        let (terms, per_clip, tokens) = (Vec::new(), Vec::new(), Vec::new());
        Self { total, terms, per_clip, tokens, projections: None }
    }

    pub(crate) fn untracked(mut self) -> Self {
        self.total = self.total.inner();
        self
    }
}
