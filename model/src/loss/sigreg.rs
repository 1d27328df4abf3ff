//! SIGReg: embeddings that look normal from every direction (Balestriero & LeCun, 2025).

use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::mean_squared;
use super::validate::{positive, require, share};
use crate::Result;

/// The knots at which a characteristic function is compared with the normal one, and their
/// weights, by the trapezoidal rule.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
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
    /// Algorithm 1 of the paper, which is not what its code defaults to.
    pub const ALGORITHM_1: Self = Self { knots: 17, range: [-5.0, 5.0], doubled: false };
    /// What eb_jepa takes in its [`bcs`].
    pub const EB_JEPA: Self = Self { knots: 10, range: [-3.0, 3.0], doubled: false };

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

/// The `[model.method.loss]` table of [`lejepa`].
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct LeJepa {
    /// Share of SIGReg; the invariance has the rest. 0.02 in the authors' small example.
    pub lambda: f64,
    /// Random directions of a step.
    pub directions: usize,
    /// How a direction is tested.
    pub sigreg: SigReg,
}

impl Default for LeJepa {
    fn default() -> Self {
        Self { lambda: 0.05, directions: 1024, sigreg: SigReg::default() }
    }
}

impl LeJepa {
    /// # Errors
    /// A share outside of 0 to 1, no directions, or knots that cannot be used.
    pub fn validate(&self) -> Result<()> {
        share("lambda", self.lambda)?;
        positive("directions", self.directions as f64)?;
        self.sigreg.validate()
    }
}

/// `n ·` [`epps_pulley`], which makes it a test statistic.
///
/// `directions` `[d, s]` are unit columns, drawn anew for every step and the same for all views.
pub fn sigreg(z: Tensor<2>, directions: Tensor<2>, config: &SigReg) -> Tensor<1> {
    let [n, _] = z.dims();
    epps_pulley(z, directions, config) * n as f64
}

/// `∫ e^{−t²/2} |φ(t) − e^{−t²/2}|² dt` over the config's knots, mean over the directions, where
/// `φ(t) = mean_i exp(i t ⟨z_i, direction⟩)`.
pub fn epps_pulley(z: Tensor<2>, directions: Tensor<2>, config: &SigReg) -> Tensor<1> {
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

/// LeJEPA: `(1 − λ) mean (μ − z_v)² + λ mean_v sigreg(z_v)`, where `μ` is the mean of the first
/// `global` of the `views` `[n, d]`; the gradient goes through `μ`.
///
/// The mean is over views, samples and dimensions (algorithm 2); eq. 9 sums over dimensions.
/// stable-pretraining does not weigh the invariance by `1 − λ` and tests all views as one batch.
pub fn lejepa(
    views: &[Tensor<2>],
    global: usize,
    directions: &Tensor<2>,
    config: &LeJepa,
) -> Tensor<1> {
    assert!(0 < global && global <= views.len(), "{global} of {} views", views.len());
    let centre = mean(views[..global].iter().cloned());
    let invariance = mean(views.iter().map(|z| mean_squared(centre.clone(), z.clone())));
    let shape = mean(views.iter().map(|z| sigreg(z.clone(), directions.clone(), &config.sigreg)));
    invariance * (1.0 - config.lambda) + shape * config.lambda
}

/// eb_jepa's form: `mse + coeff · mean_v epps_pulley(z_v)`, without the factor `n`. Its own
/// values are 10 and [`SigReg::EB_JEPA`].
pub fn bcs(
    z1: Tensor<2>,
    z2: Tensor<2>,
    directions: Tensor<2>,
    coeff: f64,
    config: &SigReg,
) -> Tensor<1> {
    let first = epps_pulley(z1.clone(), directions.clone(), config);
    let second = epps_pulley(z2.clone(), directions, config);
    mean_squared(z1, z2) + (first + second) * (coeff / 2.0)
}

fn mean<const D: usize>(tensors: impl ExactSizeIterator<Item = Tensor<D>>) -> Tensor<D> {
    let count = tensors.len() as f64;
    tensors.reduce(|sum, it| sum + it).expect("at least one view") / count
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

    #[test]
    fn equal_views_pay_for_their_shape_only() {
        let device = Device::flex();
        let z = Tensor::<2>::random([6, 3], Distribution::Normal(0.0, 1.0), &device);
        let directions = Tensor::<2>::eye(3, &device);
        let config = LeJepa::default();
        let views = vec![z.clone(); 4];
        let got = value(lejepa(&views, 2, &directions, &config));
        let wanted = 0.05 * value(sigreg(z, directions, &config.sigreg));
        assert!((got - wanted).abs() < 1e-6, "{got} is not {wanted}");
    }
}
