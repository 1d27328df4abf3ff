//! How well known numbers, such as a position or a velocity, can be read off vectors.

use crate::Vectors;
use crate::classify::Ridge;
use crate::classify::fit_with_best_penalty;
use crate::interval::{self, Estimate};

/// Vectors of frames, with the same named numbers for each.
#[derive(Clone, Debug)]
pub struct Measured {
    /// One row per frame.
    pub vectors: Vectors,
    /// The item, for example the video, of each row, from 0.
    pub items: Vec<usize>,
    /// The numbers of each row.
    pub factors: Vec<Vec<f64>>,
}

/// R² of a ridge regression from the vectors to each number, on items that it was not fitted to:
/// 1 minus the squared error over that of the test rows' own mean, scikit-learn's definition. The
/// interval is over items. None for a number that is constant in the test rows.
///
/// # Panics
/// If a set is empty, or widths differ.
pub fn r2(train: &Measured, test: &Measured) -> Vec<Option<Estimate>> {
    assert!(!train.items.is_empty() && !test.items.is_empty(), "rows to fit and to test");
    (0..train.factors[0].len()).map(|factor| r2_of(train, test, factor)).collect()
}

fn r2_of(train: &Measured, test: &Measured, factor: usize) -> Option<Estimate> {
    let column = |of: &Measured| -> Vec<f64> { of.factors.iter().map(|it| it[factor]).collect() };
    let (known, truth) = (column(train), column(test));
    let targets: Vec<_> = known.iter().map(|it| vec![*it]).collect();
    let squared = |rows: &[usize], predicted: &[Vec<f64>]| {
        -rows.iter().zip(predicted).map(|(row, it)| (known[*row] - it[0]).powi(2)).sum::<f64>()
    };
    let fit: Ridge = fit_with_best_penalty(&train.vectors, &train.items, &targets, squared);
    let predicted: Vec<f64> = fit.predict(&test.vectors).into_iter().map(|it| it[0]).collect();
    let rows = rows_of_items(&test.items);
    let score = |items: &[usize]| {
        let rows = || items.iter().flat_map(|item| &rows[*item]).copied();
        score(rows().map(|row| (truth[row], predicted[row])))
    };
    score(&(0..rows.len()).collect::<Vec<_>>())
        .is_finite()
        .then(|| interval::statistic(rows.len(), 0, score))
}

/// R² of pairs of truth and prediction: 1 minus the squared error over that of the truth's mean.
/// Not a number if the truth is constant.
pub fn score(pairs: impl Iterator<Item = (f64, f64)> + Clone) -> f64 {
    let count = pairs.clone().count() as f64;
    let mean = pairs.clone().map(|it| it.0).sum::<f64>() / count;
    let total: f64 = pairs.clone().map(|it| (it.0 - mean).powi(2)).sum();
    let error: f64 = pairs.map(|it| (it.0 - it.1).powi(2)).sum();
    if total <= 1e-12 * (1.0 + mean * mean) * count { f64::NAN } else { 1.0 - error / total }
}

fn rows_of_items(items: &[usize]) -> Vec<Vec<usize>> {
    let mut rows = vec![Vec::new(); items.iter().max().map_or(0, |it| it + 1)];
    items.iter().enumerate().for_each(|(row, item)| rows[*item].push(row));
    rows.retain(|it| !it.is_empty());
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_the_vectors_is_read_and_what_is_not_is_not() {
        let number = |it: usize| ((it * 7919 + 13) % 1009) as f32 / 1009.0 - 0.5;
        let measured = |from: usize| {
            let vectors = Vectors::new(3, (from..from + 300).map(number).collect());
            let linear = |row: &[f32]| f64::from(2.0 * row[0] - row[1] + 0.3);
            let noise = |row: usize| f64::from(number(row * row + 5 * from + 77));
            let factors = vectors.rows().enumerate();
            let factors = factors.map(|(row, it)| vec![linear(it), noise(row), 1.0]).collect();
            Measured { vectors, items: (0..100).map(|it| it / 4).collect(), factors }
        };
        let scores = r2(&measured(0), &measured(5000));
        let linear = scores[0].unwrap();
        assert!(linear.value > 0.999 && linear.low > 0.99, "{linear:?}");
        let noise = scores[1].unwrap();
        assert!(noise.value < 0.2 && noise.low < 0.0, "{noise:?}");
        assert!(scores[2].is_none());
    }
}
