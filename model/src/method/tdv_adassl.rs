//! An experiment that is in no paper: TDV whose motion goes through AdaSSL's latent variable. TDV
//! is AdaSSL-V with an additive editor whose r is the encoded motion without noise. Here r is a few
//! numbers per token, sampled, at the cost of its divergence from a prior that has the frame alone.
//! TDV so gets futures to sample, and its motion a bottleneck.
//!
//! ```text
//! r     ~ q(r | m(x_{t+1} − x_t ; z_t))     a Gaussian of `dim` numbers per token
//! p     = p(r | z_t)
//! ẑ     = z_t + W r
//! loss  = ‖ẑ − z̄‖² + ce(CLS) + ce(patches)  as in TDV, + β KL(q ‖ p), a mean over tokens
//! ```

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::activation::gelu;
use burn::tensor::{Device, Tensor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::adassl::{self, Gaussian};
use super::tdv::{self, Prediction, Targets, Tdv};
use super::{Futures, InitContext, Initialised, LearningRate, Method, Ratio, Recipe, Warning};
use crate::loss::pairs::unit_rows;
use crate::method::Losses;
use crate::nn::parameters;
use crate::train::data_parallel::{StepContext, StepOutput, independent};
use crate::train::random::{Draws, Stage};
use crate::train::state::SavedState;
use crate::validate::ensure;
use crate::{Clips, EncoderShape, FrameEncoder, Init, Input, Result};

/// The `[model.method]` table of `name = "tdv-adassl"`.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The table of TDV.
    pub tdv: tdv::Config,
    /// Width of r per token.
    pub dim: usize,
    /// Weight β of the divergence.
    pub beta: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { tdv: tdv::Config::default(), dim: 16, beta: 1e-3 }
    }
}

impl Recipe for Config {
    type Method = TdvAdaSsl;

    const CLIPS_INTERACT: bool = false;

    fn validate(&self, shape: &EncoderShape, input: &Input) -> Result<()> {
        self.tdv.validate(shape, input)?;
        ensure(self.dim > 0, "dim", "must be at least 1")?;
        ensure(self.beta >= 0.0 && self.beta.is_finite(), "beta", "must be 0 or more")?;
        let has_motion = self.tdv.motion != tdv::Motion::None;
        ensure(has_motion, "tdv.motion", "none leaves nothing to infer r from")
    }

    fn init(&self, context: &InitContext) -> Initialised<TdvAdaSsl> {
        let d = context.shape.dim();
        let Initialised { method: tdv, mut student, teacher } = self.tdv.init(context);
        // W r takes the place of the projected motion.
        student.motion_proj = None;
        let seed = context.seed.wrapping_add(2);
        let mut init = Init::new(seed, &context.device.clone().autodiff());
        let student = Student {
            tdv: student,
            posterior: init.default_linear(d, 2 * self.dim),
            prior: vec![init.default_linear(d, d), init.default_linear(d, 2 * self.dim)],
            spread: init.default_linear(self.dim, d),
        };
        let method = TdvAdaSsl { tdv, dim: self.dim, beta: self.beta, seed: context.seed };
        Initialised { method, student, teacher }
    }
}

/// The networks that the optimizer trains.
#[derive(Module, Debug)]
pub(crate) struct Student {
    tdv: tdv::Student,
    /// From a token of the motion to q(r | motion).
    posterior: Linear,
    /// From a token of the frame to p(r | z).
    prior: Vec<Linear>,
    /// W: from r to the motion of a token.
    spread: Linear,
}

/// TDV with a latent variable.
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
    /// The losses of a part. `noise` is standard normal, `[n, pairs · tokens, dim]`.
    fn loss(&self, student: &Student, clips: &Clips, noise: Tensor<3>, targets: Targets) -> Losses {
        let Prediction { frame, motion } = self.tdv.predict(&student.tdv, clips);
        let motion = motion.expect("a motion encoder");
        let [pairs, tokens, d] = frame.dims();
        let rows = |x: Tensor<3>| -> Tensor<2> { x.flatten(0, 1) };
        let posterior = Gaussian::of(student.posterior.forward(rows(motion)));
        let prior = student.prior(rows(frame.clone()));
        let kl = posterior.divergence(&prior);
        let r = posterior.sample(rows(noise));
        let motion: Tensor<3> = student.spread.forward(r).reshape([pairs, tokens, d]);
        let prediction = Prediction { frame, motion: Some(motion) };

        let mut losses = self.tdv.loss(&student.tdv, prediction, targets, clips.len());
        losses.total = losses.total + kl.clone() * self.beta;
        losses.terms.push(("kl", kl.inner()));
        losses.terms.push(("posterior_std", posterior.deviation.inner().mean()));
        losses.terms.push(("prior_std", prior.deviation.inner().mean()));
        losses
    }
}

impl Method for TdvAdaSsl {
    type Student = Student;
    type Teacher = tdv::Teacher;

    fn step(
        &mut self,
        student: &Student,
        teacher: &tdv::Teacher,
        clips: &Clips,
        context: &StepContext,
    ) -> StepOutput {
        let pairs = clips.frames_per_clip() - 1;
        let tokens = teacher.teacher_encoder.tokens();
        let mut draws = Draws::at(self.seed, context.micro_batch, Stage::Latent, &clips.device());
        let noise: Tensor<3> = draws.normal([clips.len(), pairs * tokens, self.dim]);
        let noise = noise.chunk(context.parts, 0);
        let parts = clips.chunks(context.parts);
        let targets = self.tdv.targets(teacher, &parts).into_iter().zip(noise);
        let parts = parts.into_iter().zip(targets).map(|(clips, it)| (clips.len(), (clips, it)));

        independent(student, context, parts.collect(), |student, (clips, (targets, noise))| {
            self.loss(student, &clips, noise, targets)
        })
    }

    fn followed(&self, student: &Student, progress: f64) -> Option<(tdv::Teacher, f64)> {
        self.tdv.followed(&student.tdv, progress)
    }

    fn least_frames(&self) -> usize {
        2
    }

    fn uses_all_frames(&self) -> bool {
        true
    }

    fn frame_encoder(student: &Student) -> FrameEncoder {
        Tdv::frame_encoder(&student.tdv)
    }

    /// Futures of the first frame's `[CLS]`.
    fn futures(
        &self,
        student: &Student,
        teacher: &tdv::Teacher,
        clips: &Clips,
        samples: usize,
    ) -> Option<Futures> {
        let student = student.valid();
        let cls = |x: Tensor<3>| -> Tensor<2> { x.narrow(1, 0, 1).squeeze_dim(1) };
        let z = cls(student.tdv.frame_encoder.forward(clips.frames(0, 1)));
        let prior = student.prior(z.clone());
        let predict = |r: Tensor<2>| unit_rows(z.clone() + student.spread.forward(r));
        let mut draws = Draws::at(self.seed, u64::MAX, Stage::Latent, &clips.device());
        let samples =
            (0..samples).map(|_| predict(prior.sample(draws.normal([clips.len(), self.dim]))));
        let samples = samples.collect();
        let actual = unit_rows(cls(teacher.teacher_encoder.forward(clips.frames(1, 1))));
        Some(Futures::new(samples, predict(prior.mean.clone()), actual))
    }

    fn warnings(&self, values: &[(String, f32)], _: f64) -> Vec<Warning> {
        let kl = values.iter().find(|it| it.0 == "kl").map(|it| it.1);
        kl.and_then(adassl::posterior_collapse).into_iter().collect()
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

    fn save_state(&self, state: &mut SavedState) {
        self.tdv.save_state(state);
    }

    fn load_state(
        &mut self,
        state: &mut SavedState,
        device: &Device,
    ) -> std::result::Result<(), String> {
        self.tdv.load_state(state, device)
    }
}
