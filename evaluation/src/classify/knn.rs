//! The weighted vote of the nearest neighbours.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};
use rayon::prelude::*;

use super::{Hits, Labelled};

/// Rows of the test set whose similarities to all training rows are in memory at once.
const BLOCK: usize = 256;

/// Settings of [`knn`].
#[derive(Clone, Copy, Debug)]
pub struct Knn {
    /// Neighbours that vote.
    pub k: usize,
    /// The vote of a neighbour with cosine `s` is `exp(s / temperature)`.
    pub temperature: f64,
}

impl Default for Knn {
    /// Those of DINO (Caron et al., 2021) and of Wu et al. (2018).
    fn default() -> Self {
        Self { k: 20, temperature: 0.07 }
    }
}

/// Classifies each row of `test` by its nearest rows of `train` in cosine, and each item by the
/// sum of its rows' votes.
///
/// # Panics
/// If the vectors have other widths, or `train` has no row.
pub fn knn(train: &Labelled, test: &Labelled, settings: Knn) -> Hits {
    train.check();
    test.check();
    assert_eq!(train.vectors.dim(), test.vectors.dim(), "vectors of one width");
    assert!(!train.vectors.is_empty(), "neighbours to choose from");
    let dim = train.vectors.dim();
    let (all, queries) = (train.vectors.normalized(), test.vectors.normalized());
    let all = MatRef::from_column_major_slice(all.values(), dim, train.items.len());
    let classes = train.class_count().max(test.class_count());
    let mut scores = Vec::with_capacity(test.items.len());
    for block in queries.values().chunks(BLOCK * dim) {
        let rows = block.len() / dim;
        let block = MatRef::from_column_major_slice(block, dim, rows);
        let mut cosines = Mat::<f32>::zeros(train.items.len(), rows);
        let into = cosines.as_mut();
        matmul(into, Accum::Replace, all.transpose(), block, 1.0, Par::rayon(0));
        let votes = (0..rows).into_par_iter().map(|row| {
            let cosines = cosines.col(row);
            let cosines: Vec<f32> = cosines.iter().copied().collect();
            votes(&cosines, classes, |row| train.class(row), settings)
        });
        scores.par_extend(votes);
    }
    Hits::by_vote(test, &scores)
}

/// The sum of the neighbours' votes for each class. Of equally near rows the earlier counts.
fn votes(
    cosines: &[f32],
    classes: usize,
    class: impl Fn(usize) -> usize,
    settings: Knn,
) -> Vec<f64> {
    let mut rows: Vec<usize> = (0..cosines.len()).collect();
    let k = settings.k.min(rows.len());
    if k < rows.len() {
        rows.select_nth_unstable_by(k, |a, b| {
            cosines[*b].total_cmp(&cosines[*a]).then_with(|| a.cmp(b))
        });
    }
    let mut votes = vec![0.0; classes];
    for row in &rows[..k] {
        votes[class(*row)] += (f64::from(cosines[*row]) / settings.temperature).exp();
    }
    votes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Vectors;

    #[test]
    fn near_neighbours_outvote_more_that_are_far() {
        // Cosines with (1, 0): 1, 0.8 and 0.8, and opposite.
        let train = Labelled {
            vectors: Vectors::new(2, vec![2.0, 0.0, 0.8, 0.6, 0.8, -0.6, -1.0, 0.0]),
            items: vec![0, 1, 2, 3],
            classes: vec![0, 1, 1, 2],
        };
        let test =
            Labelled { vectors: Vectors::new(2, vec![1.0, 0.0]), items: vec![0], classes: vec![0] };
        let hit = |k, temperature| knn(&train, &test, Knn { k, temperature }).items()[0];
        // exp(1 / 0.07) is 17 times exp(0.8 / 0.07), and exp(1) is less than twice exp(0.8).
        assert_eq!(hit(3, 0.07), 1.0);
        assert_eq!(hit(3, 1.0), 0.0);
        assert_eq!(hit(1, 1.0), 1.0);
        assert_eq!(hit(100, 0.07), 1.0);
    }

    #[test]
    fn blocks_do_not_change_the_votes() {
        let number = |it: usize| ((it * it) % 97) as f32 - 48.0;
        let rows = |count: usize, from: usize| Labelled {
            vectors: Vectors::new(5, (0..count * 5).map(|it| number(it + from)).collect()),
            items: (0..count).collect(),
            classes: (0..count).map(|it| (it + from) % 3).collect(),
        };
        let (train, test) = (rows(50, 0), rows(BLOCK + 7, 11));
        let together = knn(&train, &test, Knn::default());
        let apart: Vec<f64> = (0..BLOCK + 7)
            .flat_map(|row| {
                let one = Labelled {
                    vectors: Vectors::new(5, test.vectors.row(row).to_vec()),
                    items: vec![0],
                    classes: vec![test.classes[row]],
                };
                knn(&train, &one, Knn::default()).items().to_vec()
            })
            .collect();
        assert_eq!(together.items(), apart);
    }
}
