//! Statistics that show whether representations collapse.

use burn::tensor::Tensor;

/// Variance and covariance of the features of a set of tokens.
pub(crate) struct TokenStatistics {
    /// Variance of a feature over images at the same token position, mean over positions and
    /// features. It is 0 if all images have the same tokens.
    pub(crate) variance: Tensor<1>,
    /// Mean absolute covariance of two features. It equals the variance if all features are the
    /// same.
    pub(crate) covariance: Tensor<1>,
}

/// Statistics of tokens `[n, tokens, d]`. Each token position is centred on its own mean, so that
/// differences between positions do not count as variance.
pub(crate) fn token_statistics(tokens: Tensor<3>) -> TokenStatistics {
    let [n, places, d] = tokens.dims();
    let centred = tokens.clone() - tokens.mean_dim(0);
    let rows = centred.reshape([n * places, d]);
    let freedom = (n.saturating_sub(1).max(1) * places) as f64;
    let covariance = rows.clone().transpose().matmul(rows) / freedom;
    let diagonal = Tensor::<2>::eye(d, &covariance.device()) * covariance.clone();
    let variance = diagonal.clone().sum() / d as f64;
    let off = (covariance - diagonal).abs().sum() / (d * d - d).max(1) as f64;
    TokenStatistics { variance, covariance: off }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution};

    use super::*;

    fn of(tokens: Tensor<3>) -> [f32; 2] {
        let TokenStatistics { variance, covariance } = token_statistics(tokens);
        [variance.into_scalar(), covariance.into_scalar()]
    }

    #[test]
    fn collapsed_features_covary_and_independent_features_do_not() {
        let device = Device::flex();
        device.seed(3);
        let random = Tensor::<3>::random([500, 4, 3], Distribution::Normal(0.0, 1.0), &device);
        let [variance, covariance] = of(random.clone());
        assert!((variance - 1.0).abs() < 0.1 && covariance < 0.1, "{variance} {covariance}");
        let [variance, covariance] = of(random.narrow(2, 0, 1).repeat_dim(2, 3));
        assert!((variance - covariance).abs() < 1e-4, "one feature three times: {covariance}");
    }

    #[test]
    fn differences_between_positions_do_not_count_as_variance() {
        let device = Device::flex();
        let place = Tensor::<3>::random([1, 4, 3], Distribution::Normal(0.0, 9.0), &device);
        let [variance, _] = of(place.repeat_dim(0, 8));
        assert!(variance < 1e-9, "{variance}");
    }
}
