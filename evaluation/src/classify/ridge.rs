//! Ridge regression on standardised vectors: to classes, and to numbers.

use faer::linalg::matmul::matmul;
use faer::linalg::solvers::Solve as _;
use faer::{Accum, Mat, MatRef, Par, Side};
use rand::{SeedableRng as _, seq::SliceRandom as _};
use rand_chacha::ChaCha8Rng;

use super::{Hits, Labelled};
use crate::Vectors;

/// Penalties to choose from, per training row.
const PENALTIES: [f64; 7] = [1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0];

/// The share of the training items on which the penalty is chosen.
const HELD_OUT: f64 = 0.2;

/// A linear map from standardised vectors to targets, with an intercept.
#[derive(Clone, Debug)]
pub struct Ridge {
    mean: Vec<f64>,
    /// 1 where a feature is constant.
    deviation: Vec<f64>,
    /// `[dim, targets]`
    weights: Mat<f64>,
    intercept: Vec<f64>,
}

/// Standardised rows with what all penalties have in common.
struct Problem {
    mean: Vec<f64>,
    deviation: Vec<f64>,
    intercept: Vec<f64>,
    /// `[dim, dim]`
    gram: Mat<f64>,
    /// `[dim, targets]`
    moments: Mat<f64>,
    rows: usize,
}

impl Problem {
    fn new(vectors: &Vectors, targets: &[Vec<f64>]) -> Self {
        let (rows, dim) = (vectors.len(), vectors.dim());
        let (mean, deviation) = moments(vectors);
        let x = standardized(vectors, &mean, &deviation);
        let outputs = targets[0].len();
        let mut intercept = vec![0.0; outputs];
        for row in targets {
            intercept.iter_mut().zip(row).for_each(|(sum, it)| *sum += it / rows as f64);
        }
        let y = Mat::from_fn(rows, outputs, |row, out| targets[row][out] - intercept[out]);
        let mut gram = Mat::zeros(dim, dim);
        matmul(gram.as_mut(), Accum::Replace, x.as_ref(), x.transpose(), 1.0, Par::rayon(0));
        let mut cross = Mat::zeros(dim, outputs);
        matmul(cross.as_mut(), Accum::Replace, x.as_ref(), y.as_ref(), 1.0, Par::rayon(0));
        Self { mean, deviation, intercept, gram, moments: cross, rows }
    }

    /// The least squares with `penalty · rows` times the squared weights added.
    fn solve(&self, penalty: f64) -> Ridge {
        let mut gram = self.gram.clone();
        for feature in 0..gram.nrows() {
            gram[(feature, feature)] += penalty * self.rows as f64;
        }
        let weights = match gram.llt(Side::Lower) {
            Ok(factor) => factor.solve(&self.moments),
            // Rounding made it indefinite: the pivoted factorisation does not mind.
            Err(_) => gram.lblt(Side::Lower).solve(&self.moments),
        };
        Ridge {
            mean: self.mean.clone(),
            deviation: self.deviation.clone(),
            weights,
            intercept: self.intercept.clone(),
        }
    }
}

impl Ridge {
    /// Fits `targets`, one row of numbers for each vector. The sum of squared errors has
    /// `penalty · rows` times the sum of squared weights added; the intercept is not penalised.
    ///
    /// # Panics
    /// If there is no row, or another number of targets.
    pub fn fit(vectors: &Vectors, targets: &[Vec<f64>], penalty: f64) -> Self {
        assert_eq!(vectors.len(), targets.len(), "targets for each row");
        assert!(!targets.is_empty(), "rows to fit");
        Problem::new(vectors, targets).solve(penalty)
    }

    /// One row of predictions for each vector.
    pub fn predict(&self, vectors: &Vectors) -> Vec<Vec<f64>> {
        let x = standardized(vectors, &self.mean, &self.deviation);
        let mut y = Mat::zeros(vectors.len(), self.intercept.len());
        let (x, weights) = (x.transpose(), self.weights.as_ref());
        matmul(y.as_mut(), Accum::Replace, x, weights, 1.0, Par::rayon(0));
        let row = |row| self.intercept.iter().enumerate().map(move |(out, it)| (row, out, *it));
        let rows = (0..vectors.len()).map(row);
        rows.map(|it| it.map(|(row, out, intercept)| y[(row, out)] + intercept).collect()).collect()
    }
}

/// Fits targets with the penalty that predicts a held-out fifth of the items best, and then all
/// rows with it. `score` says how good predictions are of the rows that it is given.
pub(crate) fn fit_with_best_penalty(
    vectors: &Vectors,
    items: &[usize],
    targets: &[Vec<f64>],
    score: impl Fn(&[usize], &[Vec<f64>]) -> f64,
) -> Ridge {
    let held_out = held_out(items);
    let (kept, chosen): (Vec<usize>, Vec<usize>) =
        (0..items.len()).partition(|row| !held_out.contains(&items[*row]));
    let all = Problem::new(vectors, targets);
    if kept.is_empty() || chosen.is_empty() {
        return all.solve(PENALTIES[3]);
    }
    let [train, test] = [&kept, &chosen].map(|rows| select(vectors, rows));
    let train_targets: Vec<_> = kept.iter().map(|row| targets[*row].clone()).collect();
    let part = Problem::new(&train, &train_targets);
    let scores = PENALTIES.map(|it| score(&chosen, &part.solve(it).predict(&test)));
    // Of equally good penalties the greater, which is the safer.
    let best = scores.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
    all.solve(PENALTIES[best.map_or(0, |it| it.0)])
}

/// A linear classifier: one regression to 1 for its own class and -1 for the others, as
/// scikit-learn's `RidgeClassifier`. An item has the class with the greatest sum over its frames.
///
/// # Panics
/// If the vectors have other widths, or `train` has no row.
pub fn linear(train: &Labelled, test: &Labelled) -> Hits {
    train.check();
    test.check();
    let classes = train.class_count().max(test.class_count());
    let target = |row| (0..classes).map(move |it| if it == train.class(row) { 1.0 } else { -1.0 });
    let targets: Vec<Vec<f64>> = (0..train.items.len()).map(|row| target(row).collect()).collect();
    let fit = fit_with_best_penalty(&train.vectors, &train.items, &targets, |rows, scores| {
        let part = Labelled {
            vectors: Vectors::new(1, vec![0.0; rows.len()]),
            items: rows.iter().map(|row| train.items[*row]).collect(),
            classes: train.classes.clone(),
        };
        Hits::by_vote(&part, scores).items().iter().sum()
    });
    Hits::by_vote(test, &fit.predict(&test.vectors))
}

fn held_out(items: &[usize]) -> std::collections::BTreeSet<usize> {
    let all: std::collections::BTreeSet<usize> = items.iter().copied().collect();
    let mut all: Vec<usize> = all.into_iter().collect();
    all.shuffle(&mut ChaCha8Rng::seed_from_u64(0));
    all.truncate((all.len() as f64 * HELD_OUT).round() as usize);
    all.into_iter().collect()
}

fn select(vectors: &Vectors, rows: &[usize]) -> Vectors {
    let values = rows.iter().flat_map(|row| vectors.row(*row).iter().copied()).collect();
    Vectors::new(vectors.dim(), values)
}

/// Mean and standard deviation of each feature. Where a feature is constant, the deviation is 1.
fn moments(vectors: &Vectors) -> (Vec<f64>, Vec<f64>) {
    let rows = vectors.len() as f64;
    let mut mean = vec![0.0; vectors.dim()];
    for row in vectors.rows() {
        mean.iter_mut().zip(row).for_each(|(sum, it)| *sum += f64::from(*it) / rows);
    }
    let mut square = vec![0.0; vectors.dim()];
    for row in vectors.rows() {
        let centred = row.iter().zip(&mean).map(|(it, mean)| f64::from(*it) - mean);
        square.iter_mut().zip(centred).for_each(|(sum, it)| *sum += it * it / rows);
    }
    let constant = |(square, mean): (f64, &f64)| square.sqrt() <= 1e-7 * mean.abs();
    let deviation = square.into_iter().zip(&mean);
    let deviation = deviation.map(|it| if constant(it) { 1.0 } else { it.0.sqrt() }).collect();
    (mean, deviation)
}

/// `[dim, rows]`
fn standardized(vectors: &Vectors, mean: &[f64], deviation: &[f64]) -> Mat<f64> {
    let rows = MatRef::from_column_major_slice(vectors.values(), vectors.dim(), vectors.len());
    Mat::from_fn(rows.nrows(), rows.ncols(), |feature, row| {
        (f64::from(rows[(feature, row)]) - mean[feature]) / deviation[feature]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_feature_is_fitted_as_by_hand() {
        // Standardised x is (-1, 1) around 2, y is (-3, 3) around 4, and the weight is
        // sum(x y) / (sum(x x) + penalty rows) = 6 / (2 + 1).
        let vectors = Vectors::new(2, vec![1.0, 5.0, 3.0, 5.0]);
        let fit = Ridge::fit(&vectors, &[vec![1.0], vec![7.0]], 0.5);
        let predicted = fit.predict(&Vectors::new(2, vec![1.0, 5.0, 2.0, 9.0]));
        assert!((predicted[0][0] - 2.0).abs() < 1e-9, "{predicted:?}");
        assert!((predicted[1][0] - 4.0).abs() < 1e-9, "a constant feature has no weight");
    }

    #[test]
    fn classes_in_line_are_told_apart_by_a_plane() {
        let point = |item: usize| [item as f32 % 7.0, (item * item) as f32 % 11.0];
        let labelled = |from: usize| Labelled {
            vectors: Vectors::new(2, (from..from + 60).flat_map(point).collect()),
            items: (0..60).collect(),
            classes: (from..from + 60).map(|it| usize::from(point(it)[0] < 3.0)).collect(),
        };
        let accuracy = linear(&labelled(0), &labelled(60)).accuracy().value;
        assert!(accuracy > 0.9, "{accuracy}");
    }

    #[test]
    fn more_features_than_rows_can_be_fitted() {
        let number = |it: usize| ((it * 31) % 17) as f32;
        let vectors = Vectors::new(40, (0..400).map(number).collect());
        let targets: Vec<_> = (0..10).map(|row| vec![f64::from(row % 2)]).collect();
        let fit = Ridge::fit(&vectors, &targets, 1e-5);
        for (predicted, target) in fit.predict(&vectors).iter().zip(&targets) {
            assert!((predicted[0] - target[0]).abs() < 0.01, "{predicted:?} {target:?}");
        }
    }
}
