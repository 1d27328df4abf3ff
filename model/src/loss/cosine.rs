//! Cosines between predictions and targets.

use burn::tensor::Tensor;

use super::pairs::{paired, unit_rows};

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

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution};

    use super::*;

    fn value(loss: Tensor<1>) -> f64 {
        loss.into_scalar::<f32>().into()
    }

    #[test]
    fn opposite_pairs_are_as_far_as_can_be() {
        let z = Tensor::<2>::eye(3, &Device::flex());
        assert!((value(cosine_distance(z.clone(), z.neg())) - 2.0).abs() < 1e-6);
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
