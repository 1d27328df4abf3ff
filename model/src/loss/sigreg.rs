//! SIGReg, a test that embeddings are normally distributed along random directions (Balestriero
//! and LeCun, 2025).

use burn::tensor::{Tensor, TensorData};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::validate::require;
use crate::Result;

/// The knots at which a characteristic function is compared with the normal one, and their
/// weights, by the trapezoidal rule.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct SigReg {
    /// Number of knots, evenly spaced with both ends; at least 2.
    pub knots: usize,
    /// First and last knot.
    pub range: [f64; 2],
    /// Weights count twice. The integrand is even, so that half of the axis is enough.
    pub doubled: bool,
}

impl Default for SigReg {
    fn default() -> Self {
        Self { knots: 17, range: [0.0, 3.0], doubled: true }
    }
}

impl SigReg {
    /// Checks the knots.
    ///
    /// # Errors
    /// A range without a length, or fewer than two knots.
    pub fn validate(&self) -> Result<()> {
        let [from, to] = self.range;
        let rises = from < to && from.is_finite() && to.is_finite();
        require(self.knots >= 2, "sigreg.knots", "must be at least 2", self.knots)?;
        require(rises, "sigreg.range", "must be two rising numbers", self.range)
    }

    /// Knots `t`, and weights with the window `e^{−t²/2}` in them.
    fn quadrature(&self) -> (Vec<f32>, Vec<f32>) {
        let ([from, to], last) = (self.range, self.knots - 1);
        let step = (to - from) / last as f64;
        let whole = if self.doubled { 2.0 * step } else { step };
        (0..self.knots)
            .map(|idx| {
                let t = from + step * idx as f64;
                let weight = if idx == 0 || idx == last { whole / 2.0 } else { whole };
                (t as f32, (weight * (-t * t / 2.0).exp()) as f32)
            })
            .unzip()
    }
}

/// SIGReg, a test statistic: `n ·` `epps_pulley`.
///
/// `directions` `[d, s]` are unit columns, drawn at every step and the same for all views.
pub fn sigreg(z: Tensor<2>, directions: Tensor<2>, config: &SigReg) -> Tensor<1> {
    let [n, _] = z.dims();
    epps_pulley(z, directions, config) * n as f64
}

/// `∫ e^{−t²/2} |φ(t) − e^{−t²/2}|² dt` over the config's knots, mean over the directions, where
/// `φ(t) = mean_i exp(i t ⟨z_i, direction⟩)`.
fn epps_pulley(z: Tensor<2>, directions: Tensor<2>, config: &SigReg) -> Tensor<1> {
    let ([_, slices], device) = (directions.dims(), z.device().inner());
    let row = |values: Vec<f32>| {
        Tensor::<3>::from_data(TensorData::new(values, [1, 1, config.knots]), &device)
    };
    let (knots, weights) = config.quadrature();
    let (knots, weights) = (row(knots), row(weights));
    let normal = (knots.clone().square() / -2.0).exp();
    let angles = z.matmul(directions).unsqueeze_dim::<3>(2) * knots;
    let real = angles.clone().cos().mean_dim(0) - normal;
    let imaginary = angles.sin().mean_dim(0);
    ((real.square() + imaginary.square()) * weights).sum() / slices as f64
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution};

    use super::*;

    fn value(loss: Tensor<1>) -> f64 {
        loss.into_scalar::<f32>().into()
    }

    #[test]
    fn both_ranges_in_use_give_their_numbers() {
        let device = Device::flex();
        let z = Tensor::<2>::from_data([[0.3, -1.1], [1.2, 0.4], [-0.7, 0.9], [0.1, 0.2]], &device);
        let diagonal = 0.5f64.sqrt();
        let directions =
            Tensor::<2>::from_data([[1.0, 0.0, diagonal], [0.0, 1.0, diagonal]], &device);
        for (range, wanted) in
            [([0.0, 3.0], 0.349_863_781_091_7), ([0.2, 4.0], 0.351_795_765_774_9)]
        {
            let config = SigReg { range, ..SigReg::default() };
            let got = value(sigreg(z.clone(), directions.clone(), &config));
            assert!((got - wanted).abs() < 1e-5, "{got} is not {wanted}");
        }
    }

    #[test]
    fn half_of_the_axis_doubled_is_the_whole() {
        let device = Device::flex();
        let z = Tensor::<2>::random([20, 3], Distribution::Normal(0.5, 2.0), &device);
        let directions = Tensor::<2>::eye(3, &device);
        let whole = SigReg { knots: 33, range: [-3.0, 3.0], doubled: false };
        let got = value(sigreg(z.clone(), directions.clone(), &SigReg::default()));
        let wanted = value(sigreg(z, directions, &whole));
        assert!((got - wanted).abs() < 1e-5 * (1.0 + wanted), "{got} is not {wanted}");
    }

    #[test]
    fn normal_embeddings_pass_and_collapsed_ones_do_not() {
        let device = Device::flex();
        device.seed(1);
        let directions = Tensor::<2>::eye(4, &device);
        let normal = Tensor::<2>::random([2000, 4], Distribution::Normal(0.0, 1.0), &device);
        let test = |z| value(sigreg(z, directions.clone(), &SigReg::default()));
        let (normal, collapsed) = (test(normal.clone()), test(normal.zeros_like()));
        assert!(normal < 2.0 && collapsed > 100.0, "{normal} {collapsed}");
    }
}
