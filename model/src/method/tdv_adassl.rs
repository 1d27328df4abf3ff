//! An experiment, off the paths of the papers: TDV whose motion goes through AdaSSL's latent
//! variable. TDV is AdaSSL-V with an additive editor whose r is the encoded motion, taken at
//! face value; here r is a few numbers a token, drawn, and paid for against a prior that sees
//! the frame alone. It gives TDV futures to sample, and its motion a bottleneck.
//!
//! ```text
//! r     ~ q(r | m(x_{t+1} − x_t ; z_t))     a Gaussian a token, of `dim` numbers
//! p     = p(r | z_t)
//! ẑ     = z_t + W r
//! loss  = ‖ẑ − z̄‖² + ce(CLS) + ce(patches)  as in TDV, + β KL(q ‖ p), a mean over tokens
//! ```

use std::path::Path;

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::activation::gelu;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::adassl::{self, Gaussian};
use super::tdv::{self, Seen, Targets, Tdv};
use super::{Futures, LearningRate, Method, Ratio, Recalled, Setting, Warning};
use crate::loss::Losses;
use crate::loss::pairs::unit_rows;
use crate::nn::parameters;
use crate::train::data_parallel::{Done, Work, apart};
use crate::train::random::{Draws, Stage};
use crate::train::state::tensors::Kept;
use crate::validate::ensure;
use crate::{Clips, EncoderChoice, EncoderShape, FrameEncoder, Init, Input, Result};

/// The `[model.method]` table of `name = "tdv-adassl"`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// All of TDV, as in its own table.
    pub tdv: tdv::Config,
    /// Numbers of r a token.
    pub dim: usize,
    /// Weight β of the divergence.
    pub beta: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { tdv: tdv::Config::default(), dim: 16, beta: 1e-3 }
    }
}

impl Config {
    pub(super) fn validate(&self, shape: &EncoderShape, input: &Input) -> Result<()> {
        self.tdv.validate(shape, input)?;
        ensure(self.dim > 0, "dim", "must be at least 1")?;
        ensure(self.beta >= 0.0 && self.beta.is_finite(), "beta", "must be 0 or more")?;
        let looks = self.tdv.motion != tdv::Motion::None;
        ensure(looks, "tdv.motion", "none leaves nothing to infer r from")
    }

    /// Fresh networks; the projection of TDV's motion gives way to r.
    pub(crate) fn init(&self, setting: &Setting) -> (TdvAdaSsl, Student) {
        let d = setting.shape.dim();
        let (tdv, mut student) = self.tdv.init(setting);
        student.motion_proj = None;
        let seed = setting.seed.wrapping_add(2);
        let mut init = Init::new(seed, &setting.device.clone().autodiff());
        let student = Student {
            tdv: student,
            posterior: init.default_linear(d, 2 * self.dim),
            prior: vec![init.default_linear(d, d), init.default_linear(d, 2 * self.dim)],
            spread: init.default_linear(self.dim, d),
        };
        let (dim, beta) = (self.dim, self.beta);
        (TdvAdaSsl { tdv, dim, beta, seed: setting.seed }, student)
    }
}

/// The networks that learn.
#[derive(Module, Debug)]
pub(crate) struct Student {
    tdv: tdv::Student,
    /// From a token of the motion to r.
    posterior: Linear,
    /// From a token of the frame to r.
    prior: Vec<Linear>,
    /// W: from r to the motion of a token.
    spread: Linear,
}

/// The method's state beside the student.
pub(crate) struct TdvAdaSsl {
    tdv: Tdv,
    dim: usize,
    beta: f64,
    seed: u64,
}

impl Student {
    /// p(r | z) of every token `[rows, d]`.
    fn prior(&self, frame: Tensor<2>) -> Gaussian {
        Gaussian::of(self.prior[1].forward(gelu(self.prior[0].forward(frame))))
    }
}

impl TdvAdaSsl {
    /// `noise` is standard normal, `[n, pairs · tokens, dim]`.
    fn loss(&self, student: &Student, clips: &Clips, noise: Tensor<3>, targets: Targets) -> Losses {
        let Seen { frame, motion } = self.tdv.see(&student.tdv, clips);
        let motion = motion.expect("a motion encoder");
        let [pairs, tokens, d] = frame.dims();
        let rows = |x: Tensor<3>| -> Tensor<2> { x.flatten(0, 1) };
        let posterior = Gaussian::of(student.posterior.forward(rows(motion)));
        let prior = student.prior(rows(frame.clone()));
        let kl = posterior.divergence(&prior);
        let r = posterior.draw(rows(noise));
        let motion: Tensor<3> = student.spread.forward(r).reshape([pairs, tokens, d]);
        let seen = Seen { frame, motion: Some(motion) };
        let mut losses = self.tdv.measure(&student.tdv, seen, clips.len(), targets);
        losses.total = losses.total + kl.clone() * self.beta;
        losses.terms.push(("kl", kl.inner()));
        losses.terms.push(("posterior_std", posterior.deviation.inner().mean()));
        losses.terms.push(("prior_std", prior.deviation.inner().mean()));
        losses
    }
}

impl Method for TdvAdaSsl {
    type Student = Student;

    fn has_teacher(&self) -> bool {
        true
    }

    fn step(&mut self, student: &Student, clips: &Clips, work: &Work) -> Done {
        let pairs = clips.frames_per_clip() - 1;
        let tokens = self.tdv.tokens();
        let mut draws = Draws::at(self.seed, work.number, Stage::Latent, &clips.device());
        let noise: Tensor<3> = draws.normal([clips.len(), pairs * tokens, self.dim]);
        let parts = clips.chunks(work.parts);
        let targets = self.tdv.targets(&parts).into_iter().zip(noise.chunk(work.parts, 0));
        let parts = parts.into_iter().zip(targets).map(|(part, it)| (part.len(), (part, it)));
        apart(student, work, parts.collect(), |student, (part, (targets, noise))| {
            self.loss(student, &part, noise, targets)
        })
    }

    fn after_step(&mut self, student: &Student, progress: f64) {
        self.tdv.after_step(&student.tdv, progress);
    }

    fn least_frames(&self) -> usize {
        2
    }

    fn uses_all_frames(&self) -> bool {
        true
    }

    fn encoder(&self, student: &Student, choice: EncoderChoice) -> FrameEncoder {
        self.tdv.encoder(&student.tdv, choice)
    }

    /// Futures of the first frame's `[CLS]`.
    fn futures(&self, student: &Student, clips: &Clips, samples: usize) -> Option<Futures> {
        let student = student.valid();
        let cls = |x: Tensor<3>| -> Tensor<2> { x.narrow(1, 0, 1).squeeze_dim(1) };
        let z = cls(student.tdv.frame_encoder.forward(clips.frames(0, 1)));
        let prior = student.prior(z.clone());
        let predict = |r: Tensor<2>| unit_rows(z.clone() + student.spread.forward(r));
        let mut draws = Draws::at(self.seed, u64::MAX, Stage::Latent, &clips.device());
        let drawn =
            (0..samples).map(|_| predict(prior.draw(draws.normal([clips.len(), self.dim]))));
        let drawn = drawn.collect();
        let came = unit_rows(cls(self.tdv.encode_ahead(clips.frames(1, 1))));
        Some(Futures::of(drawn, predict(prior.mean.clone()), came))
    }

    fn warnings(&self, values: &[(String, f32)], _: f64) -> Vec<Warning> {
        let kl = values.iter().find(|it| it.0 == "kl").map(|it| it.1);
        kl.and_then(adassl::collapse).into_iter().collect()
    }

    fn ratios(&self) -> &'static [Ratio] {
        self.tdv.ratios()
    }

    fn learning_rates(&self, student: &Student) -> Vec<LearningRate> {
        self.tdv.learning_rates(&student.tdv)
    }

    fn parameters(&self, student: &Student) -> Vec<(&'static str, usize)> {
        let mut all = self.tdv.parameters(&student.tdv);
        let own =
            [&student.posterior, &student.spread].map(parameters::count).iter().sum::<usize>();
        all.push(("prior, posterior and editor", own + parameters::count(&student.prior)));
        all
    }

    fn save_teacher(&self, folder: &Path) -> Result<()> {
        self.tdv.save_teacher(folder)
    }

    fn load_teacher(&mut self, folder: &Path) -> Result<()> {
        self.tdv.load_teacher(folder)
    }

    fn remember(&self, kept: &mut Kept) {
        self.tdv.remember(kept);
    }

    fn recall(&mut self, kept: &mut Kept, device: &Device) -> Recalled {
        self.tdv.recall(kept, device)
    }
}
