//! Decoupled contrastive losses: the positive does not compete with the negatives (Yeh et al.,
//! 2022).

use burn::tensor::activation::softmax;
use burn::tensor::{Bool, Tensor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::pairs::{diagonal, log_sum_exp_except, paired, unit_rows};
use super::validate::positive;
use super::{Criterion, Given};
use crate::Result;

/// The `[model.method.loss]` table of `dcl`.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dcl {
    /// Divides the cosines.
    pub temperature: f64,
}

impl Default for Dcl {
    fn default() -> Self {
        Self { temperature: 0.1 }
    }
}

impl Criterion for Dcl {
    const PROJECTOR: &'static str = "2048-2048-128";
    const HAS_NEGATIVES: bool = true;

    fn validate(&self) -> Result<()> {
        positive("temperature", self.temperature)
    }

    fn loss(&self, z1: Tensor<2>, z2: Tensor<2>, given: Given) -> Tensor<1> {
        dcl(z1, z2, self.temperature, given.same_video)
    }
}

/// The `[model.method.loss]` table of `dclw`.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dclw {
    /// Divides the cosines.
    pub temperature: f64,
    /// Divides the cosines of positives in the softmax that weighs them.
    pub sigma: f64,
}

impl Default for Dclw {
    fn default() -> Self {
        Self { temperature: 0.1, sigma: 0.5 }
    }
}

impl Criterion for Dclw {
    const PROJECTOR: &'static str = "2048-2048-128";
    const HAS_NEGATIVES: bool = true;

    fn validate(&self) -> Result<()> {
        positive("temperature", self.temperature)?;
        positive("sigma", self.sigma)
    }

    fn loss(&self, z1: Tensor<2>, z2: Tensor<2>, given: Given) -> Tensor<1> {
        dclw(z1, z2, self.temperature, self.sigma, given.same_video)
    }
}

/// DCL: the mean of [`dcl_one_way`] in both directions.
pub fn dcl(
    z1: Tensor<2>,
    z2: Tensor<2>,
    temperature: f64,
    same_video: Option<Tensor<2, Bool>>,
) -> Tensor<1> {
    symmetrised(z1, z2, |a, b| dcl_one_way(a, b, temperature, same_video.clone()))
}

/// DCL with anchors from `z1` only:
/// `mean −s(a_i, b_i)/τ + ln Σ_{j≠i} (exp(s(a_i, a_j)/τ) + exp(s(a_i, b_j)/τ))`, without the pairs
/// `[2n, 2n]` of `same_video`. A row without negatives adds nothing.
pub fn dcl_one_way(
    z1: Tensor<2>,
    z2: Tensor<2>,
    temperature: f64,
    same_video: Option<Tensor<2, Bool>>,
) -> Tensor<1> {
    Terms::of(z1, z2, temperature, same_video).loss()
}

/// DCLW: [`dcl`] whose positives weigh `2 − n · softmax_i(s(a_i, b_i)/σ)`, so that distant ones
/// count more. The weights are constants, and their mean is one.
pub fn dclw(
    z1: Tensor<2>,
    z2: Tensor<2>,
    temperature: f64,
    sigma: f64,
    same_video: Option<Tensor<2, Bool>>,
) -> Tensor<1> {
    symmetrised(z1, z2, |a, b| {
        let Terms { positives, negatives } = Terms::of(a, b, temperature, same_video.clone());
        let [n, _] = positives.dims();
        let closeness = softmax(positives.clone().inner() * (temperature / sigma), 0);
        Terms { positives: positives * (closeness * -(n as f64) + 2.0), negatives }.loss()
    })
}

fn symmetrised(
    z1: Tensor<2>,
    z2: Tensor<2>,
    one_way: impl Fn(Tensor<2>, Tensor<2>) -> Tensor<1>,
) -> Tensor<1> {
    (one_way(z1.clone(), z2.clone()) + one_way(z2, z1)) / 2.0
}

/// What every anchor contributes, `[n, 1]` each.
struct Terms {
    /// `s/τ` of the positive.
    positives: Tensor<2>,
    /// `ln Σ exp(s/τ)` of the negatives.
    negatives: Tensor<2>,
}

impl Terms {
    fn of(
        z1: Tensor<2>,
        z2: Tensor<2>,
        temperature: f64,
        same_video: Option<Tensor<2, Bool>>,
    ) -> Self {
        let (a, b) = (unit_rows(z1), unit_rows(z2));
        let [n, _] = a.dims();
        assert!(n > 1, "a batch of one has no negatives");
        let [itself, positive] = [0, n as i64].map(|it| diagonal([n, 2 * n], it, &a.device()));
        let positives = paired(a.clone(), b.clone()) / temperature;
        let all = Tensor::cat(vec![a.clone(), b], 0);
        let logits = a.matmul(all.transpose()) / temperature;
        let own = itself.bool_or(positive);
        // The mask is the same for both views of a clip, so that the first rows serve either
        // direction.
        let excluded = match same_video {
            Some(same) => same.slice([0..n, 0..2 * n]).bool_or(own),
            None => own,
        };
        let lonely = excluded.clone().all_dim(1);
        let negatives = log_sum_exp_except(logits, excluded);
        let negatives = negatives.mask_where(lonely, positives.clone());
        Self { positives, negatives }
    }

    fn loss(self) -> Tensor<1> {
        (self.negatives - self.positives).mean()
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution};

    use super::super::pairs::same_group;
    use super::super::simclr::nt_xent;
    use super::*;

    fn value(loss: Tensor<1>) -> f64 {
        loss.into_scalar::<f32>().into()
    }

    fn views() -> [Tensor<2>; 2] {
        [0; 2].map(|_| Tensor::random([5, 3], Distribution::Normal(0.0, 1.0), &Device::flex()))
    }

    #[test]
    fn nt_xent_is_dcl_with_the_positive_back_in() {
        let [z1, z2] = views();
        let one_way = |a: Tensor<2>, b: Tensor<2>| {
            let Terms { positives, negatives } = Terms::of(a, b, 0.4, None);
            ((negatives - positives).exp() + 1.0).log().mean()
        };
        let got = value(symmetrised(z1.clone(), z2.clone(), one_way));
        let wanted = value(nt_xent(z1, z2, 0.4, None));
        assert!((got - wanted).abs() < 1e-5, "{got} is not {wanted}");
    }

    #[test]
    fn equal_positives_weigh_one() {
        let [z, _] = views();
        let got = value(dclw(z.clone(), z.clone(), 0.1, 0.5, None));
        let wanted = value(dcl(z.clone(), z, 0.1, None));
        assert!((got - wanted).abs() < 1e-4, "{got} is not {wanted}");
    }

    #[test]
    fn clips_of_one_video_are_no_negatives() {
        let [z1, z2] = views();
        let device = z1.device();
        let part = |z: &Tensor<2>| z.clone().narrow(0, 0, 2);
        // If all clips are of one video, nothing is left.
        let none = same_group(&[4; 5], &device);
        assert_eq!(value(dcl(z1.clone(), z2.clone(), 0.3, Some(none))), 0.0);
        let each = same_group(&[0, 1, 2, 3, 4], &device);
        let [all, apart] = [None, Some(each)].map(|it| value(dcl(z1.clone(), z2.clone(), 0.3, it)));
        assert!((all - apart).abs() < 1e-5, "{all} is not {apart}");
        // Rows of the same video see only the other video's: one pair is as if alone with it.
        let twins = value(dcl(part(&z1), part(&z2), 0.3, None));
        let twice = |z: &Tensor<2>| Tensor::cat(vec![part(z), part(z)], 0);
        let groups = same_group(&[0, 1, 0, 1], &device);
        let masked = value(dcl(twice(&z1), twice(&z2), 0.3, Some(groups)));
        // Every rival is there twice, which adds the logarithm of two.
        assert!((masked - twins - 2.0_f64.ln()).abs() < 1e-5, "{masked} {twins}");
    }
}
