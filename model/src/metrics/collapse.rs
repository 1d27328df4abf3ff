//! Numbers that show whether representations collapse.

use burn::tensor::Tensor;

/// Variance and redundancy of a set of tokens.
pub(crate) struct Spread {
    /// Variance of a feature over the images, at the same place in the image; mean over places
    /// and features. Towards zero, every image looks alike.
    pub(crate) variance: Tensor<1>,
    /// Mean |covariance| of two different features. Towards the variance, all features are one.
    pub(crate) covariance: Tensor<1>,
}

/// The spread of tokens `[n, tokens, d]`, each place centred on its own mean, so that positions
/// alone do not count as variance.
pub(crate) fn spread(tokens: Tensor<3>) -> Spread {
    let [n, places, d] = tokens.dims();
    let centred = tokens.clone() - tokens.mean_dim(0);
    let rows = centred.reshape([n * places, d]);
    let freedom = (n.saturating_sub(1).max(1) * places) as f64;
    let covariance = rows.clone().transpose().matmul(rows) / freedom;
    let diagonal = Tensor::<2>::eye(d, &covariance.device()) * covariance.clone();
    let variance = diagonal.clone().sum() / d as f64;
    let off = (covariance - diagonal).abs().sum() / (d * d - d).max(1) as f64;
    Spread { variance, covariance: off }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution};

    use super::*;

    fn of(tokens: Tensor<3>) -> [f32; 2] {
        let Spread { variance, covariance } = spread(tokens);
        [variance.into_scalar(), covariance.into_scalar()]
    }

    #[test]
    fn collapsed_and_independent_features_are_told_apart() {
        let device = Device::flex();
        device.seed(3);
        let random = Tensor::<3>::random([500, 4, 3], Distribution::Normal(0.0, 1.0), &device);
        let [variance, covariance] = of(random.clone());
        assert!((variance - 1.0).abs() < 0.1 && covariance < 0.1, "{variance} {covariance}");
        let [variance, covariance] = of(random.narrow(2, 0, 1).repeat_dim(2, 3));
        assert!((variance - covariance).abs() < 1e-4, "one feature three times: {covariance}");
    }

    #[test]
    fn places_that_differ_are_no_variance() {
        let device = Device::flex();
        let place = Tensor::<3>::random([1, 4, 3], Distribution::Normal(0.0, 9.0), &device);
        let [variance, _] = of(place.repeat_dim(0, 8));
        assert!(variance < 1e-9, "{variance}");
    }
}
