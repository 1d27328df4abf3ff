//! The effective rank of recent embeddings, by which the best checkpoint is chosen.

use std::collections::VecDeque;

use model::VectorBatch;

/// Embeddings that are measured together. The number is the same at every checkpoint, so that the
/// ranks can be compared.
const ROWS: usize = 256;

/// The latest embeddings.
#[derive(Default)]
pub(crate) struct RecentEmbeddings(VecDeque<Vec<f32>>);

impl RecentEmbeddings {
    /// Adds the embeddings of a batch.
    pub(crate) fn push(&mut self, vectors: &VectorBatch) {
        self.0.extend(vectors.values.chunks(vectors.dim).map(<[f32]>::to_vec));
        while self.0.len() > ROWS {
            self.0.pop_front();
        }
    }

    /// Their effective rank; none while there are too few.
    pub(crate) fn rankme(&self) -> Option<f64> {
        let dim = self.0.front()?.len();
        let rows: Vec<f32> = self.0.iter().flatten().copied().collect();
        (self.0.len() == ROWS).then(|| model::rankme(&rows, dim))
    }
}
