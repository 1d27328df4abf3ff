//! The total coding rate: how much space the embeddings span.

use burn::tensor::Tensor;

use super::pairs::unit_rows;
use super::with_gradients;
use crate::metrics::cholesky::Inverse;

/// Total coding rate (Li et al., 2022): `½ ln det(I + d/(n ε²) Zᵀ Z)` for rows of `z` `[n, d]` on
/// the unit sphere; `eps2` is `ε²`. It is a thing to maximise: a loss takes its negative.
///
/// Determinant and inverse come from a Cholesky factor on the host, of the smaller Gram matrix,
/// because `det(I + s Zᵀ Z) = det(I + s Z Zᵀ)`. Both are of float64, and the gradient
/// `s Z (I + s Zᵀ Z)⁻¹` is written down. The call waits for the device, and on the host it costs
/// O(min(n, d)³).
pub fn coding_rate(z: Tensor<2>, eps2: f64) -> Tensor<1> {
    let unit = unit_rows(z);
    let rows = unit.clone().inner();
    let ([n, d], device) = (rows.dims(), rows.device());
    let scale = d as f64 / (n as f64 * eps2);
    let gram = if n < d {
        rows.clone().matmul(rows.clone().transpose())
    } else {
        rows.clone().transpose().matmul(rows.clone())
    };
    let Inverse { log_det, inverse } = Inverse::of_identity_plus(gram * scale);
    let inverse = inverse.to_tensor(&device);
    let grad = if n < d { inverse.matmul(rows) } else { rows.matmul(inverse) } * scale;
    let value = Tensor::<1>::from_data([log_det as f32 / 2.0], &device);
    with_gradients(value, [(&unit, grad)])
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution};

    use super::*;

    #[test]
    fn orthonormal_rows_have_a_rate_in_closed_form() {
        let rows = Tensor::<2>::eye(6, &Device::flex()).narrow(0, 0, 4);
        let got: f32 = coding_rate(rows, 0.5).into_scalar();
        let wanted = 2.0 * (1f32 + 6.0 / (4.0 * 0.5)).ln();
        assert!((got - wanted).abs() < 1e-5, "{got} is not {wanted}");
    }

    #[test]
    fn the_inverse_is_one() {
        let device = Device::flex();
        let z = Tensor::<2>::random([5, 12], Distribution::Normal(0.0, 1.0), &device);
        let gram = z.clone().matmul(z.transpose());
        let eye = Tensor::<2>::eye(5, &device);
        let inverse = Inverse::of_identity_plus(gram.clone()).inverse.to_tensor(&device);
        let off: f32 = ((gram + eye.clone()).matmul(inverse) - eye).abs().max().into_scalar();
        assert!(off < 1e-5, "off by {off}");
    }
}
