//! Contrastive losses: an anchor's positive against everything else in the batch.
//!
//! Rows are normalised here, so that only their directions count. `s` is a cosine and `τ` the
//! temperature.

use burn::tensor::{Bool, Tensor};
use serde::{Deserialize, Serialize};

use super::pairs::{diagonal, log_sum_exp, log_sum_exp_except, other_view, paired, unit_rows};
use super::validate::positive;
use crate::Result;

/// Of [`nt_xent`].
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct SimClr {
    /// Divides the cosines. 0.1 on ImageNet and 0.5 on CIFAR-10 (Chen et al., 2020); Garrido et
    /// al. (2023) tuned it to 0.15.
    pub temperature: f64,
}

impl Default for SimClr {
    fn default() -> Self {
        Self { temperature: 0.1 }
    }
}

impl SimClr {
    /// # Errors
    /// A temperature that nothing can be divided by.
    pub fn validate(&self) -> Result<()> {
        positive("temperature", self.temperature)
    }
}

/// Of [`simclr_sq`] and
/// [`simclr_abs`].
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct SimClrTransformed {
    /// Divides the transformed cosines.
    pub temperature: f64,
    /// What happens to the positive pair.
    pub positives: Positives,
}

impl Default for SimClrTransformed {
    fn default() -> Self {
        Self { temperature: 0.15, positives: Positives::Plain }
    }
}

impl SimClrTransformed {
    /// # Errors
    /// A temperature that nothing can be divided by.
    pub fn validate(&self) -> Result<()> {
        positive("temperature", self.temperature)
    }
}

/// Whether the positive pair's cosine is transformed as the negatives' are.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Positives {
    /// It is not.
    #[default]
    Plain,
    /// It is, which rewards opposite embeddings as much as equal ones.
    Transformed,
}

/// What stands for the cosine of a negative pair.
///
/// Square and absolute value push towards orthogonality; the cosine alone also rewards opposite
/// directions. With them SimCLR and DCL are sample-contrastive (Garrido et al., 2023, prop. 3.2).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Similarity {
    /// The cosine.
    #[default]
    Cosine,
    /// Its square.
    Square,
    /// Its absolute value.
    Absolute,
}

impl Similarity {
    pub(super) fn of(self, cosines: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Cosine => cosines,
            Self::Square => cosines.square(),
            Self::Absolute => cosines.abs(),
        }
    }
}

/// NT-Xent, the loss of SimCLR (Chen et al., 2020, eq. 1): over the `2n` views,
/// `mean −s_pos/τ + ln Σ exp(s/τ)`, the sum over the `2n − 1` others and so with the positive.
pub fn nt_xent(z1: Tensor<2>, z2: Tensor<2>, temperature: f64) -> Tensor<1> {
    let Views { cosines, positives, itself, .. } = Views::of(z1, z2);
    let rest = log_sum_exp_except(cosines / temperature, itself);
    (rest - positives / temperature).mean()
}

/// [`nt_xent`] without some of its negatives.
///
/// `excluded` `[2n, 2n]` is true where a column is no negative of the row, as
/// [`same_group`](super::pairs::same_group) makes it; rows are the first views, then the second.
/// A row's positive stays whatever the mask says.
pub fn nt_xent_masked(
    z1: Tensor<2>,
    z2: Tensor<2>,
    temperature: f64,
    excluded: Tensor<2, Bool>,
) -> Tensor<1> {
    let Views { cosines, positives, itself, pairs } = Views::of(z1, z2);
    let excluded = excluded.bool_and(pairs.bool_not()).bool_or(itself);
    let rest = log_sum_exp_except(cosines / temperature, excluded);
    (rest - positives / temperature).mean()
}

/// SimCLR-sq: [`nt_xent`] with squared cosines (Garrido et al., 2023). The paper leaves open
/// whether the positive's is squared too; [`Positives::Plain`] does not.
pub fn simclr_sq(
    z1: Tensor<2>,
    z2: Tensor<2>,
    temperature: f64,
    positives: Positives,
) -> Tensor<1> {
    transformed(Views::of(z1, z2), temperature, positives, Similarity::Square)
}

/// SimCLR-abs: [`simclr_sq`] with absolute values in the place of squares.
pub fn simclr_abs(
    z1: Tensor<2>,
    z2: Tensor<2>,
    temperature: f64,
    positives: Positives,
) -> Tensor<1> {
    transformed(Views::of(z1, z2), temperature, positives, Similarity::Absolute)
}

fn transformed(
    views: Views,
    temperature: f64,
    positives: Positives,
    similarity: Similarity,
) -> Tensor<1> {
    let Views { cosines, positives: plain, itself, pairs } = views;
    let logits = similarity.of(cosines.clone());
    let (logits, positive) = match positives {
        Positives::Plain => (logits.mask_where(pairs, cosines), plain),
        Positives::Transformed => (logits, similarity.of(plain)),
    };
    let rest = log_sum_exp_except(logits / temperature, itself);
    (rest - positive / temperature).mean()
}

/// Both views of a batch below one another, and how they compare.
struct Views {
    /// `[2n, 2n]`.
    cosines: Tensor<2>,
    /// Every row's cosine with its other view, `[2n, 1]`.
    positives: Tensor<2>,
    /// The diagonal.
    itself: Tensor<2, Bool>,
    /// The places of `positives`.
    pairs: Tensor<2, Bool>,
}

impl Views {
    fn of(z1: Tensor<2>, z2: Tensor<2>) -> Self {
        let (a, b) = (unit_rows(z1), unit_rows(z2));
        let ([n, _], device) = (a.dims(), a.device());
        let positives = paired(a.clone(), b.clone()).repeat_dim(0, 2);
        let all = Tensor::cat(vec![a, b], 0);
        let cosines = all.clone().matmul(all.transpose());
        let itself = diagonal([2 * n, 2 * n], 0, &device);
        Self { cosines, positives, itself, pairs: other_view(n, &device) }
    }
}

/// InfoNCE from one view to the other: the cross-entropy of `softmax(s(z1_i, z2_·)/τ)` whose
/// target is `i`. Negatives come from the other view only.
pub fn info_nce(z1: Tensor<2>, z2: Tensor<2>, temperature: f64) -> Tensor<1> {
    let (a, b) = (unit_rows(z1), unit_rows(z2));
    let positives = paired(a.clone(), b.clone());
    let rest = log_sum_exp(a.matmul(b.transpose()) / temperature);
    (rest - positives / temperature).mean()
}

/// The mean of [`info_nce`] in both directions.
pub fn info_nce_symmetric(z1: Tensor<2>, z2: Tensor<2>, temperature: f64) -> Tensor<1> {
    (info_nce(z1.clone(), z2.clone(), temperature) + info_nce(z2, z1, temperature)) / 2.0
}

/// AdaSSL's NT-Xent between predictions and embeddings, as its authors' code has it.
///
/// `contexts` `[2n, d]` are the predictions of both directions, `targets` `[2n, d]` the
/// embeddings that they predict, row by row; targets are not constants. The logit of a pair is
/// `scale · s/τ`, clamped to ±20; `scale` `[1]` is learned, or one. Of the `2n` targets a row has
/// its own as positive and the others as negatives, except the other view of its own sample, `n`
/// rows away, and those that `excluded` `[2n, 2n]` names.
pub fn two_way_nt_xent(
    contexts: Tensor<2>,
    targets: Tensor<2>,
    scale: Tensor<1>,
    temperature: f64,
    excluded: Option<Tensor<2, Bool>>,
) -> Tensor<1> {
    let (contexts, targets) = (unit_rows(contexts), unit_rows(targets));
    let ([rows, _], device) = (contexts.dims(), contexts.device());
    assert!(rows % 2 == 0, "{rows} rows are not two directions of the same samples");
    let scale = scale.reshape([1, 1]) / temperature;
    let logits = |cosines: Tensor<2>| (cosines * scale.clone()).clamp(-20.0, 20.0);
    let positives = logits(paired(contexts.clone(), targets.clone()));
    let mut left_out = other_view(rows / 2, &device);
    if let Some(excluded) = excluded {
        let own = diagonal([rows, rows], 0, &device);
        left_out = left_out.bool_or(excluded.bool_and(own.bool_not()));
    }
    let rest = log_sum_exp_except(logits(contexts.matmul(targets.transpose())), left_out);
    (rest - positives).mean()
}

/// [`two_way_nt_xent`] of one direction: of the `n` targets a row of `contexts` `[n, d]` has its
/// own as positive and the others as negatives, but for those that `excluded` `[n, n]` names.
pub fn one_way_nt_xent(
    contexts: Tensor<2>,
    targets: Tensor<2>,
    scale: Tensor<1>,
    temperature: f64,
    excluded: Option<Tensor<2, Bool>>,
) -> Tensor<1> {
    let (contexts, targets) = (unit_rows(contexts), unit_rows(targets));
    let ([n, _], device) = (contexts.dims(), contexts.device());
    let scale = scale.reshape([1, 1]) / temperature;
    let logits = |cosines: Tensor<2>| (cosines * scale.clone()).clamp(-20.0, 20.0);
    let positives = logits(paired(contexts.clone(), targets.clone()));
    let all = logits(contexts.matmul(targets.transpose()));
    let rest = match excluded {
        Some(mask) => {
            let own = diagonal([n, n], 0, &device);
            log_sum_exp_except(all, mask.bool_and(own.bool_not()))
        }
        None => log_sum_exp(all),
    };
    (rest - positives).mean()
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution};

    use super::super::pairs::same_group;
    use super::*;

    fn random(rows: usize) -> Tensor<2> {
        Tensor::random([rows, 6], Distribution::Normal(0.0, 1.0), &Device::flex())
    }

    fn value(loss: Tensor<1>) -> f64 {
        loss.into_scalar::<f32>().into()
    }

    fn assert_close(got: Tensor<1>, wanted: f64) {
        let got = value(got);
        assert!((got - wanted).abs() < 1e-5 * (1.0 + wanted.abs()), "{got} is not {wanted}");
    }

    #[test]
    fn the_length_of_a_row_does_not_count() {
        let (z1, z2) = (random(5), random(5));
        let lengths = random(5).narrow(1, 0, 1).abs() + 0.1;
        let wanted = value(nt_xent(z1.clone(), z2.clone(), 0.2));
        assert_close(nt_xent(z1 * lengths.clone(), z2 / lengths, 0.2), wanted);
    }

    #[test]
    fn a_collapsed_batch_guesses() {
        let z = random(1).repeat_dim(0, 4);
        assert_close(nt_xent(z.clone(), z.clone(), 0.1), 7f64.ln());
        assert_close(info_nce_symmetric(z.clone(), z.clone(), 0.1), 4f64.ln());
    }

    #[test]
    fn masked_negatives_are_as_if_absent() {
        let device = Device::flex();
        let (z1, z2) = (random(4), random(4));
        let all = nt_xent(z1.clone(), z2.clone(), 0.3);
        let own_groups = same_group(&[0, 1, 2, 3], &device);
        assert_close(nt_xent_masked(z1.clone(), z2.clone(), 0.3, own_groups), value(all));
        let one_group = same_group(&[5; 4], &device);
        assert_close(nt_xent_masked(z1.clone(), z2.clone(), 0.3, one_group), 0.0);
        // Two groups that are left with each other as negatives: by hand, for the first row.
        let got = nt_xent_masked(z1.clone(), z2.clone(), 0.3, same_group(&[0, 0, 1, 1], &device));
        let all = unit_rows(Tensor::cat(vec![z1, z2], 0));
        let cosines: Vec<f32> =
            all.clone().matmul(all.transpose()).into_data().try_to_vec().unwrap();
        let row = |i: usize| {
            let logit = |j: usize| f64::from(cosines[8 * i + j]) / 0.3;
            let positive = (i + 4) % 8;
            let negatives = (0..8).filter(|j| j % 4 / 2 != i % 4 / 2);
            negatives.chain([positive]).map(|j| logit(j).exp()).sum::<f64>().ln() - logit(positive)
        };
        assert_close(got, (0..8).map(row).sum::<f64>() / 8.0);
    }

    /// The numbers were computed in float64.
    #[test]
    fn adassls_loss_gives_known_numbers() {
        let device = Device::flex();
        let tensor = |rows: [[f64; 2]; 4]| Tensor::<2>::from_data(rows, &device);
        let contexts = tensor([[1.0, 0.2], [0.1, 1.0], [0.9, 0.1], [-0.2, 1.0]]);
        let targets = tensor([[1.0, 0.0], [0.0, 1.0], [0.8, 0.3], [0.1, 0.9]]);
        for (temperature, wanted) in [(0.5, 0.347_949_647_831_881_5), (0.1, 0.001_688_313_709_543)]
        {
            let one = Tensor::ones([1], &device);
            let got = two_way_nt_xent(contexts.clone(), targets.clone(), one, temperature, None);
            assert_close(got, wanted);
        }
    }

    #[test]
    fn adassls_logits_are_clamped_and_maskable() {
        let device = Device::flex();
        let (contexts, targets) = (random(6), random(6));
        let scale = Tensor::<1>::full([1], 1e6, &device);
        let got = two_way_nt_xent(contexts.clone(), targets.clone(), scale, 1.0, None);
        assert!(value(got) <= 40.0 + 5f64.ln());
        let all = same_group(&[1; 3], &device);
        let one = Tensor::ones([1], &device);
        assert_close(two_way_nt_xent(contexts, targets, one, 0.1, Some(all)), 0.0);
    }
}
