//! What methods over two views share: where the views come from, the networks that see them,
//! and the way from one to the other.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::Setting;
use crate::nn::batch_norm::NormMode;
use crate::nn::mlp::{HiddenLayers, LastLayer, NormedMlp, Widths};
use crate::nn::parameters;
use crate::train::data_parallel::{self, Work};
use crate::train::ema;
use crate::train::random::{Draws, Stage};
use crate::validate::ensure;
use crate::{AugmentConfig, Clips, EncoderShape, FrameEncoder, Init, Input, Result};

/// Where the two views of a pair come from.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Views {
    /// The first and the last frame of a clip, as they are: time is the augmentation.
    #[default]
    Frames,
    /// The first frame, augmented twice.
    Augmented,
    /// The first and the last frame, augmented each.
    Both,
}

/// The two views of every clip.
#[derive(Clone, Debug)]
pub(crate) struct Pairs {
    pub(crate) views: Views,
    pub(crate) augment: AugmentConfig,
    /// Frames that the encoder sees at once.
    pub(crate) window: usize,
    pub(crate) seed: u64,
}

impl Pairs {
    /// Pairs for the encoder and the seed of a run.
    pub(crate) fn new(views: Views, augment: &AugmentConfig, setting: &Setting) -> Self {
        let (window, seed) = (setting.shape.window(), setting.seed);
        Self { views, augment: augment.clone(), window, seed }
    }

    /// The fewest frames that a clip can have.
    pub(crate) fn least_frames(&self) -> usize {
        if self.views == Views::Augmented { self.window } else { 2 * self.window }
    }

    /// Normalised views `[n, 2, 3 · window, h, w]`; the frames of a window share what is drawn.
    pub(crate) fn of(&self, clips: &Clips, work: &Work) -> Tensor<5> {
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
        let [n, two, channels, h, w] = views.dims();
        let windows = views.reshape([n * two, channels / 3, 3, h, w]);
        let mut draws = Draws::at(self.seed, work.number, Stage::Augment, &clips.device());
        let views = self.augment.augment(windows, &mut draws, true);
        views.reshape([n, two, channels, h, w])
    }
}

/// Checks what every method over pairs needs of its clips.
pub(crate) fn validate(
    views: Views,
    augment: &AugmentConfig,
    shape: &EncoderShape,
    input: &Input,
) -> Result<()> {
    augment.validate()?;
    let needed = if views == Views::Augmented { 1 } else { 2 };
    let message = "the encoder's windows overlap: pipeline.clip.frames is too small for two";
    ensure(input.frames >= needed * shape.window(), "views", message)
}

/// An encoder and what projects its embedding.
#[derive(Module, Debug)]
pub(crate) struct Branch {
    pub(crate) encoder: FrameEncoder,
    pub(crate) projector: NormedMlp,
}

impl Branch {
    /// Fresh networks.
    pub(crate) fn new(
        shape: &EncoderShape,
        projector: &Widths,
        last: LastLayer,
        init: &mut Init,
    ) -> Self {
        Self::with_hidden(shape, projector, HiddenLayers::BatchNorm, last, init)
    }

    /// Fresh networks, with what `hidden` says between the projector's layers.
    pub(crate) fn with_hidden(
        shape: &EncoderShape,
        projector: &Widths,
        hidden: HiddenLayers,
        last: LastLayer,
        init: &mut Init,
    ) -> Self {
        let encoder = shape.init(init);
        let projector = NormedMlp::with_hidden(shape.dim(), projector, hidden, last, init);
        Self { encoder, projector }
    }

    /// Another one that starts as a copy and is tracked by nobody.
    pub(crate) fn teacher(
        &self,
        shape: &EncoderShape,
        projector: &Widths,
        last: LastLayer,
        device: &Device,
    ) -> Self {
        let fresh = Self::new(shape, projector, last, &mut Init::new(0, device));
        ema::update(fresh, self, 0.0)
    }

    /// The token of every image `[rows, 3 · window, h, w]` that stands for it, `[rows, d]`.
    pub(crate) fn embed(&self, images: Tensor<4>, mode: NormMode) -> Tensor<2> {
        self.encoder.forward(images, mode).narrow(1, 0, 1).squeeze_dim(1)
    }

    /// Embeddings of views `[n, v, 3 · window, h, w]` that nothing tracks yet, `[n · v, d]`.
    pub(crate) fn see(&self, views: Tensor<5>) -> Tensor<2> {
        self.embed(Tensor::from_inner(views.flatten::<4>(0, 1)), NormMode::Train)
    }

    /// Embeddings `[n · views, d]`, view after view of clip after clip, to the projections of
    /// each view, `[n, p]`. Every view is a batch of its own to the batch norms.
    pub(crate) fn project<const V: usize>(
        &self,
        embeddings: Tensor<2>,
        mode: NormMode,
    ) -> [Tensor<2>; V] {
        view_by_view(embeddings).map(|view| self.projector.forward(view, mode))
    }

    pub(crate) fn parameters(&self) -> Vec<(&'static str, usize)> {
        vec![
            ("frame encoder", parameters::count(&self.encoder)),
            ("projector", parameters::count(&self.projector)),
        ]
    }
}

/// Rows `[n · views, d]`, view after view of clip after clip, as `views` times `[n, d]`.
pub(crate) fn view_by_view<const V: usize>(rows: Tensor<2>) -> [Tensor<2>; V] {
    let [all, d] = rows.dims();
    let rows: Tensor<3> = rows.reshape([all / V, V, d]);
    std::array::from_fn(|view| rows.clone().narrow(1, view, 1).squeeze_dim(1))
}

/// Views `[n, v, ..]` in the parts of `work`; in one when the encoder has batch norms, which
/// must see all of them.
pub(crate) fn parts(views: Tensor<5>, encoder: &FrameEncoder, work: &Work) -> Vec<Tensor<5>> {
    let parts = if encoder.has_batch_norm() { 1 } else { work.parts };
    views.chunk(parts, 0)
}

/// The teacher's projections of every view, `[n, p]` each.
pub(crate) fn targets<const V: usize>(teacher: &Branch, parts: &[Tensor<5>]) -> [Tensor<2>; V] {
    let embed = |part: Tensor<5>| teacher.embed(part.flatten(0, 1), NormMode::Train);
    let embeddings = data_parallel::map(parts.to_vec(), embed);
    teacher.project(Tensor::cat(embeddings, 0), NormMode::Train)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work() -> Work {
        let tracked = Device::flex().autodiff();
        Work { tracked, parts: 2, share: 1.0, number: 3, step: 3, progress: 0.0, read: false }
    }

    fn off(x: Tensor<5>, y: Tensor<5>) -> f32 {
        (x - y).abs().max().into_scalar()
    }

    #[test]
    fn views_are_frames_or_augmented_frames_as_they_are_called() {
        let device = Device::flex();
        let shape = [2, 3, 3, 16, 16];
        let frames = Tensor::<5>::random(shape, burn::tensor::Distribution::Default, &device);
        let clips = Clips::normalised(frames.clone());
        let of = |views, seed| {
            let augment = AugmentConfig::default();
            Pairs { views, augment, window: 1, seed }.of(&clips, &work())
        };
        let [first, last] = [0, 2].map(|it| frames.clone().narrow(1, it, 1));
        let natural = of(Views::Frames, 0);
        assert_eq!(off(natural.clone().narrow(1, 0, 1), first), 0.0);
        assert_eq!(off(natural.narrow(1, 1, 1), last), 0.0);
        for views in [Views::Augmented, Views::Both] {
            let pair = of(views, 0);
            assert_eq!(off(pair.clone(), of(views, 0)), 0.0, "one seed, one pair");
            assert!(off(pair.clone(), of(views, 1)) > 0.1);
            assert!(off(pair.clone().narrow(1, 0, 1), pair.narrow(1, 1, 1)) > 0.1);
        }
    }

    #[test]
    fn rows_come_apart_view_by_view() {
        let rows = Tensor::<2>::from_floats([[0.0], [1.0], [10.0], [11.0]], &Device::flex());
        let views: [_; 2] = view_by_view(rows);
        let views = views.map(|it| it.into_data().try_to_vec::<f32>().unwrap());
        assert_eq!(views, [[0.0, 10.0], [1.0, 11.0]]);
    }
}
