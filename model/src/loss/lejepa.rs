//! LeJEPA: views agree, and embeddings are normally distributed.

use burn::tensor::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::sigreg::{SigReg, sigreg};
use super::validate::{positive, share};
use super::{Criterion, Given, mean_squared};
use crate::Result;

/// The `[model.method.loss]` table of `lejepa`.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct LeJepa {
    /// Share of SIGReg; the invariance has the rest. 0.02 in the authors' small example.
    pub lambda: f64,
    /// Random directions per step.
    pub directions: usize,
    /// How a direction is tested.
    pub sigreg: SigReg,
}

impl Default for LeJepa {
    fn default() -> Self {
        Self { lambda: 0.05, directions: 1024, sigreg: SigReg::default() }
    }
}

impl Criterion for LeJepa {
    const PROJECTOR: &'static str = "2048-2048-128";

    fn validate(&self) -> Result<()> {
        share("lambda", self.lambda)?;
        positive("directions", self.directions as f64)?;
        self.sigreg.validate()
    }

    fn directions(&self) -> usize {
        self.directions
    }

    fn loss(&self, z1: Tensor<2>, z2: Tensor<2>, given: Given) -> Tensor<1> {
        let directions = given.directions.expect("drawn for this criterion");
        lejepa(&[z1, z2], 2, &directions, self)
    }
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
