//! The two views of methods over pairs of views, and their metrics.

use burn::tensor::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::InitContext;
use crate::loss::pairs::{paired, unit_rows};
use crate::method::Losses;
use crate::train::data_parallel::StepContext;
use crate::train::random::{Draws, Stage};
use crate::validate::ensure;
use crate::{AugmentConfig, Clips, EncoderShape, FrameEncoder, Input, Result};

/// Where the two views of a pair come from.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Views {
    /// The first and the last frame of a clip, unchanged: time is the augmentation.
    #[default]
    Frames,
    /// The first frame, augmented twice.
    Augmented,
    /// The first and the last frame, each augmented.
    Both,
}

/// Makes the two views of every clip.
#[derive(Clone, Debug)]
pub(crate) struct PairSampler {
    views: Views,
    augment: AugmentConfig,
    /// Frames of a view.
    window: usize,
    seed: u64,
}

impl PairSampler {
    /// For the encoder and the seed of a run.
    pub(crate) fn new(views: Views, augment: &AugmentConfig, context: &InitContext) -> Self {
        let (window, seed) = (context.shape.window(), context.seed);
        Self { views, augment: augment.clone(), window, seed }
    }

    /// The fewest frames of a clip.
    pub(crate) fn least_frames(&self) -> usize {
        if self.views == Views::Augmented { self.window } else { 2 * self.window }
    }

    /// Normalised views `[n, 2, 3 · window, h, w]`. All frames of a window are augmented alike.
    pub(crate) fn sample(&self, clips: &Clips, context: &StepContext) -> Tensor<5> {
        let window = self.window;
        let last = match self.views {
            Views::Augmented => 0,
            Views::Frames | Views::Both => clips.frames_per_clip() - window,
        };
        let views = [0, last].map(|from| clips.window(from, window).unsqueeze_dim::<5>(1));
        let views = Tensor::cat(views.into(), 1);
        if self.views == Views::Frames {
            return views;
        }
        augmented(views, &self.augment, self.seed, context)
    }
}

/// Views `[n, v, 3 · window, h, w]`, each augmented with random numbers of its own.
pub(crate) fn augmented(
    views: Tensor<5>,
    augment: &AugmentConfig,
    seed: u64,
    context: &StepContext,
) -> Tensor<5> {
    let [n, v, channels, h, w] = views.dims();
    let windows = views.reshape([n * v, channels / 3, 3, h, w]);
    let mut draws = Draws::at(seed, context.micro_batch, Stage::Augment, &windows.device());
    augment.augment(windows, &mut draws, true).reshape([n, v, channels, h, w])
}

/// Checks the keys that all methods over pairs have.
pub(crate) fn validate(
    views: Views,
    augment: &AugmentConfig,
    shape: &EncoderShape,
    input: &Input,
) -> Result<()> {
    augment.validate()?;
    let needed = if views == Views::Augmented { 1 } else { 2 } * shape.window();
    let message = format!("two views need pipeline.clip.frames of at least {needed}");
    ensure(input.frames >= needed, "views", &message)
}

/// Splits views `[n, v, ..]` into the parts of a step; an encoder with batch norms needs them in
/// one part, because its statistics are over the whole batch.
pub(crate) fn split(
    views: Tensor<5>,
    encoder: &FrameEncoder,
    context: &StepContext,
) -> Vec<Tensor<5>> {
    let parts = if encoder.has_batch_norm() { 1 } else { context.parts };
    views.chunk(parts, 0)
}

/// A loss over two views `[n, p]`, and the metrics of every such method.
pub(crate) fn losses(total: Tensor<1>, embeddings: Tensor<2>, views: [Tensor<2>; 2]) -> Losses {
    let [z1, z2] = views.map(Tensor::inner);
    let cosine = paired(unit_rows(z1.clone()), unit_rows(z2)).flatten::<1>(0, 1);
    Losses {
        total,
        terms: vec![("cosine", cosine.clone().mean())],
        per_clip: vec![("cosine", cosine)],
        tokens: vec![
            ("frame", embeddings.inner().unsqueeze_dim(1)),
            ("projection", z1.clone().unsqueeze_dim(1)),
        ],
        projections: Some(z1),
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    fn off(x: Tensor<5>, y: Tensor<5>) -> f32 {
        (x - y).abs().max().into_scalar()
    }

    #[test]
    fn views_are_frames_or_augmented_frames() {
        let device = Device::flex();
        let context = StepContext::for_tests(2);
        let shape = [2, 3, 3, 16, 16];
        let frames = Tensor::<5>::random(shape, burn::tensor::Distribution::Default, &device);
        let clips = Clips::normalised(frames.clone());
        let sample = |views, seed| {
            let augment = AugmentConfig::default();
            PairSampler { views, augment, window: 1, seed }.sample(&clips, &context)
        };
        let [first, last] = [0, 2].map(|it| frames.clone().narrow(1, it, 1));
        let natural = sample(Views::Frames, 0);
        assert_eq!(off(natural.clone().narrow(1, 0, 1), first), 0.0);
        assert_eq!(off(natural.narrow(1, 1, 1), last), 0.0);
        for views in [Views::Augmented, Views::Both] {
            let pair = sample(views, 0);
            assert_eq!(off(pair.clone(), sample(views, 0)), 0.0, "one seed, one pair");
            assert!(off(pair.clone(), sample(views, 1)) > 0.1);
            assert!(off(pair.clone().narrow(1, 0, 1), pair.narrow(1, 1, 1)) > 0.1);
        }
    }
}
