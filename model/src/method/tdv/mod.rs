//! TDV, Temporal Difference in Vision (Daithankar et al., 2026, arXiv 2606.15956): the
//! representation of a frame plus its encoded motion is the representation of the next frame.
//!
//! ```text
//! z_t   = f(x_t)                          frame encoder
//! Δz_t  = W m(x_{t+1} − x_t ; z_t) + b    motion encoder, attending to z_t
//! ẑ     = z_t + Δz_t
//! z̄     = f̄(x_{t+1})                      teacher, no gradient
//! loss  = 1.5 ‖ẑ − z̄‖² + 0.75 ce(CLS) + 0.75 ce(patches)
//! ```
//!
//! Where the paper and the authors' program differ, `docs/methods.md` says which one this follows.

mod config;
pub(crate) mod motion_encoder;
#[cfg(test)]
mod reference;
mod targets;

pub use config::{Config, Motion};
pub use motion_encoder::MotionEncoder;

use burn::module::{Module, ParamGroup};
use burn::nn::Linear;
use burn::tensor::{Device, Tensor};

use super::{LearningRate, Method, Ratio};
use crate::loss::{Distillation, PrototypeLogits, distillation, mean_squared};
use crate::method::Losses;
use crate::train::data_parallel::{StepContext, StepOutput, independent};
use crate::train::nan_trace::watched;
use crate::train::state::SavedState;
use crate::{Clips, DinoHead, FrameEncoder, Vit};
pub(super) use targets::Targets;

/// The networks that the optimizer trains.
#[derive(Module, Debug)]
pub(crate) struct Student {
    pub(super) frame_encoder: Vit,
    motion_encoder: Option<MotionEncoder>,
    pub(super) motion_proj: Option<Linear>,
    head: DinoHead,
}

/// Their moving averages.
#[derive(Module, Debug)]
pub(crate) struct Teacher {
    pub(super) teacher_encoder: Vit,
    teacher_head: DinoHead,
}

impl super::Teacher for Teacher {
    fn frame_encoder(&self) -> Option<FrameEncoder> {
        Some(FrameEncoder::Vit(self.teacher_encoder.clone()))
    }
}

/// TDV with its running centre.
pub(crate) struct Tdv {
    config: Config,
    /// Running mean of the teacher's logits, `[1, prototypes]`, shared by CLS and patches.
    centre: Tensor<2>,
}

/// What the student gives for a part: tokens `[pairs, 1 + patches, d]`.
pub(super) struct Prediction {
    /// z: the frame.
    pub(super) frame: Tensor<3>,
    /// Δz: its motion.
    pub(super) motion: Option<Tensor<3>>,
}

impl Prediction {
    /// ẑ = z + Δz.
    fn next(&self) -> Tensor<3> {
        let frame = self.frame.clone();
        self.motion.iter().fold(frame, |frame, motion| frame + motion.clone())
    }
}

/// A selection of the tokens of an image.
type Select = fn(&Tensor<3>) -> Tensor<3>;
const CLS: Select = |tokens| tokens.clone().narrow(1, 0, 1);
const PATCHES: Select = |tokens| tokens.clone().narrow(1, 1, tokens.dims()[1] - 1);

impl Tdv {
    /// z and Δz of all pairs of neighbouring frames (equations 1 to 3).
    pub(super) fn predict(&self, student: &Student, clips: &Clips) -> Prediction {
        let pairs = clips.frames_per_clip() - 1;
        let [past, next] = [0, 1].map(|from| Tensor::from_inner(clips.frames(from, pairs)));
        let frame = student.frame_encoder.forward(past.clone());
        let input = if self.config.motion == Motion::Frame { next } else { next - past };
        let motion = student.motion_encoder.as_ref().map(|encoder| {
            let motion = encoder.forward(input, frame.clone());
            student.motion_proj.iter().fold(motion, |motion, proj| watched::linear(proj, motion))
        });
        Prediction { frame, motion }
    }

    /// The cross-entropy on `[CLS]` and on the patches (equation 7).
    fn cross_entropies(
        &self,
        student: &Student,
        predicted: &Tensor<3>,
        targets: &Targets,
    ) -> [Distillation; 2] {
        let prototypes = student.head.prototypes();
        let [cls_centre, patch_centre] = &targets.centres;
        [(CLS, cls_centre), (PATCHES, patch_centre)].map(|(select, centre)| {
            let student = PrototypeLogits {
                tokens: student.head.project(select(predicted).flatten(0, 1)),
                prototypes: prototypes.clone(),
                temperature: self.config.student_temperature,
            };
            let teacher = PrototypeLogits {
                tokens: select(&targets.points).flatten(0, 1),
                prototypes: targets.prototypes.clone(),
                temperature: self.config.teacher_temperature,
            };
            distillation(&student, &teacher, centre, self.config.head.chunk)
        })
    }

    /// The losses of a part of `n` clips.
    pub(super) fn loss(
        &self,
        student: &Student,
        prediction: Prediction,
        targets: Targets,
        n: usize,
    ) -> Losses {
        let predicted = prediction.next();
        let mse = mean_squared(predicted.clone(), Tensor::from_inner(targets.next.clone()));
        let [cls, patches] = self.cross_entropies(student, &predicted, &targets);
        let Config { mse_coeff, cls_coeff, patch_coeff, .. } = self.config;
        let total = mse.clone() * mse_coeff
            + cls.loss.clone() * cls_coeff
            + patches.loss.clone() * patch_coeff;

        let (frame, predicted, next) = (prediction.frame.inner(), predicted.inner(), targets.next);
        let errors = squares_per_clip(n, predicted.clone() - next.clone());
        let copy_errors = squares_per_clip(n, frame.clone() - next.clone());
        Losses {
            total,
            terms: vec![
                ("mse", mse.inner()),
                ("ce_cls", cls.loss.inner()),
                ("ce_patch", patches.loss.inner()),
                ("copy_mse", copy_errors.clone().mean()),
                ("teacher_entropy_cls", cls.entropy),
                ("teacher_entropy_patch", patches.entropy),
            ],
            per_clip: vec![("mse", errors), ("copy_mse", copy_errors)],
            projections: Some(CLS(&predicted).flatten(0, 1)),
            tokens: vec![("frame", frame), ("predicted", predicted), ("teacher", next)],
        }
    }
}

impl Method for Tdv {
    type Student = Student;
    type Teacher = Teacher;

    fn step(
        &mut self,
        student: &Student,
        teacher: &Teacher,
        clips: &Clips,
        context: &StepContext,
    ) -> StepOutput {
        let parts = clips.chunks(context.parts);
        // The teacher is first, because its centre moves with all parts together.
        let targets = self.targets(teacher, &parts);
        let parts = parts.into_iter().zip(targets).map(|(clips, it)| (clips.len(), (clips, it)));

        independent(student, context, parts.collect(), |student, (clips, targets)| {
            let prediction = self.predict(student, &clips);
            self.loss(student, prediction, targets, clips.len())
        })
    }

    fn followed(&self, student: &Student, _: f64) -> Option<(Teacher, f64)> {
        let teacher_encoder = student.frame_encoder.clone();
        let followed = Teacher { teacher_encoder, teacher_head: student.head.clone() };
        Some((followed, self.config.momentum))
    }

    fn frame_encoder(student: &Student) -> FrameEncoder {
        FrameEncoder::Vit(student.frame_encoder.clone())
    }

    fn least_frames(&self) -> usize {
        2
    }

    fn uses_all_frames(&self) -> bool {
        true
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
            ("frame encoder", student.frame_encoder.num_params()),
            ("motion encoder", student.motion_encoder.num_params()),
            ("motion projection", student.motion_proj.num_params()),
            ("head", student.head.num_params()),
        ]
    }

    fn save_state(&self, state: &mut SavedState) {
        state.put("centre", self.centre.clone());
    }

    fn load_state(
        &mut self,
        state: &mut SavedState,
        device: &Device,
    ) -> std::result::Result<(), String> {
        self.centre = state.take("centre", device)?;
        Ok(())
    }
}

/// The error of the prediction relative to that of copying the frame.
pub(super) const COPY_RATIO: &[Ratio] =
    &[Ratio { name: "copy_ratio", term: "mse", over: "copy_mse" }];

/// The motion encoder and its projection, at a multiple of the learning rate.
pub(super) fn motion_learning_rate(networks: impl Module, multiplier: f64) -> LearningRate {
    let group = ParamGroup::ids_from_module(networks);
    LearningRate { name: "learning_rate_motion", group, multiplier }
}

/// The mean square of each of `n` clips, `[n]`, of a difference `[n · pairs, ..]` or `[n, ..]`.
pub(super) fn squares_per_clip<const D: usize>(n: usize, difference: Tensor<D>) -> Tensor<1> {
    difference.square().reshape([n as i32, -1]).mean_dim(1).squeeze_dim(1)
}
