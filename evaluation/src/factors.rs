//! How well known numbers, such as a position or a velocity, can be read off vectors.

use crate::Vectors;
use crate::classify::Ridge;
use crate::classify::fit_with_best_penalty;

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

/// How a ridge regression reads each number off the vectors of items that it was not fitted to: one
/// number per test item, whose mean is R², which is 1 minus the squared error over that of the
/// test rows' own mean (scikit-learn's definition). None for a number that is constant in the test
/// rows.
///
/// # Panics
/// If a set is empty, or widths differ.
pub fn r2(train: &Measured, test: &Measured) -> Vec<Option<Vec<f64>>> {
    assert!(!train.items.is_empty() && !test.items.is_empty(), "rows to fit and to test");
    (0..train.factors[0].len()).map(|factor| r2_of(train, test, factor)).collect()
}

fn r2_of(train: &Measured, test: &Measured, factor: usize) -> Option<Vec<f64>> {
    let column = |of: &Measured| -> Vec<f64> { of.factors.iter().map(|it| it[factor]).collect() };
    let (known, truth) = (column(train), column(test));
    let targets: Vec<_> = known.iter().map(|it| vec![*it]).collect();
    let squared = |rows: &[usize], predicted: &[Vec<f64>]| {
        -rows.iter().zip(predicted).map(|(row, it)| (known[*row] - it[0]).powi(2)).sum::<f64>()
    };
    let fit: Ridge = fit_with_best_penalty(&train.vectors, &train.items, &targets, squared);
    let predicted = fit.predict(&test.vectors);
    let errors: Vec<f64> =
        truth.iter().zip(&predicted).map(|(truth, it)| (truth - it[0]).powi(2)).collect();
    let total = total_squares(truth.into_iter())?;
    let rows = rows_of_items(&test.items);
    // The items' shares of the error add up to 1 - R².
    let share = |rows: &Vec<usize>| rows.iter().map(|it| errors[*it]).sum::<f64>() / total;
    Some(rows.iter().map(|it| 1.0 - rows.len() as f64 * share(it)).collect())
}

/// The squared distances from the mean; none if all numbers are equal but for rounding.
fn total_squares(numbers: impl Iterator<Item = f64> + Clone) -> Option<f64> {
    let count = numbers.clone().count() as f64;
    let mean = numbers.clone().sum::<f64>() / count;
    let total: f64 = numbers.map(|it| (it - mean).powi(2)).sum();
    (total > 1e-12 * (1.0 + mean * mean) * count).then_some(total)
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
    use crate::interval;

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
        let mean = |it: usize| interval::mean(scores[it].as_ref().unwrap(), 0);
        let linear = mean(0);
        assert!(linear.value > 0.999 && linear.low > 0.99, "{linear:?}");
        let noise = mean(1);
        assert!(noise.value < 0.2 && noise.low < 0.0, "{noise:?}");
        assert!(scores[2].is_none());
    }
}
