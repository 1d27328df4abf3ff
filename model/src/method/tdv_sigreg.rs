//! An experiment, off the paths of the papers: TDV whose tokens are kept from collapsing by
//! SIGReg, LeJEPA's regulariser, in the place of prototypes, a centre and a teacher.
//!
//! ```text
//! ẑ    = z_t + Δz_t                                     as in TDV
//! loss = 1.5 ‖ẑ − sg f(x_{t+1})‖² + λ sigreg(p(CLS)) + λ sigreg(p(one patch))
//! ```
//!
//! TDV's paper names SIGReg as future work (section B.1). A clip gives the test of normality one
//! frame, because the frames of a clip are not independent: batches want many clips.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Int, Tensor};
use serde::{Deserialize, Serialize};

use super::joint_embedding::directions;
use super::tdv::motion_group;
use super::{LearningRate, Method, Ratio, Setting};
use crate::loss::{Losses, SigReg, mean_squared, sigreg::sigreg};
use crate::nn::batch_norm::NormMode;
use crate::nn::mlp::{LastLayer, NormedMlp, Widths};
use crate::nn::parameters;
use crate::train::data_parallel::{Done, Work, together};
use crate::train::nan_trace::watched;
use crate::train::random::{self, Draws, Stage};
use crate::validate::{ensure, is_positive};
use crate::{Clips, EncoderChoice, EncoderShape, FrameEncoder, Input, MotionEncoder, Result, Vit};

/// The `[model.method]` table of `name = "tdv-sigreg"`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The multiple of the learning rate that the motion encoder and its projection learn at.
    pub motion_learning_rate: f64,
    /// Weight of the mean squared error of the prediction.
    pub mse_coeff: f64,
    /// Weight λ of the regulariser, on `[CLS]` and on a patch each.
    pub lambda: f64,
    /// Directions that normality is tested along, redrawn every step.
    pub directions: usize,
    /// Widths of what is tested.
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

impl Config {
    pub(super) fn validate(&self, shape: &EncoderShape, input: &Input) -> Result<()> {
        shape.vit()?;
        let message = "tdv-sigreg needs pipeline.clip.frames of at least 2";
        ensure(input.frames >= 2, "name", message)?;
        self.sigreg.validate()?;
        ensure(self.directions > 0, "directions", "must be at least 1")?;
        ensure(is_positive(self.mse_coeff), "mse_coeff", "must be above 0")?;
        ensure(self.lambda >= 0.0 && self.lambda.is_finite(), "lambda", "must be 0 or more")
    }

    /// Fresh networks.
    pub(crate) fn init(&self, setting: &Setting) -> (TdvSigReg, Student) {
        let shape = setting.shape.vit().expect("was validated");
        let mut init = setting.init();
        let student = Student {
            frame_encoder: shape.init(&mut init),
            motion_encoder: MotionEncoder::new(&shape, &mut init),
            motion_proj: init.default_linear(shape.dim, shape.dim),
            projector: NormedMlp::new(shape.dim, &self.projector, LastLayer::NoBias, &mut init),
        };
        (TdvSigReg { config: self.clone(), seed: setting.seed }, student)
    }
}

/// The networks that learn.
#[derive(Module, Debug)]
pub(crate) struct Student {
    frame_encoder: Vit,
    motion_encoder: MotionEncoder,
    motion_proj: Linear,
    projector: NormedMlp,
}

/// The method's state beside the student: there is none that changes.
pub(crate) struct TdvSigReg {
    config: Config,
    seed: u64,
}

impl Student {
    /// Tokens of all frames and predictions of all but the first of `[n, t, 3, h, w]`, which
    /// nothing tracks: `[n, t + t − 1, tokens, d]`.
    fn see(&self, frames: Tensor<5>) -> Tensor<4> {
        let [n, t, c, h, w] = frames.dims();
        let next = frames.clone().narrow(1, 1, t - 1);
        let difference = next - frames.clone().narrow(1, 0, t - 1);
        let z = self.frame_encoder.forward(Tensor::from_inner(frames.flatten::<4>(0, 1)));
        let [_, tokens, d] = z.dims();
        let z: Tensor<4> = z.reshape([n, t, tokens, d]);
        let past: Tensor<3> = z.clone().narrow(1, 0, t - 1).flatten(0, 1);
        let shown = Tensor::from_inner(difference.reshape([n * (t - 1), c, h, w]));
        let motion = self.motion_encoder.forward(shown, past.clone());
        let predicted = past + watched::linear(&self.motion_proj, motion);
        Tensor::cat(vec![z, predicted.reshape([n, t - 1, tokens, d])], 1)
    }
}

impl TdvSigReg {
    /// The regulariser on a frame a clip: `[CLS]`, and one patch.
    fn regulariser(&self, student: &Student, z: &Tensor<4>, work: &Work) -> [Tensor<1>; 2] {
        let [n, t, tokens, d] = z.dims();
        let device = work.tracked.clone().inner();
        let mut draws = Draws::at(self.seed, work.number, Stage::Fixate, &device);
        let rows = draws.each([n, 1], |rng| {
            let below = |rng: &mut _, count: usize| {
                let unit = random::uniform(rng, [0.0, 1.0]);
                ((unit * count as f32) as usize).min(count - 1)
            };
            (below(rng, t), 1 + below(rng, tokens - 1))
        });
        let flat: Tensor<2> = z.clone().reshape([n * t * tokens, d]);
        let at = |place: fn((usize, usize)) -> usize| {
            let rows = rows.iter().enumerate();
            let rows: Vec<i64> =
                rows.map(|(clip, it)| ((clip * t + it.0) * tokens + place(*it)) as i64).collect();
            let rows = Tensor::<1, Int>::from_data(rows.as_slice(), &flat.device());
            student.projector.forward(flat.clone().select(0, rows), NormMode::Train)
        };
        let width = self.config.projector.output();
        let directions = directions([width, self.config.directions], self.seed, work);
        let directions = Tensor::from_inner(directions);
        [at(|_| 0), at(|it| it.1)].map(|it| sigreg(it, directions.clone(), &self.config.sigreg))
    }
}

impl Method for TdvSigReg {
    type Student = Student;

    fn has_teacher(&self) -> bool {
        false
    }

    fn step(&mut self, student: &Student, clips: &Clips, work: &Work) -> Done {
        let parts = clips.all().chunk(work.parts, 0);
        together(student, work, parts, Student::see, |student, seen| {
            let frames = seen.dims()[1].div_ceil(2);
            let z = seen.clone().narrow(1, 0, frames);
            let predicted = seen.narrow(1, frames, frames - 1);
            let next = z.clone().narrow(1, 1, frames - 1).detach();
            let mse = mean_squared(predicted.clone(), next.clone());
            let [cls, patch] = self.regulariser(student, &z, work);
            let regulariser = (cls.clone() + patch.clone()) * self.config.lambda;
            let total = mse.clone() * self.config.mse_coeff + regulariser;
            let (z, predicted, next) = (z.inner(), predicted.inner(), next.inner());
            let past = z.clone().narrow(1, 0, frames - 1);
            let errors = a_clip(predicted.clone() - next.clone());
            let copy_errors = a_clip(past - next);
            Losses {
                terms: vec![
                    ("mse", mse.inner()),
                    ("copy_mse", copy_errors.clone().mean()),
                    ("sigreg_cls", cls.inner()),
                    ("sigreg_patch", patch.inner()),
                ],
                per_clip: vec![("mse", errors), ("copy_mse", copy_errors)],
                projections: Some(predicted.clone().narrow(2, 0, 1).flatten(0, 2)),
                tokens: vec![("frame", z.flatten(0, 1)), ("predicted", predicted.flatten(0, 1))],
                ..Losses::of(total)
            }
        })
    }

    fn least_frames(&self) -> usize {
        2
    }

    fn uses_all_frames(&self) -> bool {
        true
    }

    fn encoder(&self, student: &Student, _: EncoderChoice) -> FrameEncoder {
        FrameEncoder::Vit(student.frame_encoder.valid())
    }

    fn ratios(&self) -> &'static [Ratio] {
        &[Ratio { name: "copy_ratio", term: "mse", over: "copy_mse" }]
    }

    fn learning_rates(&self, student: &Student) -> Vec<LearningRate> {
        let networks = (student.motion_encoder.clone(), student.motion_proj.clone());
        vec![motion_group(networks, self.config.motion_learning_rate)]
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

/// The mean square of `[n, pairs, tokens, d]` a clip, `[n]`.
fn a_clip(difference: Tensor<4>) -> Tensor<1> {
    difference.square().flatten::<2>(1, 3).mean_dim(1).squeeze_dim(1)
}
