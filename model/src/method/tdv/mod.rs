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
//! Where the paper and the authors' program disagree, ARCHITECTURE.md says what is done here.

pub(crate) mod motion_encoder;
#[cfg(test)]
mod reference;

pub use motion_encoder::MotionEncoder;

use std::path::Path;

use burn::module::{Module, ParamGroup};
use burn::nn::Linear;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::{LearningRate, Method, Ratio, Recalled, Setting};
use crate::export::safetensors;
use crate::loss::{Distillation, Losses, PrototypeLogits, distillation, mean_squared};
use crate::train::data_parallel::{self, Done, Work, apart};
use crate::train::ema;
use crate::train::nan_trace::watched;
use crate::train::state::tensors::Kept;
use crate::validate::{ensure, is_positive};
use crate::{
    Clips, DinoHead, DinoHeadConfig, EncoderChoice, EncoderShape, FrameEncoder, Init, Input,
    Result, Vit, VitShape,
};

/// The `[model.method]` table of `name = "tdv"`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What the motion encoder sees; the paper's ablations are the others.
    pub motion: Motion,
    /// Blocks of the motion encoder; by default as many as the frame encoder has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub motion_depth: Option<usize>,
    /// The multiple of the learning rate that the motion encoder and its projection learn at.
    /// The authors' script has 0.03; the paper names none, which is 1.
    pub motion_learning_rate: f64,
    /// The prototypes.
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

/// What the motion encoder sees.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Motion {
    /// The difference of the two frames: the method.
    #[default]
    Difference,
    /// The next frame itself, which the paper found to collapse (section B.1).
    Frame,
    /// Nothing: there is no motion encoder, and a frame predicts the next. Collapses (table 4).
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

impl Config {
    pub(super) fn validate(&self, shape: &EncoderShape, input: &Input) -> Result<()> {
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

    /// Fresh networks.
    pub(crate) fn init(&self, setting: &Setting) -> (Tdv, Student) {
        let shape = setting.shape.vit().expect("was validated");
        let device = &setting.device;
        let mut init = setting.init();
        let motion = VitShape { depth: self.motion_depth.unwrap_or(shape.depth), ..shape };
        let frame_encoder = shape.init(&mut init);
        let looks = self.motion != Motion::None;
        let student = Student {
            motion_encoder: looks.then(|| MotionEncoder::new(&motion, &mut init)),
            motion_proj: looks.then(|| init.default_linear(shape.dim, shape.dim)),
            head: self.head.init(shape.dim, &mut init),
            frame_encoder,
        };
        // The teacher's encoder starts as a copy, its head on its own, as the authors' does.
        let mut init = Init::new(setting.seed.wrapping_add(1), device);
        let teacher_encoder = ema::update(shape.init(&mut init), &student.frame_encoder, 0.0);
        let teacher_head = self.head.init(shape.dim, &mut init);
        let centre = Tensor::zeros([1, self.head.prototypes], device);
        let teacher = Teacher { teacher_encoder, teacher_head };
        (Tdv { config: self.clone(), teacher, centre }, student)
    }
}

/// The networks that learn.
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
    teacher_encoder: Vit,
    teacher_head: DinoHead,
}

/// The method's state beside the student.
pub(crate) struct Tdv {
    config: Config,
    teacher: Teacher,
    /// Running mean of the teacher's logits, `[1, prototypes]`, shared by CLS and patches.
    centre: Tensor<2>,
}

/// What the student sees of a part: tokens `[pairs, 1 + patches, d]`, tracked.
pub(super) struct Seen {
    /// z: the frame.
    pub(super) frame: Tensor<3>,
    /// Δz: its motion.
    pub(super) motion: Option<Tensor<3>>,
}

impl Seen {
    /// ẑ = z + Δz.
    fn predicted(&self) -> Tensor<3> {
        let frame = self.frame.clone();
        self.motion.iter().fold(frame, |frame, motion| frame + motion.clone())
    }
}

/// What the teacher says of a part.
pub(super) struct Targets {
    /// z̄: the next frame, `[pairs, 1 + patches, d]`.
    next: Tensor<3>,
    /// The next frame on the sphere of the prototypes, `[pairs, 1 + patches, bottleneck]`.
    points: Tensor<3>,
    /// The teacher's prototypes.
    prototypes: Tensor<2>,
    /// The centres for `[CLS]` and for the patches.
    centres: [Tensor<2>; 2],
}

impl Tdv {
    /// z and Δz of all neighbouring pairs of all clips, one step each (equations 1 to 3).
    pub(super) fn see(&self, student: &Student, clips: &Clips) -> Seen {
        let pairs = clips.frames_per_clip() - 1;
        let (past, next) = (clips.frames(0, pairs), clips.frames(1, pairs));
        let frame = student.frame_encoder.forward(Tensor::from_inner(past.clone()));
        let shown = if self.config.motion == Motion::Frame { next } else { next - past };
        let motion = student.motion_encoder.as_ref().map(|encoder| {
            let motion = encoder.forward(Tensor::from_inner(shown), frame.clone());
            student.motion_proj.iter().fold(motion, |motion, proj| watched::linear(proj, motion))
        });
        Seen { frame, motion }
    }

    /// Tokens of a frame.
    pub(super) fn tokens(&self) -> usize {
        self.teacher.teacher_encoder.tokens()
    }

    /// The teacher's tokens of frames `[n, 3, h, w]`.
    pub(super) fn encode_ahead(&self, frames: Tensor<4>) -> Tensor<3> {
        self.teacher.teacher_encoder.forward(frames)
    }

    /// z̄ of the same pairs (equation 5), and where the head puts it.
    fn look_ahead(&self, clips: &Clips) -> [Tensor<3>; 2] {
        let pairs = clips.frames_per_clip() - 1;
        let next = self.teacher.teacher_encoder.forward(clips.frames(1, pairs));
        let [rows, tokens, _] = next.dims();
        let points = self.teacher.teacher_head.project(next.clone().flatten(0, 1));
        [next, points.reshape([rows as i32, tokens as i32, -1])]
    }

    /// Moves the centre towards the mean of the teacher's logits; gives the centre before.
    ///
    /// A logit is linear in the point, so that the mean point gives the mean logit.
    fn move_centre(&mut self, points: &[Tensor<3>], prototypes: &Tensor<2>) -> Tensor<2> {
        let all = Tensor::cat(points.to_vec(), 0).flatten::<2>(0, 1);
        let mean = all.mean_dim(0).matmul(prototypes.clone().transpose());
        let momentum = self.config.centre_momentum;
        let moved = self.centre.clone() * momentum + mean * (1.0 - momentum);
        std::mem::replace(&mut self.centre, moved)
    }

    /// The cross-entropy on `[CLS]` and on the patches (equation 7).
    fn cross_entropies(
        &self,
        student: &Student,
        predicted: Tensor<3>,
        targets: &Targets,
    ) -> [Distillation; 2] {
        let prototypes = student.head.prototypes();
        let [cls_centre, patch_centre] = &targets.centres;
        [(CLS, cls_centre), (PATCHES, patch_centre)].map(|(part, centre)| {
            let student = PrototypeLogits {
                tokens: student.head.project(part(&predicted).flatten(0, 1)),
                prototypes: prototypes.clone(),
                temperature: self.config.student_temperature,
            };
            let teacher = PrototypeLogits {
                tokens: part(&targets.points).flatten(0, 1),
                prototypes: targets.prototypes.clone(),
                temperature: self.config.teacher_temperature,
            };
            distillation(&student, &teacher, centre, self.config.head.chunk)
        })
    }
}

/// A choice among the tokens of an image.
type Part = fn(&Tensor<3>) -> Tensor<3>;
const CLS: Part = |tokens| tokens.clone().narrow(1, 0, 1);
const PATCHES: Part = |tokens| tokens.clone().narrow(1, 1, tokens.dims()[1] - 1);

impl Tdv {
    /// The centre is shared by `[CLS]` and patches, and moves after each of the two.
    pub(super) fn targets(&mut self, parts: &[Clips]) -> Vec<Targets> {
        let prototypes = self.teacher.teacher_head.prototypes();
        let ahead = data_parallel::map(parts.to_vec(), |part| self.look_ahead(&part));
        let centres = [CLS, PATCHES].map(|part| {
            let points: Vec<_> = ahead.iter().map(|[_, points]| part(points)).collect();
            self.move_centre(&points, &prototypes)
        });
        let targets = ahead.into_iter().map(|[next, points]| {
            let (prototypes, centres) = (prototypes.clone(), centres.clone());
            Targets { next, points, prototypes, centres }
        });
        targets.collect()
    }

    /// The losses of a part of `n` clips, from what the student and the teacher saw of it.
    pub(super) fn measure(
        &self,
        student: &Student,
        seen: Seen,
        n: usize,
        targets: Targets,
    ) -> Losses {
        let predicted = seen.predicted();
        let mse = mean_squared(predicted.clone(), Tensor::from_inner(targets.next.clone()));
        let [cls, patches] = self.cross_entropies(student, predicted.clone(), &targets);
        let Config { mse_coeff, cls_coeff, patch_coeff, .. } = self.config;
        let total = mse.clone() * mse_coeff
            + cls.loss.clone() * cls_coeff
            + patches.loss.clone() * patch_coeff;

        let (frame, predicted, next) = (seen.frame.inner(), predicted.inner(), targets.next);
        let errors = a_clip(n, predicted.clone() - next.clone());
        let copy_errors = a_clip(n, frame.clone() - next.clone());
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

/// TDV's motion encoder and its projection, at a multiple of the learning rate.
pub(super) fn motion_group(networks: impl Module, multiplier: f64) -> LearningRate {
    let group = ParamGroup::ids_from_module(networks);
    LearningRate { name: "learning_rate_motion", group, multiplier }
}

impl Method for Tdv {
    type Student = Student;

    fn has_teacher(&self) -> bool {
        true
    }

    fn step(&mut self, student: &Student, clips: &Clips, work: &Work) -> Done {
        let parts = clips.chunks(work.parts);
        let targets = self.targets(&parts);
        let parts = parts.into_iter().zip(targets).map(|(part, it)| (part.len(), (part, it)));
        apart(student, work, parts.collect(), |student, (part, targets)| {
            self.measure(student, self.see(student, &part), part.len(), targets)
        })
    }

    fn least_frames(&self) -> usize {
        2
    }

    fn uses_all_frames(&self) -> bool {
        true
    }

    fn ratios(&self) -> &'static [Ratio] {
        &[Ratio { name: "copy_ratio", term: "mse", over: "copy_mse" }]
    }

    fn after_step(&mut self, student: &Student, _: f64) {
        let Teacher { teacher_encoder, teacher_head } = self.teacher.clone();
        let momentum = self.config.momentum;
        self.teacher = Teacher {
            teacher_encoder: ema::update(teacher_encoder, &student.frame_encoder, momentum),
            teacher_head: ema::update(teacher_head, &student.head, momentum),
        };
    }

    fn encoder(&self, student: &Student, choice: EncoderChoice) -> FrameEncoder {
        FrameEncoder::Vit(match choice {
            EncoderChoice::Teacher => self.teacher.teacher_encoder.clone(),
            EncoderChoice::Student => student.frame_encoder.valid(),
        })
    }

    fn learning_rates(&self, student: &Student) -> Vec<LearningRate> {
        let networks = (student.motion_encoder.clone(), student.motion_proj.clone());
        vec![motion_group(networks, self.config.motion_learning_rate)]
    }

    fn parameters(&self, student: &Student) -> Vec<(&'static str, usize)> {
        vec![
            ("frame encoder", student.frame_encoder.num_params()),
            ("motion encoder", student.motion_encoder.num_params()),
            ("motion projection", student.motion_proj.num_params()),
            ("head", student.head.num_params()),
        ]
    }

    fn save_teacher(&self, folder: &Path) -> Result<()> {
        safetensors::save(&self.teacher, &folder.join("teacher.safetensors"))
    }

    fn load_teacher(&mut self, folder: &Path) -> Result<()> {
        self.teacher =
            safetensors::load(self.teacher.clone(), &folder.join("teacher.safetensors"))?;
        Ok(())
    }

    fn remember(&self, kept: &mut Kept) {
        kept.put("centre", self.centre.clone());
    }

    fn recall(&mut self, kept: &mut Kept, device: &Device) -> Recalled {
        self.centre = kept.take("centre", device)?;
        Ok(())
    }
}

/// The mean square of `[n · pairs, tokens, d]` a clip, `[n]`.
fn a_clip(n: usize, difference: Tensor<3>) -> Tensor<1> {
    difference.square().reshape([n as i32, -1]).mean_dim(1).squeeze_dim(1)
}
