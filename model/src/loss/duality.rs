//! The sample-contrastive and the dimension-contrastive criterion, and what joins them (Garrido
//! et al., 2023, def. 3.2 and theorem 3.3).
//!
//! Contrastive methods make samples orthogonal, the others dimensions. Both penalise what is off
//! the diagonal of a Gram matrix of the same `Z` `[n, d]`:
//!
//! ```text
//! L_c  = ‖off(Z Zᵀ)‖²      pairs of samples       ∂L_c/∂Z  = 4 off(Z Zᵀ) Z
//! L_nc = ‖off(Zᵀ Z)‖²      pairs of dimensions    ∂L_nc/∂Z = 4 Z off(Zᵀ Z)
//!
//! L_nc + Σ_dimensions ‖·‖⁴ = L_c + Σ_samples ‖·‖⁴,   because ‖Z Zᵀ‖ = ‖Zᵀ Z‖
//! ```
//!
//! With samples of norm 1 and dimensions of norm `√(n/d)`, `L_nc − L_c` is `n − n²/d`. The paper
//! prints `n − d` for norms of 1 on both sides, which only square matrices can have.

use burn::tensor::Tensor;

use super::pairs::diagonal;

/// `L_c`: squared inner products of different samples, summed over the ordered pairs.
///
/// Of many more samples than dimensions it goes through the identity: O(n d²) instead of
/// O(n² d). It does so from `n > 2d` on, because the identity subtracts, and where `n` is about
/// `d` its difference may be all rounding. With more samples it cannot be: more than `d` samples
/// are never orthogonal.
pub fn sample_contrastive(z: Tensor<2>) -> Tensor<1> {
    let [n, d] = z.dims();
    if n > 2 * d { by_dimensions(z) } else { by_samples(z) }
}

/// `L_nc`: squared inner products of different dimensions, summed over the ordered pairs.
///
/// It is [`sample_contrastive`] of the transpose, at the same cost.
pub fn dimension_contrastive(z: Tensor<2>) -> Tensor<1> {
    sample_contrastive(z.transpose())
}

/// The fourth powers of the samples' norms, summed.
pub fn sample_norms(z: Tensor<2>) -> Tensor<1> {
    z.square().sum_dim(1).square().sum()
}

/// The fourth powers of the dimensions' norms, summed.
pub fn dimension_norms(z: Tensor<2>) -> Tensor<1> {
    sample_norms(z.transpose())
}

fn by_samples(z: Tensor<2>) -> Tensor<1> {
    let ([n, _], device) = (z.dims(), z.device());
    let gram = z.clone().matmul(z.transpose());
    gram.mask_fill(diagonal([n, n], 0, &device), 0.0).square().sum()
}

fn by_dimensions(z: Tensor<2>) -> Tensor<1> {
    by_samples(z.clone().transpose()) + dimension_norms(z.clone()) - sample_norms(z)
}

/// Both criteria of the same embeddings, metrics of a run that trains either.
#[derive(Clone, Debug)]
pub struct Duality {
    /// `L_c`.
    pub sample_contrastive: Tensor<1>,
    /// `L_nc`.
    pub dimension_contrastive: Tensor<1>,
    /// See [`sample_norms`].
    pub sample_norms: Tensor<1>,
    /// See [`dimension_norms`].
    pub dimension_norms: Tensor<1>,
}

impl Duality {
    /// Computes both from the smaller Gram matrix, without gradients.
    pub fn of(z: Tensor<2>) -> Self {
        let z = z.inner();
        let [n, d] = z.dims();
        if n > d {
            return Self::of(z.transpose()).swapped();
        }
        let (samples, dimensions) = (sample_norms(z.clone()), dimension_norms(z.clone()));
        let by_samples = by_samples(z);
        Self {
            dimension_contrastive: by_samples.clone() + samples.clone() - dimensions.clone(),
            sample_contrastive: by_samples,
            sample_norms: samples,
            dimension_norms: dimensions,
        }
    }

    /// Of the transpose.
    fn swapped(self) -> Self {
        Self {
            sample_contrastive: self.dimension_contrastive,
            dimension_contrastive: self.sample_contrastive,
            sample_norms: self.dimension_norms,
            dimension_norms: self.sample_norms,
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution};

    use super::super::pairs::{paired, unit_rows};
    use super::super::tico::{TiCo, tico};
    use super::super::with_gradients;
    use super::*;

    const SHAPES: [[usize; 2]; 7] = [[2, 2], [4, 3], [3, 4], [5, 5], [40, 7], [7, 40], [33, 32]];

    fn random(shape: [usize; 2]) -> Tensor<2> {
        let device = Device::flex().autodiff();
        Tensor::random(shape, Distribution::Normal(0.0, 1.0), &device).require_grad()
    }

    fn value(loss: &Tensor<1>) -> f64 {
        loss.clone().into_scalar::<f32>().into()
    }

    fn assert_close(got: f64, wanted: f64, what: &str) {
        assert!((got - wanted).abs() < 1e-5 * (1.0 + wanted.abs()), "{what}: {got}, not {wanted}");
    }

    /// Value and gradient.
    fn slope(z: &Tensor<2>, loss: impl Fn(Tensor<2>) -> Tensor<1>) -> (f64, Tensor<2>) {
        let loss = loss(z.clone());
        (value(&loss), z.grad(&loss.backward()).unwrap())
    }

    fn assert_same(got: (f64, Tensor<2>), wanted: (f64, Tensor<2>), what: &str) {
        assert_close(got.0, wanted.0, what);
        let scale: f32 = wanted.1.clone().abs().max().into_scalar();
        let off: f32 = (got.1 - wanted.1).abs().max().into_scalar();
        assert!(off < 1e-5 * (1.0 + scale), "{what}: the gradient is off by {off}");
    }

    #[test]
    fn the_identity_holds_for_any_matrix() {
        for shape in SHAPES {
            let z = random(shape).inner();
            let [c, nc] = [by_samples(z.clone()), by_samples(z.clone().transpose())];
            let left = value(&(nc.clone() + dimension_norms(z.clone())));
            let right = value(&(c.clone() + sample_norms(z.clone())));
            assert_close(left, right, &format!("{shape:?}"));
            let both = Duality::of(z);
            assert_close(value(&both.sample_contrastive), value(&c), &format!("{shape:?}"));
            assert_close(value(&both.dimension_contrastive), value(&nc), &format!("{shape:?}"));
        }
    }

    #[test]
    fn both_sides_agree_in_value_and_gradient() {
        for shape in SHAPES {
            let z = random(shape);
            let what = format!("{shape:?}");
            assert_same(slope(&z, by_dimensions), slope(&z, by_samples), &what);
            assert_same(slope(&z, sample_contrastive), slope(&z, by_samples), &what);
            let direct = slope(&z, |z| by_samples(z.transpose()));
            assert_same(slope(&z, dimension_contrastive), direct, &what);
        }
    }

    #[test]
    fn the_gradients_have_their_closed_form() {
        for shape in SHAPES {
            let z = random(shape);
            let off = |gram: Tensor<2>| {
                let device = gram.device();
                let size = gram.dims();
                gram.mask_fill(diagonal(size, 0, &device), 0.0)
            };
            let inner = z.clone().inner();
            let pull = off(inner.clone().matmul(inner.clone().transpose())).matmul(inner.clone());
            let push = inner.clone().matmul(off(inner.clone().transpose().matmul(inner.clone())));
            for (name, criterion, grad) in [
                ("L_c", sample_contrastive as fn(Tensor<2>) -> Tensor<1>, pull * 4.0),
                ("L_nc", dimension_contrastive, push * 4.0),
            ] {
                let written = slope(&z, |z| {
                    with_gradients(criterion(z.clone().inner()), [(&z, grad.clone())])
                });
                assert_same(slope(&z, criterion), written, &format!("{name} {shape:?}"));
            }
        }
    }

    #[test]
    fn the_gap_of_normalised_matrices_is_n_less_n_squared_over_d() {
        for shape in SHAPES {
            let [n, d] = shape.map(|it| it as f64);
            // Signs have norms of √d and √n whatever they are.
            let z = random(shape).inner().sign() / d.sqrt();
            let gap = value(&(dimension_contrastive(z.clone()) - sample_contrastive(z)));
            let off = (gap - (n - n * n / d)).abs();
            assert!(off < 1e-4 * (1.0 + n * n / d), "{shape:?}: {gap}");
        }
    }

    #[test]
    fn ticos_penalty_is_the_sample_contrastive_criterion_and_a_constant() {
        for shape in SHAPES {
            let (z1, z2) = (random(shape).inner(), random(shape).inner());
            let [n, d] = shape;
            let config = TiCo { beta: 0.0, rho: 8.0, ..TiCo::default() };
            let start = Tensor::zeros([d, d], &z1.device());
            let (loss, _) = tico(z1.clone(), z2.clone(), start, &config);
            let (a, b) = (unit_rows(z1), unit_rows(z2));
            let pull = 1.0 - value(&paired(a.clone(), b).mean());
            let samples = value(&sample_contrastive(a)) + n as f64;
            let wanted = pull + 8.0 * samples / (n * n) as f64;
            assert_close(value(&loss), wanted, &format!("{shape:?}"));
        }
    }
}
