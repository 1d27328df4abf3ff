//! An experiment that is in no paper: TDV whose tokens are kept from collapsing by SIGReg,
//! LeJEPA's regulariser, in the place of prototypes, a centre and a teacher.
//!
//! ```text
//! ẑ    = z_t + Δz_t                                     as in TDV
//! loss = 1.5 ‖ẑ − sg f(x_{t+1})‖² + λ sigreg(p(CLS)) + λ sigreg(p(one patch))
//! ```
//!
//! TDV's paper names SIGReg as future work (section B.1). The test of normality has one frame of
//! each clip, because the frames of a clip are not independent: it needs batches of many clips.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Int, Tensor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::joint_embedding::directions;
use super::tdv::{COPY_RATIO, motion_learning_rate, squares_per_clip};
use super::{InitContext, Initialised, LearningRate, Method, NoTeacher, Ratio, Recipe};
use crate::loss::{SigReg, mean_squared, sigreg::sigreg};
use crate::method::Losses;
use crate::nn::batch_norm::NormMode;
use crate::nn::mlp::{LastLayer, NormedMlp, Widths};
use crate::nn::parameters;
use crate::train::data_parallel::{StepContext, StepOutput, gathered};
use crate::train::nan_trace::watched;
use crate::train::random::{self, Draws, Stage};
use crate::validate::{ensure, is_positive};
use crate::{Clips, EncoderShape, FrameEncoder, Input, MotionEncoder, Result, Vit};

/// The `[model.method]` table of `name = "tdv-sigreg"`.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The multiple of the learning rate for the motion encoder and its projection.
    pub motion_learning_rate: f64,
    /// Weight of the mean squared error of the prediction.
    pub mse_coeff: f64,
    /// Weight λ of the regulariser, on `[CLS]` and on a patch each.
    pub lambda: f64,
    /// Random directions of the test of normality, drawn at every step.
    pub directions: usize,
    /// Widths of the projector before the test.
    pub projector: Widths,
    /// The test.
    pub sigreg: SigReg,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            motion_learning_rate: 1.0,
            mse_coeff: 1.5,
            lambda: 0.05,
            directions: 256,
            projector: "2048-2048-128".into(),
            sigreg: SigReg::default(),
        }
    }
}

impl Recipe for Config {
    type Method = TdvSigReg;

    fn validate(&self, shape: &EncoderShape, input: &Input) -> Result<()> {
        shape.vit()?;
        let message = "tdv-sigreg needs pipeline.clip.frames of at least 2";
        ensure(input.frames >= 2, "name", message)?;
        self.sigreg.validate()?;
        ensure(self.directions > 0, "directions", "must be at least 1")?;
        ensure(is_positive(self.mse_coeff), "mse_coeff", "must be above 0")?;
        ensure(self.lambda >= 0.0 && self.lambda.is_finite(), "lambda", "must be 0 or more")
    }

    fn init(&self, context: &InitContext) -> Initialised<TdvSigReg> {
        let shape = context.shape.vit().expect("was validated");
        let mut init = context.init();
        let student = Student {
            frame_encoder: shape.init(&mut init),
            motion_encoder: MotionEncoder::new(&shape, &mut init),
            motion_proj: init.default_linear(shape.dim, shape.dim),
            projector: NormedMlp::new(shape.dim, &self.projector, LastLayer::NoBias, &mut init),
        };
        let method = TdvSigReg { config: self.clone(), seed: context.seed };
        Initialised { method, student, teacher: NoTeacher {} }
    }
}

/// The networks that the optimizer trains.
#[derive(Module, Debug)]
pub(crate) struct Student {
    frame_encoder: Vit,
    motion_encoder: MotionEncoder,
    motion_proj: Linear,
    projector: NormedMlp,
}

/// TDV with SIGReg, and its seed.
pub(crate) struct TdvSigReg {
    config: Config,
    seed: u64,
}

impl Student {
    /// Tokens of all frames of clips `[n, t, 3, h, w]`, and predictions of all but the first:
    /// `[n, t + t − 1, tokens, d]`.
    fn predict(&self, clips: Tensor<5>) -> Tensor<4> {
        let [n, t, c, h, w] = clips.dims();
        let next = clips.clone().narrow(1, 1, t - 1);
        let difference = next - clips.clone().narrow(1, 0, t - 1);
        let z = self.frame_encoder.forward(clips.flatten::<4>(0, 1));
        let [_, tokens, d] = z.dims();
        let z: Tensor<4> = z.reshape([n, t, tokens, d]);
        let past: Tensor<3> = z.clone().narrow(1, 0, t - 1).flatten(0, 1);
        let difference = difference.reshape([n * (t - 1), c, h, w]);
        let motion = self.motion_encoder.forward(difference, past.clone());
        let predicted = past + watched::linear(&self.motion_proj, motion);
        Tensor::cat(vec![z, predicted.reshape([n, t - 1, tokens, d])], 1)
    }
}

impl TdvSigReg {
    /// The regulariser on `[CLS]` and on one patch, of a random frame of each clip.
    fn regulariser(
        &self,
        student: &Student,
        z: &Tensor<4>,
        context: &StepContext,
    ) -> [Tensor<1>; 2] {
        let [n, t, tokens, d] = z.dims();
        let device = context.autodiff.clone().inner();
        let mut draws = Draws::at(self.seed, context.micro_batch, Stage::Fixate, &device);
        let places = draws.each([n, 1], |rng| {
            let below = |rng: &mut _, count: usize| {
                let unit = random::uniform(rng, [0.0, 1.0]);
                ((unit * count as f32) as usize).min(count - 1)
            };
            (below(rng, t), 1 + below(rng, tokens - 1))
        });
        let flat: Tensor<2> = z.clone().reshape([n * t * tokens, d]);
        let project = |token: fn(usize) -> usize| {
            let rows = places
                .iter()
                .enumerate()
                .map(|(clip, (frame, patch))| ((clip * t + frame) * tokens + token(*patch)) as i64);
            let rows: Vec<i64> = rows.collect();
            let rows = Tensor::<1, Int>::from_data(rows.as_slice(), &flat.device());
            student.projector.forward(flat.clone().select(0, rows), NormMode::Train)
        };
        let shape = [self.config.projector.output(), self.config.directions];
        let directions = directions(shape, self.seed, context);
        [project(|_| 0), project(|patch| patch)]
            .map(|rows| sigreg(rows, directions.clone(), &self.config.sigreg))
    }
}

impl Method for TdvSigReg {
    type Student = Student;
    type Teacher = NoTeacher;

    fn step(
        &mut self,
        student: &Student,
        _: &NoTeacher,
        clips: &Clips,
        context: &StepContext,
    ) -> StepOutput {
        let n = clips.len();
        let encoded =
            gathered(student, context, clips.all().chunk(context.parts, 0), Student::predict);

        encoded.loss(|student, tokens| {
            let frames = tokens.dims()[1].div_ceil(2);
            let z = tokens.clone().narrow(1, 0, frames);
            let predicted = tokens.narrow(1, frames, frames - 1);
            let next = z.clone().narrow(1, 1, frames - 1).detach();
            let mse = mean_squared(predicted.clone(), next.clone());
            let [cls, patch] = self.regulariser(student, &z, context);
            let regulariser = (cls.clone() + patch.clone()) * self.config.lambda;
            let total = mse.clone() * self.config.mse_coeff + regulariser;

            let (z, predicted, next) = (z.inner(), predicted.inner(), next.inner());
            let past = z.clone().narrow(1, 0, frames - 1);
            let errors = squares_per_clip(n, predicted.clone() - next.clone());
            let copy_errors = squares_per_clip(n, past - next);
            Losses {
                total,
                terms: vec![
                    ("mse", mse.inner()),
                    ("copy_mse", copy_errors.clone().mean()),
                    ("sigreg_cls", cls.inner()),
                    ("sigreg_patch", patch.inner()),
                ],
                per_clip: vec![("mse", errors), ("copy_mse", copy_errors)],
                projections: Some(predicted.clone().narrow(2, 0, 1).flatten(0, 2)),
                tokens: vec![("frame", z.flatten(0, 1)), ("predicted", predicted.flatten(0, 1))],
            }
        })
    }

    fn least_frames(&self) -> usize {
        2
    }

    fn uses_all_frames(&self) -> bool {
        true
    }

    fn frame_encoder(student: &Student) -> FrameEncoder {
        FrameEncoder::Vit(student.frame_encoder.clone())
    }

    fn ratios(&self) -> &'static [Ratio] {
        COPY_RATIO
    }

    fn learning_rates(&self, student: &Student) -> Vec<LearningRate> {
        let networks = (student.motion_encoder.clone(), student.motion_proj.clone());
        vec![motion_learning_rate(networks, self.config.motion_learning_rate)]
    }

    fn parameters(&self, student: &Student) -> Vec<(&'static str, usize)> {
        vec![
            ("frame encoder", parameters::count(&student.frame_encoder)),
            ("motion encoder", parameters::count(&student.motion_encoder)),
            ("motion projection", parameters::count(&student.motion_proj)),
            ("projector", parameters::count(&student.projector)),
        ]
    }
}
