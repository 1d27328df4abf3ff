//! TiCo (Zhu et al., 2022): the student's projection of one view agrees with the teacher's of the
//! other, and a running covariance keeps projections apart.
//!
//! ```text
//! C    = β C + (1 − β) z_xᵀ z_x / n
//! loss = 1 − mean ⟨z_x, sg z̄_y⟩ + ρ mean z_xᵀ C z_x          for unit z
//! ```

use burn::tensor::{Device, Tensor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::encoder_projector::EncoderProjector;
use super::two_views::{self, PairSampler, Views};
use super::{InitContext, Initialised, Method, Recipe};
use crate::loss::TiCo as Constants;
use crate::loss::tico::tico;
use crate::nn::mlp::{LastLayer, Widths};
use crate::train::data_parallel::{StepContext, StepOutput, gathered};
use crate::train::ema;
use crate::train::state::SavedState;
use crate::validate::ensure;
use crate::{AugmentConfig, Clips, EncoderShape, FrameEncoder, Input, Result};

/// The `[model.method]` table of `name = "tico"`.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the two views come from.
    pub views: Views,
    /// Augmentation, where `views` asks for it.
    pub augment: AugmentConfig,
    /// Widths of the projector's layers.
    pub projector: Widths,
    /// First momentum of the teacher; it rises to 1 along a cosine.
    pub momentum: f64,
    /// The criterion's constants.
    pub loss: Constants,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            views: Views::default(),
            augment: AugmentConfig::default(),
            projector: "4096-256".into(),
            momentum: 0.99,
            loss: Constants::default(),
        }
    }
}

impl Recipe for Config {
    type Method = Tico;

    fn validate(&self, shape: &EncoderShape, input: &Input) -> Result<()> {
        ensure((0.0..=1.0).contains(&self.momentum), "momentum", "must lie in 0..=1")?;
        self.loss.validate()?;
        two_views::validate(self.views, &self.augment, shape, input)
    }

    fn init(&self, context: &InitContext) -> Initialised<Tico> {
        let InitContext { shape, device, .. } = context;
        let mut init = context.init();
        let student = EncoderProjector::new(shape, &self.projector, LastLayer::NoBias, &mut init);
        let teacher = student.teacher(shape, &self.projector, LastLayer::NoBias, device);
        let width = self.projector.output();
        let method = Tico {
            pairs: PairSampler::new(self.views, &self.augment, context),
            momentum: self.momentum,
            loss: self.loss,
            covariance: Tensor::zeros([width, width], device),
        };
        Initialised { method, student, teacher }
    }
}

/// TiCo with its running covariance.
pub(crate) struct Tico {
    pairs: PairSampler,
    momentum: f64,
    loss: Constants,
    /// C, `[d, d]`.
    covariance: Tensor<2>,
}

impl Method for Tico {
    type Student = EncoderProjector;
    type Teacher = EncoderProjector;

    fn step(
        &mut self,
        student: &EncoderProjector,
        teacher: &EncoderProjector,
        clips: &Clips,
        context: &StepContext,
    ) -> StepOutput {
        let views = self.pairs.sample(clips, context);
        let [x, y] = [0, 1].map(|view| {
            two_views::split(views.clone().narrow(1, view, 1), &student.encoder, context)
        });
        let encoded = gathered(student, context, x, EncoderProjector::encode);
        let [target] = teacher.teacher_forward(y);

        encoded.loss(|student, embeddings| {
            let [z] = student.project(embeddings.clone());
            let before = self.covariance.clone();
            let (loss, covariance) = tico(z.clone(), target.clone(), before, &self.loss);
            self.covariance = covariance;
            two_views::losses(loss, embeddings, [z, target])
        })
    }

    fn followed(
        &self,
        student: &EncoderProjector,
        progress: f64,
    ) -> Option<(EncoderProjector, f64)> {
        Some((student.clone(), ema::cosine(self.momentum, progress)))
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

    fn save_state(&self, state: &mut SavedState) {
        state.put("covariance", self.covariance.clone());
    }

    fn load_state(
        &mut self,
        state: &mut SavedState,
        device: &Device,
    ) -> std::result::Result<(), String> {
        self.covariance = state.take("covariance", device)?;
        Ok(())
    }
}
