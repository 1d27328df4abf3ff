//! BYOL (Grill et al., 2020): a predictor maps the student's projection of one view to the
//! teacher's projection of the other.
//!
//! ```text
//! z = g(f(·))       student: encoder f, projector g, predictor q
//! z̄ = ḡ(f̄(·))       teacher: moving averages of f and g
//! loss = 2 − 2 cos(q(z_x), sg z̄_y)  +  2 − 2 cos(q(z_y), sg z̄_x)
//! ```

use burn::module::Module;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::encoder_projector::EncoderProjector;
use super::two_views::{self, PairSampler, Views};
use super::{InitContext, Initialised, Method, Recipe};
use crate::loss::cosine;
use crate::nn::batch_norm::NormMode;
use crate::nn::mlp::{LastLayer, NormedMlp, Widths};
use crate::nn::parameters;
use crate::train::data_parallel::{StepContext, StepOutput, gathered};
use crate::train::ema;
use crate::validate::ensure;
use crate::{AugmentConfig, Clips, EncoderShape, FrameEncoder, Input, Result};

/// The `[model.method]` table of `name = "byol"`.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the two views come from.
    pub views: Views,
    /// Augmentation, where `views` asks for it.
    pub augment: AugmentConfig,
    /// Widths of the projector's layers.
    pub projector: Widths,
    /// Widths of the predictor's layers; the last is the projector's last.
    pub predictor: Widths,
    /// First momentum of the teacher; it rises to 1 along a cosine.
    pub momentum: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            views: Views::default(),
            augment: AugmentConfig::default(),
            projector: "4096-256".into(),
            predictor: "4096-256".into(),
            momentum: 0.996,
        }
    }
}

impl Recipe for Config {
    type Method = Byol;

    fn validate(&self, shape: &EncoderShape, input: &Input) -> Result<()> {
        ensure((0.0..=1.0).contains(&self.momentum), "momentum", "must lie in 0..=1")?;
        self.predictor.ends_with(self.projector.output(), "predictor")?;
        two_views::validate(self.views, &self.augment, shape, input)
    }

    fn init(&self, context: &InitContext) -> Initialised<Byol> {
        let InitContext { shape, device, .. } = context;
        let mut init = context.init();
        let branch = EncoderProjector::new(shape, &self.projector, LastLayer::NoBias, &mut init);
        let width = self.projector.output();
        let predictor = NormedMlp::new(width, &self.predictor, LastLayer::NoBias, &mut init);
        let teacher = branch.teacher(shape, &self.projector, LastLayer::NoBias, device);
        let pairs = PairSampler::new(self.views, &self.augment, context);
        let method = Byol { pairs, momentum: self.momentum };
        Initialised { method, student: Student { branch, predictor }, teacher }
    }
}

/// The networks that the optimizer trains.
#[derive(Module, Debug)]
pub(crate) struct Student {
    branch: EncoderProjector,
    predictor: NormedMlp,
}

/// BYOL with its constants.
pub(crate) struct Byol {
    pairs: PairSampler,
    momentum: f64,
}

impl Method for Byol {
    type Student = Student;
    type Teacher = EncoderProjector;

    fn step(
        &mut self,
        student: &Student,
        teacher: &EncoderProjector,
        clips: &Clips,
        context: &StepContext,
    ) -> StepOutput {
        let views = self.pairs.sample(clips, context);
        let parts = two_views::split(views, &student.branch.encoder, context);
        let encoded =
            gathered(student, context, parts.clone(), |student, part| student.branch.encode(part));
        let [target_x, target_y] = teacher.teacher_forward(parts);

        encoded.loss(|student, embeddings| {
            let views: [_; 2] = student.branch.project(embeddings.clone());
            let [x, y] = views.clone().map(|z| student.predictor.forward(z, NormMode::Train));
            let loss = cosine::byol(x, target_y) + cosine::byol(y, target_x);
            two_views::losses(loss, embeddings, views)
        })
    }

    fn followed(&self, student: &Student, progress: f64) -> Option<(EncoderProjector, f64)> {
        Some((student.branch.clone(), ema::cosine(self.momentum, progress)))
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
