//! RankMe, the effective rank of embeddings: a measure of their quality without labels.

/// Most sweeps of Jacobi rotations; few matrices need more than 10.
const SWEEPS: usize = 30;
/// Keeps the logarithm finite, as in the paper.
const EPSILON: f64 = 1e-7;

/// RankMe (Garrido et al., 2023, equation 1): the exponential of the entropy of the normalised
/// singular values of `rows`, `[n, dim]` in row-major order. It is between 1 and min(n, dim). It
/// grows with n, so that only values of the same n can be compared.
///
/// # Panics
/// If the length of `rows` is not a multiple of `dim`.
pub fn rankme(rows: &[f32], dim: usize) -> f64 {
    assert!(dim > 0 && rows.len().is_multiple_of(dim), "not whole rows of width {dim}");
    let values = eigenvalues(gram(rows, dim));
    let singular: Vec<f64> = values.into_iter().map(|it| it.max(0.0).sqrt()).collect();
    let sum: f64 = singular.iter().sum::<f64>().max(f64::MIN_POSITIVE);
    let shares = singular.iter().map(|it| it / sum + EPSILON);
    (-shares.map(|it| it * it.ln()).sum::<f64>()).exp()
}

/// Inner products of rows, or of columns if there are fewer columns.
fn gram(rows: &[f32], dim: usize) -> Vec<Vec<f64>> {
    let n = rows.len() / dim;
    let at = |row: usize, column: usize| f64::from(rows[row * dim + column]);
    let side = n.min(dim);
    let product = |a: usize, b: usize| -> f64 {
        if n < dim {
            (0..dim).map(|it| at(a, it) * at(b, it)).sum()
        } else {
            (0..n).map(|it| at(it, a) * at(it, b)).sum()
        }
    };
    (0..side).map(|a| (0..side).map(|b| product(a, b)).collect()).collect()
}

/// Eigenvalues of a symmetric matrix, by Jacobi rotations (Golub and Van Loan, section 8.5).
fn eigenvalues(mut matrix: Vec<Vec<f64>>) -> Vec<f64> {
    let side = matrix.len();
    for _ in 0..SWEEPS {
        let off: f64 = (0..side)
            .flat_map(|a| (0..a).map(move |b| (a, b)))
            .map(|(a, b)| matrix[a][b].powi(2))
            .sum();
        let on: f64 = (0..side).map(|it| matrix[it][it].powi(2)).sum();
        if off <= 1e-24 * on {
            break;
        }
        for p in 0..side {
            for q in p + 1..side {
                rotate(&mut matrix, p, q);
            }
        }
    }
    (0..side).map(|it| matrix[it][it]).collect()
}

/// Rotates so that one off-diagonal pair of entries becomes zero.
fn rotate(matrix: &mut [Vec<f64>], p: usize, q: usize) {
    let off = matrix[p][q];
    if off == 0.0 {
        return;
    }
    let theta = (matrix[q][q] - matrix[p][p]) / (2.0 * off);
    let t = theta.signum() / (theta.abs() + theta.hypot(1.0));
    let c = t.hypot(1.0).recip();
    let s = t * c;
    for row in matrix.iter_mut() {
        (row[p], row[q]) = (c * row[p] - s * row[q], s * row[p] + c * row[q]);
    }
    let [above, below] = matrix.get_disjoint_mut([p, q]).expect("two rows");
    for (a, b) in above.iter_mut().zip(below) {
        (*a, *b) = (c * *a - s * *b, s * *a + c * *b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `count` rows of width 8 that vary in `rank` directions, all equally.
    fn rows(count: usize, rank: usize) -> Vec<f32> {
        let row = |row: usize| (0..8).map(move |it| f32::from(u8::from(it == row % rank)));
        (0..count).flat_map(row).collect()
    }

    #[test]
    fn rankme_counts_directions_of_equal_size() {
        for rank in [1, 2, 5, 8] {
            let measured = rankme(&rows(rank * 10, rank), 8);
            assert!((measured - rank as f64).abs() < 1e-4, "{measured} of {rank}");
        }
        // Fewer rows than columns.
        assert!((rankme(&rows(3, 3), 8) - 3.0).abs() < 1e-4);
    }

    #[test]
    fn a_rotation_changes_nothing_and_a_weak_direction_counts_little() {
        let (c, s) = (0.6, 0.8);
        let straight = [3.0, 0.0, 0.0, 1.0, 3.0, 0.0, 0.0, -1.0];
        let turned: Vec<f32> = straight
            .chunks(2)
            .flat_map(|it| [c * it[0] - s * it[1], s * it[0] + c * it[1]])
            .collect();
        let [a, b] = [&straight[..], &turned].map(|it| rankme(it, 2));
        assert!((a - b).abs() < 1e-4, "{a} {b}");
        // Singular values 3 and 1: shares of 3/4 and 1/4.
        let wanted = (-(0.75_f64 * 0.75_f64.ln() + 0.25 * 0.25_f64.ln())).exp();
        assert!((a - wanted).abs() < 1e-4, "{a} {wanted}");
    }
}
