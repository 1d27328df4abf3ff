//! The total coding rate: how much space the embeddings span.

use burn::tensor::{Device, Tensor, TensorData};

use super::pairs::unit_rows;
use super::with_gradients;

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
    let Inverse { log_det, inverse } = Inverse::of(gram * scale);
    let inverse = inverse.to_tensor(&device);
    let grad = if n < d { inverse.matmul(rows) } else { rows.matmul(inverse) } * scale;
    let value = Tensor::<1>::from_data([log_det as f32 / 2.0], &device);
    with_gradients(value, [(&unit, grad)])
}

/// Of `I + gram`, which is positive definite whatever the Gram matrix.
struct Inverse {
    log_det: f64,
    inverse: Square,
}

/// A square matrix on the host, row by row.
struct Square {
    size: usize,
    values: Vec<f64>,
}

impl Inverse {
    fn of(gram: Tensor<2>) -> Self {
        let [size, _] = gram.dims();
        let values = gram.into_data().iter::<f64>().collect();
        let mut matrix = Square { size, values };
        for i in 0..size {
            matrix.values[i * size + i] += 1.0;
        }
        let factor = matrix.cholesky();
        let log_det = (0..size).map(|i| 2.0 * factor.at(i, i).ln()).sum();
        Self { log_det, inverse: factor.lower_inverse().gram() }
    }
}

impl Square {
    fn zeros(size: usize) -> Self {
        Self { size, values: vec![0.0; size * size] }
    }

    fn at(&self, row: usize, column: usize) -> f64 {
        self.values[row * self.size + column]
    }

    /// `L`, lower triangular, with `L Lᵀ` = this.
    fn cholesky(&self) -> Self {
        let size = self.size;
        let mut factor = Self::zeros(size);
        for i in 0..size {
            for j in 0..=i {
                let known: f64 = (0..j).map(|k| factor.at(i, k) * factor.at(j, k)).sum();
                let rest = self.at(i, j) - known;
                // Eigenvalues are at least one; float32 may have made them a little less.
                factor.values[i * size + j] =
                    if i == j { rest.max(1e-6).sqrt() } else { rest / factor.at(j, j) };
            }
        }
        factor
    }

    /// The inverse of a lower triangular matrix, transposed so that rows are read in order.
    fn lower_inverse(&self) -> Self {
        let size = self.size;
        let mut transposed = Self::zeros(size);
        for j in 0..size {
            transposed.values[j * size + j] = self.at(j, j).recip();
            for i in j + 1..size {
                let known: f64 = (j..i).map(|k| self.at(i, k) * transposed.at(j, k)).sum();
                transposed.values[j * size + i] = -known / self.at(i, i);
            }
        }
        transposed
    }

    /// The inner products of the rows.
    fn gram(&self) -> Self {
        let size = self.size;
        let mut gram = Self::zeros(size);
        for i in 0..size {
            for j in 0..size {
                // The rows of a transposed lower triangle begin at the diagonal.
                let product = (i.max(j)..size).map(|k| self.at(i, k) * self.at(j, k)).sum();
                gram.values[i * size + j] = product;
            }
        }
        gram
    }

    fn to_tensor(&self, device: &Device) -> Tensor<2> {
        let values: Vec<f32> = self.values.iter().map(|it| *it as f32).collect();
        Tensor::from_data(TensorData::new(values, [self.size, self.size]), device)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Distribution;

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
        let inverse = Inverse::of(gram.clone()).inverse.to_tensor(&device);
        let off: f32 = ((gram + eye.clone()).matmul(inverse) - eye).abs().max().into_scalar();
        assert!(off < 1e-5, "off by {off}");
    }
}
