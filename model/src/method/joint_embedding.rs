//! Joint-embedding methods: two views, one network, and a loss over the pair of projections.
//!
//! ```text
//! x ──▶ encoder ──▶ projector ──▶ z1 ─┐
//!                                     ├─▶ criterion
//! y ──▶ encoder ──▶ projector ──▶ z2 ─┘
//! ```
//!
//! The criteria are in `loss`, each a [`Criterion`] in a file of its own. All pull the two views of
//! a clip together; they differ in what keeps embeddings from being equal, which works on samples
//! or on dimensions (Garrido et al., 2023). Methods with a second network are `byol`, `simsiam` and
//! `tico`.

use burn::tensor::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::encoder_projector::EncoderProjector;
use super::two_views::{self, PairSampler, Views};
use super::{InitContext, Initialised, Method, NoTeacher, Recipe};
use crate::loss::pairs::{same_group, unit_rows};
use crate::loss::{Criterion, Given};
use crate::nn::mlp::{LastLayer, Widths};
use crate::train::data_parallel::{StepContext, StepOutput, gathered};
use crate::train::random::{Draws, Stage};
use crate::validate::ensure;
use crate::{AugmentConfig, Clips, EncoderShape, FrameEncoder, Input, Result};

/// The `[model.method]` table of every method over one network.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default, bound = "C: Criterion")]
#[schemars(bound = "C: Criterion + JsonSchema")]
pub struct Config<C> {
    /// Where the two views come from.
    pub views: Views,
    /// Augmentation, where `views` asks for it.
    pub augment: AugmentConfig,
    /// Widths of the projector's layers, as in `"2048-2048-128"`.
    pub projector: Widths,
    /// Whether clips of the same video are no negatives of each other, for criteria that push
    /// clips apart. Default: false.
    pub other_videos: bool,
    /// The criterion's constants.
    pub loss: C,
}

impl<C: Criterion> Default for Config<C> {
    fn default() -> Self {
        Self {
            views: Views::default(),
            augment: AugmentConfig::default(),
            projector: C::PROJECTOR.into(),
            other_videos: false,
            loss: C::default(),
        }
    }
}

impl<C: Criterion> Recipe for Config<C> {
    type Method = JointEmbedding<C>;

    fn validate(&self, shape: &EncoderShape, input: &Input) -> Result<()> {
        self.loss.validate()?;
        let message = "this criterion has no negatives; remove the key";
        ensure(!self.other_videos || C::HAS_NEGATIVES, "other_videos", message)?;
        two_views::validate(self.views, &self.augment, shape, input)
    }

    fn init(&self, context: &InitContext) -> Initialised<JointEmbedding<C>> {
        let mut init = context.init();
        let (shape, widths) = (&context.shape, &self.projector);
        let student = EncoderProjector::new(shape, widths, LastLayer::NoBias, &mut init);
        let pairs = PairSampler::new(self.views, &self.augment, context);
        let (criterion, other_videos) = (self.loss.clone(), self.other_videos);
        let method = JointEmbedding { criterion, pairs, other_videos, seed: context.seed };
        Initialised { method, student, teacher: NoTeacher {} }
    }
}

/// A joint-embedding method with its criterion.
pub(crate) struct JointEmbedding<C> {
    criterion: C,
    pairs: PairSampler,
    other_videos: bool,
    seed: u64,
}

impl<C: Criterion> Method for JointEmbedding<C> {
    type Student = EncoderProjector;
    type Teacher = NoTeacher;

    fn step(
        &mut self,
        student: &EncoderProjector,
        _: &NoTeacher,
        clips: &Clips,
        context: &StepContext,
    ) -> StepOutput {
        let views = self.pairs.sample(clips, context);
        let parts = two_views::split(views, &student.encoder, context);
        let encoded = gathered(student, context, parts, EncoderProjector::encode);

        encoded.loss(|student, embeddings| {
            let [z1, z2] = student.project(embeddings.clone());
            let count = self.criterion.directions();
            let width = z1.dims()[1];
            let directions = (count > 0).then(|| directions([width, count], self.seed, context));
            let same_video = self.other_videos.then(|| same_group(clips.videos(), &z1.device()));
            let given = Given { directions, same_video };
            let loss = self.criterion.loss(z1.clone(), z2.clone(), given);
            two_views::losses(loss, embeddings, [z1, z2])
        })
    }

    fn least_frames(&self) -> usize {
        self.pairs.least_frames()
    }

    fn frame_encoder(student: &EncoderProjector) -> FrameEncoder {
        student.encoder.clone()
    }

    fn parameters(&self, student: &EncoderProjector) -> Vec<(&'static str, usize)> {
        student.parameters()
    }
}

/// `count` random unit columns of `dim` numbers, `[dim, count]`, drawn at every step.
pub(super) fn directions([dim, count]: [usize; 2], seed: u64, context: &StepContext) -> Tensor<2> {
    let device = context.autodiff.clone().inner();
    let mut draws = Draws::at(seed, context.micro_batch, Stage::Directions, &device);
    Tensor::from_inner(unit_rows(draws.normal([count, dim])).transpose())
}
