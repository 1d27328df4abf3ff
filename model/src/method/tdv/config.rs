//! What a user can set of TDV, and its fresh networks.

use burn::tensor::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Student, Tdv, Teacher};
use crate::method::{InitContext, Initialised, Recipe};
use crate::train::ema;
use crate::validate::{ensure, is_positive};
use crate::{DinoHeadConfig, EncoderShape, Init, Input, MotionEncoder, Result, VitShape};

/// The `[model.method]` table of `name = "tdv"`.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "TdvConfig")]
pub struct Config {
    /// The input of the motion encoder. The paper's ablations are values of this key.
    pub motion: Motion,
    /// Blocks of the motion encoder; by default as many as the frame encoder has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub motion_depth: Option<usize>,
    /// The multiple of the learning rate for the motion encoder and its projection. The authors'
    /// script has 0.03; the paper does not mention one, which is 1.
    pub motion_learning_rate: f64,
    /// The head with the prototypes.
    pub head: DinoHeadConfig,
    /// Weight of the mean squared error of the prediction.
    pub mse_coeff: f64,
    /// Weight of the cross-entropy on `[CLS]`.
    pub cls_coeff: f64,
    /// Weight of the cross-entropy on the patches, a mean over all of them.
    pub patch_coeff: f64,
    /// Student temperature τ_s.
    pub student_temperature: f64,
    /// Teacher temperature τ_t; lower than τ_s sharpens, which the authors found worse.
    pub teacher_temperature: f64,
    /// Momentum of the teacher; the authors' script has 0.990025.
    pub momentum: f64,
    /// Momentum of the centre of the teacher's logits.
    pub centre_momentum: f64,
}

/// The input of the motion encoder.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Motion {
    /// The difference of the two frames: the method.
    #[default]
    Difference,
    /// The next frame itself, which collapses in the paper (section B.1).
    Frame,
    /// No motion encoder: a frame predicts the next. Collapses in the paper (table 4).
    None,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            motion: Motion::Difference,
            motion_depth: None,
            motion_learning_rate: 0.03,
            head: DinoHeadConfig::default(),
            mse_coeff: 1.5,
            cls_coeff: 0.75,
            patch_coeff: 0.75,
            student_temperature: 0.1,
            teacher_temperature: 0.1,
            momentum: 0.99,
            centre_momentum: 0.9,
        }
    }
}

impl Recipe for Config {
    type Method = Tdv;

    const CLIPS_INTERACT: bool = false;

    fn validate(&self, shape: &EncoderShape, input: &Input) -> Result<()> {
        shape.vit()?;
        ensure(input.frames > 1, "name", "tdv needs pipeline.clip.frames of at least 2")?;
        let momentum = |it: f64| (0.0..=1.0).contains(&it);
        let DinoHeadConfig { hidden, bottleneck, prototypes, chunk } = self.head;
        let sizes = [hidden, bottleneck, prototypes, chunk];
        let temperatures = [self.student_temperature, self.teacher_temperature].map(is_positive);
        let weights = [
            ("motion_learning_rate", self.motion_learning_rate),
            ("mse_coeff", self.mse_coeff),
            ("cls_coeff", self.cls_coeff),
            ("patch_coeff", self.patch_coeff),
        ];
        for (key, it) in weights {
            ensure(it >= 0.0 && it.is_finite(), key, "must be 0 or more")?;
        }
        ensure(self.motion_depth != Some(0), "motion_depth", "must be at least 1")?;
        ensure(momentum(self.momentum), "momentum", "must lie in 0..=1")?;
        ensure(momentum(self.centre_momentum), "centre_momentum", "must lie in 0..=1")?;
        ensure(temperatures[0], "student_temperature", "must be above 0")?;
        ensure(temperatures[1], "teacher_temperature", "must be above 0")?;
        ensure(!sizes.contains(&0), "head", "every size must be at least 1")
    }

    fn init(&self, context: &InitContext) -> Initialised<Tdv> {
        let shape = context.shape.vit().expect("was validated");
        let mut init = context.init();
        let motion = VitShape { depth: self.motion_depth.unwrap_or(shape.depth), ..shape };
        let frame_encoder = shape.init(&mut init);
        let has_motion = self.motion != Motion::None;
        let student = Student {
            motion_encoder: has_motion.then(|| MotionEncoder::new(&motion, &mut init)),
            motion_proj: has_motion.then(|| init.default_linear(shape.dim, shape.dim)),
            head: self.head.init(shape.dim, &mut init),
            frame_encoder,
        };
        // As in the authors' program, the teacher's encoder starts as a copy and its head does not.
        let mut init = Init::new(context.seed.wrapping_add(1), &context.device);
        let teacher = Teacher {
            teacher_encoder: ema::update(shape.init(&mut init), &student.frame_encoder, 0.0),
            teacher_head: self.head.init(shape.dim, &mut init),
        };
        let centre = Tensor::zeros([1, self.head.prototypes], &context.device);
        Initialised { method: Tdv { config: self.clone(), centre }, student, teacher }
    }
}
