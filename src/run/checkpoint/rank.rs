//! What the stored embeddings of late say about the encoder.

use std::collections::VecDeque;

use model::Vectors;

/// Embeddings that are measured together: equally many at every checkpoint, so that they compare.
const ROWS: usize = 256;

/// The latest embeddings.
#[derive(Default)]
pub(crate) struct Recent(VecDeque<Vec<f32>>);

impl Recent {
    /// Takes note of a batch's embeddings.
    pub(crate) fn push(&mut self, vectors: &Vectors) {
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
