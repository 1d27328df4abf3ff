//! SimCLR: a projection finds its positive among all other projections of the batch.
//!
//! Rows are normalised here, so that only their directions count. `s` is a cosine and `τ` the
//! temperature.

use burn::tensor::{Bool, Tensor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::pairs::{diagonal, log_sum_exp_except, other_view, paired, unit_rows};
use super::validate::positive;
use super::{Criterion, Given};
use crate::Result;

/// The `[model.method.loss]` table of `simclr`.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, Serialize)]
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

impl Criterion for SimClr {
    const PROJECTOR: &'static str = "2048-2048-128";
    const HAS_NEGATIVES: bool = true;

    fn validate(&self) -> Result<()> {
        positive("temperature", self.temperature)
    }

    fn loss(&self, z1: Tensor<2>, z2: Tensor<2>, given: Given) -> Tensor<1> {
        nt_xent(z1, z2, self.temperature, given.same_video)
    }
}

/// The `[model.method.loss]` table of `simclr-sq`.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct SimClrSq {
    /// Divides the squared cosines.
    pub temperature: f64,
    /// Whether the cosine of the positive pair is squared.
    pub positives: Positives,
}

impl Default for SimClrSq {
    fn default() -> Self {
        Self { temperature: 0.15, positives: Positives::Plain }
    }
}

impl Criterion for SimClrSq {
    const PROJECTOR: &'static str = "8192-8192-512";
    const HAS_NEGATIVES: bool = true;

    fn validate(&self) -> Result<()> {
        positive("temperature", self.temperature)
    }

    fn loss(&self, z1: Tensor<2>, z2: Tensor<2>, given: Given) -> Tensor<1> {
        simclr_sq(z1, z2, self.temperature, self.positives, given.same_video)
    }
}

/// The `[model.method.loss]` table of `simclr-abs`.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct SimClrAbs {
    /// Divides the absolute cosines.
    pub temperature: f64,
    /// Whether the absolute value of the positive pair's cosine is taken.
    pub positives: Positives,
}

impl Default for SimClrAbs {
    fn default() -> Self {
        Self { temperature: 0.15, positives: Positives::Plain }
    }
}

impl Criterion for SimClrAbs {
    const PROJECTOR: &'static str = "8192-8192-512";
    const HAS_NEGATIVES: bool = true;

    fn validate(&self) -> Result<()> {
        positive("temperature", self.temperature)
    }

    fn loss(&self, z1: Tensor<2>, z2: Tensor<2>, given: Given) -> Tensor<1> {
        simclr_abs(z1, z2, self.temperature, self.positives, given.same_video)
    }
}

/// Whether the positive pair's cosine is transformed as the negatives' are.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Positives {
    /// It is not.
    #[default]
    Plain,
    /// It is, which rewards opposite embeddings as much as equal ones.
    Transformed,
}

/// NT-Xent, the loss of SimCLR (Chen et al., 2020, eq. 1): over the `2n` views,
/// `mean −s_pos/τ + ln Σ exp(s/τ)`. The sum is over the `2n − 1` other views, the positive among
/// them, without the pairs `[2n, 2n]` of `same_video`.
pub fn nt_xent(
    z1: Tensor<2>,
    z2: Tensor<2>,
    temperature: f64,
    same_video: Option<Tensor<2, Bool>>,
) -> Tensor<1> {
    let Similarities { cosines, positives, excluded, .. } = Similarities::of(z1, z2, same_video);
    let rest = log_sum_exp_except(cosines / temperature, excluded);
    (rest - positives / temperature).mean()
}

/// SimCLR-sq: [`nt_xent`] with squared cosines, which push negatives towards orthogonality (Garrido
/// et al., 2023, prop. 3.2). The paper leaves open whether the positive's is squared too;
/// [`Positives::Plain`] does not.
pub fn simclr_sq(
    z1: Tensor<2>,
    z2: Tensor<2>,
    temperature: f64,
    positives: Positives,
    same_video: Option<Tensor<2, Bool>>,
) -> Tensor<1> {
    transformed(Similarities::of(z1, z2, same_video), temperature, positives, Tensor::<2>::square)
}

/// SimCLR-abs: [`simclr_sq`] with absolute values in the place of squares.
pub fn simclr_abs(
    z1: Tensor<2>,
    z2: Tensor<2>,
    temperature: f64,
    positives: Positives,
    same_video: Option<Tensor<2, Bool>>,
) -> Tensor<1> {
    transformed(Similarities::of(z1, z2, same_video), temperature, positives, Tensor::<2>::abs)
}

fn transformed(
    similarities: Similarities,
    temperature: f64,
    positives: Positives,
    transform: fn(Tensor<2>) -> Tensor<2>,
) -> Tensor<1> {
    let Similarities { cosines, positives: plain, excluded, pairs } = similarities;
    let logits = transform(cosines.clone());
    let (logits, positive) = match positives {
        Positives::Plain => (logits.mask_where(pairs, cosines), plain),
        Positives::Transformed => (logits, transform(plain)),
    };
    let rest = log_sum_exp_except(logits / temperature, excluded);
    (rest - positive / temperature).mean()
}

/// Cosines of the `2n` views of a batch, those of the first view before those of the second.
struct Similarities {
    /// `[2n, 2n]`.
    cosines: Tensor<2>,
    /// Every row's cosine with its other view, `[2n, 1]`.
    positives: Tensor<2>,
    /// The diagonal, and what is no negative.
    excluded: Tensor<2, Bool>,
    /// Where `cosines` holds the positives.
    pairs: Tensor<2, Bool>,
}

impl Similarities {
    fn of(z1: Tensor<2>, z2: Tensor<2>, same_video: Option<Tensor<2, Bool>>) -> Self {
        let (a, b) = (unit_rows(z1), unit_rows(z2));
        let ([n, _], device) = (a.dims(), a.device());
        let positives = paired(a.clone(), b.clone()).repeat_dim(0, 2);
        let all = Tensor::cat(vec![a, b], 0);
        let cosines = all.clone().matmul(all.transpose());
        let itself = diagonal([2 * n, 2 * n], 0, &device);
        let pairs = other_view(n, &device);
        let excluded = match same_video {
            Some(same) => same.bool_and(pairs.clone().bool_not()).bool_or(itself),
            None => itself,
        };
        Self { cosines, positives, excluded, pairs }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution};

    use super::super::pairs::same_group;
    use super::*;

    fn random(rows: usize) -> Tensor<2> {
        Tensor::random([rows, 6], Distribution::Normal(0.0, 1.0), &Device::flex())
    }

    fn assert_close(got: Tensor<1>, wanted: f64) {
        let got = f64::from(got.into_scalar::<f32>());
        assert!((got - wanted).abs() < 1e-5 * (1.0 + wanted.abs()), "{got} is not {wanted}");
    }

    #[test]
    fn the_length_of_a_row_does_not_count() {
        let (z1, z2) = (random(5), random(5));
        let lengths = random(5).narrow(1, 0, 1).abs() + 0.1;
        let wanted = f64::from(nt_xent(z1.clone(), z2.clone(), 0.2, None).into_scalar::<f32>());
        assert_close(nt_xent(z1 * lengths.clone(), z2 / lengths, 0.2, None), wanted);
    }

    #[test]
    fn a_collapsed_batch_guesses() {
        let z = random(1).repeat_dim(0, 4);
        assert_close(nt_xent(z.clone(), z, 0.1, None), 7f64.ln());
    }

    #[test]
    fn clips_of_one_video_are_no_negatives() {
        // Clips 0 and 1 are of one video, so that clip 0 competes with clip 2 alone.
        let (z1, z2) = (random(3), random(3));
        let device = z1.device();
        let masked = nt_xent(z1.clone(), z2.clone(), 0.3, Some(same_group(&[0, 0, 2], &device)));
        let cosine = |a: Tensor<2>, b: Tensor<2>| -> f64 {
            paired(unit_rows(a), unit_rows(b)).into_scalar::<f32>().into()
        };
        let views = [&z1, &z2];
        let row = |view: usize, clip: usize| views[view].clone().narrow(0, clip, 1);
        let rivals: [&[usize]; 3] = [&[2], &[2], &[0, 1]];
        let mut wanted = 0.0;
        for (view, clip) in (0..2).flat_map(|view| (0..3).map(move |clip| (view, clip))) {
            let term = |view: usize, other: usize, anchor: usize| {
                (cosine(row(anchor, clip), row(view, other)) / 0.3).exp()
            };
            let positive = term(1 - view, clip, view);
            let rivals = rivals[clip].iter().flat_map(|it| [(0, *it), (1, *it)]);
            let sum: f64 = rivals.map(|(other, it)| term(other, it, view)).sum();
            wanted += ((positive + sum) / positive).ln() / 6.0;
        }
        assert_close(masked, wanted);
    }
}
