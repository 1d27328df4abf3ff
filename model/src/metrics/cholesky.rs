//! Inverts a small matrix with a Cholesky factorisation, on the CPU in float64. Reading the matrix
//! waits for the device.

use burn::tensor::{Device, Tensor, TensorData};

/// A square matrix in memory, in row-major order.
pub(crate) struct SquareMatrix {
    size: usize,
    values: Vec<f64>,
}

impl SquareMatrix {
    /// `(I + gram)⁻¹`, which exists for every Gram matrix.
    pub(crate) fn inverse_of_identity_plus(gram: Tensor<2>) -> Self {
        let [size, _] = gram.dims();
        let values = gram.into_data().iter::<f64>().collect();
        let mut matrix = Self { size, values };
        for i in 0..size {
            matrix.values[i * size + i] += 1.0;
        }
        matrix.cholesky().lower_inverse().gram()
    }

    fn zeros(size: usize) -> Self {
        Self { size, values: vec![0.0; size * size] }
    }

    fn at(&self, row: usize, column: usize) -> f64 {
        self.values[row * self.size + column]
    }

    /// The lower triangular `L` with `L Lᵀ` = this matrix.
    fn cholesky(&self) -> Self {
        let size = self.size;
        let mut factor = Self::zeros(size);
        for i in 0..size {
            for j in 0..=i {
                let known: f64 = (0..j).map(|k| factor.at(i, k) * factor.at(j, k)).sum();
                let rest = self.at(i, j) - known;
                // Eigenvalues are at least 1, but float32 rounding may have made them smaller.
                factor.values[i * size + j] =
                    if i == j { rest.max(1e-6).sqrt() } else { rest / factor.at(j, j) };
            }
        }
        factor
    }

    /// The transposed inverse of a lower triangular matrix: then rows are read in order.
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

    /// The inner products of all pairs of rows.
    fn gram(&self) -> Self {
        let size = self.size;
        let mut gram = Self::zeros(size);
        for i in 0..size {
            for j in 0..size {
                // The rows of a transposed lower triangular matrix start at the diagonal.
                let product = (i.max(j)..size).map(|k| self.at(i, k) * self.at(j, k)).sum();
                gram.values[i * size + j] = product;
            }
        }
        gram
    }

    pub(crate) fn to_tensor(&self, device: &Device) -> Tensor<2> {
        let values: Vec<f32> = self.values.iter().map(|it| *it as f32).collect();
        Tensor::from_data(TensorData::new(values, [self.size, self.size]), device)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Distribution;

    use super::*;

    #[test]
    fn the_inverse_is_one() {
        let device = Device::flex();
        let z = Tensor::<2>::random([5, 12], Distribution::Normal(0.0, 1.0), &device);
        let gram = z.clone().matmul(z.transpose());
        let eye = Tensor::<2>::eye(5, &device);
        let inverse = SquareMatrix::inverse_of_identity_plus(gram.clone()).to_tensor(&device);
        let off: f32 = ((gram + eye.clone()).matmul(inverse) - eye).abs().max().into_scalar();
        assert!(off < 1e-5, "off by {off}");
    }
}
