//! Losses of directions: predictions against targets, and where directions lie on the sphere.

use burn::tensor::Tensor;

use super::pairs::{diagonal, log_sum_exp_except, paired, unit_rows};

/// seq-JEPA's `1 − mean cos(predicted, target)` (Ghaemi et al., 2025). The target is a constant.
///
/// PyTorch's cosine keeps norms above 1e-8, this one above 1e-12.
pub fn cosine_distance(predicted: Tensor<2>, target: Tensor<2>) -> Tensor<1> {
    sim_siam(predicted, target) + 1.0
}

/// BYOL's `2 − 2 mean cos(predicted, target)` (Grill et al., 2020), one direction: BYOL's loss is
/// the sum over both. The target is a constant.
pub fn byol(predicted: Tensor<2>, target: Tensor<2>) -> Tensor<1> {
    cosine_distance(predicted, target) * 2.0
}

/// SimSiam's `−mean cos(predicted, target)` (Chen & He, 2021), one direction: SimSiam's loss is
/// the mean of both. The target is a constant.
pub fn sim_siam(predicted: Tensor<2>, target: Tensor<2>) -> Tensor<1> {
    paired(unit_rows(predicted), unit_rows(target.inner())).mean().neg()
}

/// `mean ‖a_i − b_i‖^α` of unit rows (Wang & Isola, 2020); they take `α = 2`.
pub fn alignment(z1: Tensor<2>, z2: Tensor<2>, alpha: f64) -> Tensor<1> {
    let squared = (unit_rows(z1) - unit_rows(z2)).square().sum_dim(1);
    squared.clamp_min(1e-24).powf_scalar(alpha / 2.0).mean()
}

/// `ln mean_{i<j} exp(−t ‖a_i − a_j‖²)` of unit rows (Wang & Isola, 2020); they take `t = 2`.
pub fn uniformity(z: Tensor<2>, t: f64) -> Tensor<1> {
    let a = unit_rows(z);
    let ([n, _], device) = (a.dims(), a.device());
    assert!(n > 1, "a batch of one has no pairs");
    let squares = a.clone().square().sum_dim(1);
    let products = a.clone().matmul(a.transpose()) * 2.0;
    let distances = squares.clone() + squares.transpose() - products;
    let own = diagonal([n, n], 0, &device).reshape([1, n * n]);
    let sum = log_sum_exp_except((distances * -t).reshape([1, n * n]), own);
    sum.reshape([1]) - ((n * (n - 1)) as f64).ln()
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution};

    use super::*;

    fn value(loss: Tensor<1>) -> f64 {
        loss.into_scalar::<f32>().into()
    }

    #[test]
    fn for_unit_rows_byol_is_alignment() {
        let device = Device::flex();
        let [z1, z2] =
            [0; 2].map(|_| Tensor::random([6, 5], Distribution::Normal(0.0, 1.0), &device));
        let (got, wanted) = (value(byol(z1.clone(), z2.clone())), value(alignment(z1, z2, 2.0)));
        assert!((got - wanted).abs() < 1e-5, "{got} is not {wanted}");
    }

    #[test]
    fn opposite_pairs_are_as_far_as_can_be() {
        let z = Tensor::<2>::eye(3, &Device::flex());
        assert!((value(cosine_distance(z.clone(), z.clone().neg())) - 2.0).abs() < 1e-6);
        assert!((value(alignment(z.clone(), z.neg(), 1.0)) - 2.0).abs() < 1e-6);
    }

    #[test]
    fn uniformity_of_a_simplex_is_its_only_distance() {
        let z = Tensor::<2>::eye(4, &Device::flex());
        assert!((value(uniformity(z, 2.0)) + 4.0).abs() < 1e-5);
    }

    #[test]
    fn a_target_gets_no_gradient() {
        let device = Device::flex().autodiff();
        let leaf = || Tensor::<2>::random([3, 2], Distribution::Default, &device).require_grad();
        let (predicted, target) = (leaf(), leaf());
        let grads = byol(predicted.clone(), target.clone()).backward();
        assert!(predicted.grad(&grads).is_some() && target.grad(&grads).is_none());
    }
}
