//! Rows on the unit sphere, and masks of pairs of rows.

use burn::tensor::{Bool, Device, Int, Tensor, TensorData};

/// In the place of minus infinity: its exponential is 0, and differences with it are not NaN.
const EXCLUDED: f32 = -1e30;

/// Rows of `[n, d]` at unit length. A row of zeros stays one; its gradient is finite, but 1e12
/// times what arrives, as in PyTorch's `normalize`.
pub fn unit_rows(z: Tensor<2>) -> Tensor<2> {
    // The clamp is inside the root, whose slope at zero is infinite.
    let norm = z.clone().square().sum_dim(1).clamp_min(1e-24).sqrt();
    z / norm
}

/// Inner products of row `i` of `a` and row `i` of `b`, `[n, 1]`.
pub fn paired(a: Tensor<2>, b: Tensor<2>) -> Tensor<2> {
    (a * b).sum_dim(1)
}

/// `[rows, columns]`, true where the column is the row's index plus `offset`.
pub fn diagonal([rows, columns]: [usize; 2], offset: i64, device: &Device) -> Tensor<2, Bool> {
    Tensor::<2, Bool>::diag_mask([rows, columns], offset, device).bool_not()
}

/// `[2n, 2n]`, true where row and column are the two views of one of `n` samples.
pub fn other_view(n: usize, device: &Device) -> Tensor<2, Bool> {
    let (size, offset) = ([2 * n, 2 * n], n as i64);
    diagonal(size, offset, device).bool_or(diagonal(size, -offset, device))
}

/// `[2n, 2n]`, true where row and column come from the same group, for example from one video:
/// its frames look alike and would be false negatives.
pub fn same_group(groups: &[usize], device: &Device) -> Tensor<2, Bool> {
    let ids: Vec<i64> = groups.iter().chain(groups).map(|it| *it as i64).collect();
    let size = ids.len();
    let ids = Tensor::<1, Int>::from_data(TensorData::new(ids, [size]), device);
    let rows = ids.clone().reshape([size, 1]).expand([size, size]);
    rows.equal(ids.reshape([1, size]).expand([size, size]))
}

/// `ln Σ exp` of every row, `[n, 1]`, without overflow.
pub fn log_sum_exp(logits: Tensor<2>) -> Tensor<2> {
    // The maximum cancels out of the gradient, so that it may be a constant.
    let max = logits.clone().inner().max_dim(1);
    (logits - max.clone()).exp().sum_dim(1).log() + max
}

/// [`log_sum_exp`] over the columns that are not `excluded`; every row must have one.
pub fn log_sum_exp_except(logits: Tensor<2>, excluded: Tensor<2, Bool>) -> Tensor<2> {
    log_sum_exp(logits.mask_fill(excluded, EXCLUDED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_logits_do_not_overflow() {
        let logits = Tensor::<2>::from_data([[1e9, 1e9], [-1e9, -2e9]], &Device::flex());
        let got = log_sum_exp(logits).into_data().try_to_vec::<f32>().unwrap();
        assert_eq!(got, [1e9, -1e9]);
    }

    #[test]
    fn an_excluded_column_adds_nothing() {
        let device = Device::flex();
        let logits = Tensor::<2>::from_data([[3.0, 0.5], [0.25, 7.0]], &device);
        let got = log_sum_exp_except(logits, diagonal([2, 2], 0, &device));
        assert_eq!(got.into_data().try_to_vec::<f32>().unwrap(), [0.5, 0.25]);
    }

    #[test]
    fn the_other_view_is_n_rows_away() {
        let got = other_view(2, &Device::flex()).into_data().try_to_vec::<bool>().unwrap();
        let wanted: Vec<_> = (0..16).map(|it| (it / 4 + 2) % 4 == it % 4).collect();
        assert_eq!(got, wanted);
    }

    #[test]
    fn groups_hold_both_views() {
        let got = same_group(&[7, 3, 7], &Device::flex()).into_data().try_to_vec::<bool>().unwrap();
        let wanted: Vec<_> = (0..36).map(|it| (it / 6 % 3 == 1) == (it % 6 % 3 == 1)).collect();
        assert_eq!(got, wanted);
    }
}
