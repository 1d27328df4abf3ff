//! SimSiam (Chen and He, 2021): BYOL without a teacher. A predictor maps the projection of one
//! view to that of the other, through which no gradient flows.
//!
//! ```text
//! loss = −½ cos(q(z_x), sg z_y) − ½ cos(q(z_y), sg z_x)
//! ```

use burn::module::Module;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::encoder_projector::EncoderProjector;
use super::two_views::{self, PairSampler, Views};
use super::{InitContext, Initialised, Method, NoTeacher, Recipe};
use crate::loss::cosine;
use crate::nn::batch_norm::NormMode;
use crate::nn::mlp::{LastLayer, NormedMlp, Widths};
use crate::nn::parameters;
use crate::train::data_parallel::{StepContext, StepOutput, gathered};
use crate::{AugmentConfig, Clips, EncoderShape, FrameEncoder, Input, Result};

/// The `[model.method]` table of `name = "simsiam"`.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the two views come from.
    pub views: Views,
    /// Augmentation, where `views` asks for it.
    pub augment: AugmentConfig,
    /// Widths of the projector's layers; the last has a batch norm, too.
    pub projector: Widths,
    /// Widths of the predictor's layers; the last is the projector's last.
    pub predictor: Widths,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            views: Views::default(),
            augment: AugmentConfig::default(),
            projector: "2048-2048-2048".into(),
            predictor: "512-2048".into(),
        }
    }
}

impl Recipe for Config {
    type Method = SimSiam;

    fn validate(&self, shape: &EncoderShape, input: &Input) -> Result<()> {
        self.predictor.ends_with(self.projector.output(), "predictor")?;
        two_views::validate(self.views, &self.augment, shape, input)
    }

    fn init(&self, context: &InitContext) -> Initialised<SimSiam> {
        let (shape, mut init) = (&context.shape, context.init());
        let branch = EncoderProjector::new(shape, &self.projector, LastLayer::BatchNorm, &mut init);
        let width = self.projector.output();
        let predictor = NormedMlp::new(width, &self.predictor, LastLayer::Bias, &mut init);
        let method = SimSiam { pairs: PairSampler::new(self.views, &self.augment, context) };
        Initialised { method, student: Student { branch, predictor }, teacher: NoTeacher {} }
    }
}

/// The networks that the optimizer trains.
#[derive(Module, Debug)]
pub(crate) struct Student {
    branch: EncoderProjector,
    predictor: NormedMlp,
}

/// SimSiam.
pub(crate) struct SimSiam {
    pairs: PairSampler,
}

impl Method for SimSiam {
    type Student = Student;
    type Teacher = NoTeacher;

    fn step(
        &mut self,
        student: &Student,
        _: &NoTeacher,
        clips: &Clips,
        context: &StepContext,
    ) -> StepOutput {
        let views = self.pairs.sample(clips, context);
        let parts = two_views::split(views, &student.branch.encoder, context);
        let encoded =
            gathered(student, context, parts, |student, part| student.branch.encode(part));

        encoded.loss(|student, embeddings| {
            let views: [_; 2] = student.branch.project(embeddings.clone());
            let [x, y] = views.clone().map(|z| student.predictor.forward(z, NormMode::Train));
            // The targets are constants inside the loss.
            let [target_x, target_y] = views.clone();
            let loss = (cosine::sim_siam(x, target_y) + cosine::sim_siam(y, target_x)) / 2.0;
            two_views::losses(loss, embeddings, views)
        })
    }

    fn least_frames(&self) -> usize {
        self.pairs.least_frames()
    }

    fn frame_encoder(student: &Student) -> FrameEncoder {
        student.branch.encoder.clone()
    }

    fn parameters(&self, student: &Student) -> Vec<(&'static str, usize)> {
        let mut all = student.branch.parameters();
        all.push(("predictor", parameters::count(&student.predictor)));
        all
    }
}
