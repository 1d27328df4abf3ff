//! Predicted futures on the host.

use burn::tensor::Tensor;

/// Samples of the representation of each clip's future. All vectors have unit length.
#[derive(Clone, Debug)]
pub struct Futures {
    /// Width of a vector, d.
    pub dim: usize,
    /// Samples of each clip, `[n, samples, d]` row by row.
    pub samples: Vec<f32>,
    /// The prediction without sampling, `[n, d]`: with a distribution, from its mean.
    pub expected: Vec<f32>,
    /// The representation of the actual future, `[n, d]`.
    pub actual: Vec<f32>,
}

impl Futures {
    /// From samples, expectation and actual future, `[n, d]` each.
    pub(crate) fn new(samples: Vec<Tensor<2>>, expected: Tensor<2>, actual: Tensor<2>) -> Self {
        let dim = actual.dims()[1];
        let samples = samples.into_iter().map(|it| it.unsqueeze_dim::<3>(1)).collect();
        let floats = |x: Tensor<1>| x.into_data().try_to_vec().expect("float32 values");
        Self {
            dim,
            samples: floats(Tensor::cat(samples, 1).flatten(0, 2)),
            expected: floats(expected.flatten(0, 1)),
            actual: floats(actual.flatten(0, 1)),
        }
    }
}
