//! Self-supervised methods. To add one, write its file and list it in [`MethodConfig`].

pub mod adassl;
pub mod byol;
pub mod joint_embedding;
pub mod seq_jepa;
pub mod simsiam;
pub mod tdv;
pub mod tdv_adassl;
pub mod tdv_sigreg;
pub mod tico;
mod two_views;

pub use tdv::MotionEncoder;
pub use two_views::Views;

use std::path::Path;
use std::sync::Arc;

use burn::module::{Module, ParamGroup};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use self::joint_embedding::{SimClrAbs, SimClrSq};
use crate::export::safetensors;
use crate::export::state_dict::StateDict;
use crate::loss::{BarlowTwins, Dcl, Dclw, LeJepa, SimClr, Spectral, VicReg, VicRegCtr, VicRegExp};
use crate::train::MethodTrainer;
use crate::train::data_parallel::{Done, Work};
use crate::train::state::tensors::Kept;
use crate::{
    Clips, Config, EncoderChoice, EncoderShape, Error, FrameEncoder, Init, Input, Pool, Result,
    Trainer,
};

/// The `[model.method]` table.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub enum MethodConfig {
    /// Current representation + encoded motion = next representation.
    Tdv(tdv::Config),
    /// An experiment: TDV with SIGReg in the place of prototypes and teacher.
    TdvSigreg(tdv_sigreg::Config),
    /// An experiment: TDV whose motion goes through a latent variable.
    TdvAdassl(tdv_adassl::Config),
    /// A latent variable for what the first view cannot tell (Zhang et al., 2026).
    Adassl(adassl::Config),
    /// Views and actions predict the next view (Ghaemi et al., 2025).
    SeqJepa(seq_jepa::Config),
    /// Each projection finds its pair among all others (Chen et al., 2020).
    Simclr(joint_embedding::Config<SimClr>),
    /// SimCLR with squared similarities (Garrido et al., 2023).
    SimclrSq(joint_embedding::Config<SimClrSq>),
    /// SimCLR with absolute similarities (Garrido et al., 2023).
    SimclrAbs(joint_embedding::Config<SimClrAbs>),
    /// SimCLR without the positive in the denominator (Yeh et al., 2022).
    Dcl(joint_embedding::Config<Dcl>),
    /// DCL with positives weighted by how hard they are (Yeh et al., 2022).
    Dclw(joint_embedding::Config<Dclw>),
    /// Inner products of strangers are zero (HaoChen et al., 2021).
    Spectral(joint_embedding::Config<Spectral>),
    /// Variance, invariance, covariance (Bardes et al., 2022).
    Vicreg(joint_embedding::Config<VicReg>),
    /// VICReg with the log-sum-exp of covariances (Garrido et al., 2023).
    VicregExp(joint_embedding::Config<VicRegExp>),
    /// VICReg-exp with samples in the place of dimensions (Garrido et al., 2023).
    VicregCtr(joint_embedding::Config<VicRegCtr>),
    /// The correlation of two views is the identity (Zbontar et al., 2021).
    BarlowTwins(joint_embedding::Config<BarlowTwins>),
    /// Views agree and embeddings are Gaussian (Balestriero and LeCun, 2025).
    Lejepa(joint_embedding::Config<LeJepa>),
    /// A running covariance keeps embeddings apart (Zhu et al., 2022).
    Tico(tico::Config),
    /// A predictor and a moving average (Grill et al., 2020).
    Byol(byol::Config),
    /// A predictor and no gradient through the target (Chen and He, 2021).
    Simsiam(simsiam::Config),
}

/// Does the same to the table of every method.
macro_rules! each {
    ($method:expr, $it:ident => $do:expr) => {
        match $method {
            MethodConfig::Tdv($it) => $do,
            MethodConfig::TdvSigreg($it) => $do,
            MethodConfig::TdvAdassl($it) => $do,
            MethodConfig::Adassl($it) => $do,
            MethodConfig::SeqJepa($it) => $do,
            MethodConfig::Simclr($it) => $do,
            MethodConfig::SimclrSq($it) => $do,
            MethodConfig::SimclrAbs($it) => $do,
            MethodConfig::Dcl($it) => $do,
            MethodConfig::Dclw($it) => $do,
            MethodConfig::Spectral($it) => $do,
            MethodConfig::Vicreg($it) => $do,
            MethodConfig::VicregExp($it) => $do,
            MethodConfig::VicregCtr($it) => $do,
            MethodConfig::BarlowTwins($it) => $do,
            MethodConfig::Lejepa($it) => $do,
            MethodConfig::Tico($it) => $do,
            MethodConfig::Byol($it) => $do,
            MethodConfig::Simsiam($it) => $do,
        }
    };
}

impl MethodConfig {
    /// Checks the table for an encoder and an input.
    pub(crate) fn validate(&self, shape: &EncoderShape, input: &Input) -> Result<()> {
        each!(self, it => it.validate(shape, input))
    }

    /// Height and width of what the encoder sees.
    pub fn view(&self, image: [usize; 2]) -> [usize; 2] {
        match self {
            Self::SeqJepa(it) => it.view(image),
            _ => image,
        }
    }

    /// A trainer for fresh networks.
    pub(crate) fn trainer(&self, config: &Config, setting: &Setting) -> Box<dyn Trainer> {
        each!(self, it => train(it.init(setting), config, setting))
    }

    /// Whether a loss over one clip says nothing.
    pub(crate) fn clips_meet(&self) -> bool {
        !matches!(self, Self::Tdv(_) | Self::TdvAdassl(_))
    }

    /// Whether there is a moving average of the encoder.
    pub fn has_teacher(&self) -> bool {
        match self {
            Self::Tdv(_)
            | Self::TdvAdassl(_)
            | Self::SeqJepa(_)
            | Self::Tico(_)
            | Self::Byol(_) => true,
            Self::Adassl(it) => it.objective == adassl::Objective::Distillation,
            _ => false,
        }
    }
}

fn train<M: Method + 'static>(
    (method, student): (M, M::Student),
    config: &Config,
    setting: &Setting,
) -> Box<dyn Trainer> {
    Box::new(MethodTrainer::new(method, student, config, &setting.device))
}

/// What a method is made for.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) shape: EncoderShape,
    pub(crate) input: Input,
    pub(crate) seed: u64,
    /// A device that tracks nothing.
    pub(crate) device: Device,
    /// What the frame encoder starts from, where it is not drawn.
    pub(crate) encoder: Option<Arc<StateDict>>,
}

impl Setting {
    /// The first weights of what learns.
    pub(crate) fn init(&self) -> Init {
        let tracked = self.device.clone().autodiff();
        Init::new(self.seed, &tracked).with_encoder(self.encoder.clone())
    }
}

/// An error about a key of `[model.method]`.
pub(crate) fn wrong(key: &str, message: &str) -> Result<()> {
    Err(Error::Config { key: format!("model.method.{key}"), message: message.into() })
}

/// Refuses what does not hold.
pub(crate) fn ensure(holds: bool, key: &str, message: &str) -> Result<()> {
    if holds { Ok(()) } else { wrong(key, message) }
}

/// What a method adds to the one training step: losses with their gradients, and what follows
/// the optimizer.
pub(crate) trait Method: Sync {
    /// What the optimizer trains.
    type Student: Module + Sync;

    /// Whether there is a moving average of the encoder.
    fn has_teacher(&self) -> bool;

    /// The losses of a micro-batch and the gradients of the student, by [`crate::train::data_parallel::apart`]
    /// or, where clips meet in the loss, [`crate::train::data_parallel::together`].
    fn step(&mut self, student: &Self::Student, clips: &Clips, work: &Work) -> Done;

    /// Runs after every optimizer step, `progress` of the run done; teachers move here.
    fn after_step(&mut self, _student: &Self::Student, _progress: f64) {}

    /// The frame encoder, untracked; the teacher's is asked for only where there is one.
    fn encoder(&self, student: &Self::Student, choice: EncoderChoice) -> FrameEncoder;

    /// Which tokens of the encoder the method's loss looks at.
    fn pool(&self) -> Pool {
        Pool::Cls
    }

    /// The fewest frames of a clip that a step can be made of.
    fn least_frames(&self) -> usize;

    /// Whether more frames of a clip are more work.
    fn uses_all_frames(&self) -> bool {
        false
    }

    /// Vectors of each clip beside the encoder's, `[n, d]`, named as their columns.
    fn vectors(&self, _student: &Self::Student, _clips: &Clips) -> Vec<(&'static str, Tensor<2>)> {
        Vec::new()
    }

    /// Draws of the representation of each clip's future, where the method has any.
    fn futures(
        &self,
        _student: &Self::Student,
        _clips: &Clips,
        _samples: usize,
    ) -> Option<Futures> {
        None
    }

    /// Metrics that are one term as a share of another.
    fn ratios(&self) -> &'static [Ratio] {
        &[]
    }

    /// What a person should hear about the numbers of a step; each kind is said once a run.
    fn warnings(&self, _values: &[(String, f32)], _progress: f64) -> Vec<Warning> {
        Vec::new()
    }

    /// Parameters that learn at a multiple of the learning rate.
    fn learning_rates(&self, _student: &Self::Student) -> Vec<LearningRate> {
        Vec::new()
    }

    /// The networks by name, and how many parameters each has.
    fn parameters(&self, student: &Self::Student) -> Vec<(&'static str, usize)>;

    /// Writes the teacher's weights into `folder`, where there is one.
    fn save_teacher(&self, _folder: &Path) -> Result<()> {
        Ok(())
    }

    /// Reads what [`Method::save_teacher`] wrote.
    fn load_teacher(&mut self, _folder: &Path) -> Result<()> {
        Ok(())
    }

    /// What later steps depend on beside the weights.
    fn remember(&self, _kept: &mut Kept) {}

    /// Takes back what was remembered, on a device that tracks nothing.
    ///
    /// # Errors
    /// Something of it is missing.
    fn recall(&mut self, _kept: &mut Kept, _device: &Device) -> Recalled {
        Ok(())
    }

    /// Writes all weights into `folder`.
    fn save(&self, student: &Self::Student, folder: &Path) -> Result<()> {
        let best = if self.has_teacher() { EncoderChoice::Teacher } else { EncoderChoice::Student };
        safetensors::save(&self.encoder(student, best), &folder.join("encoder.safetensors"))?;
        safetensors::save(student, &folder.join("student.safetensors"))?;
        self.save_teacher(folder)
    }
}

/// What comes of recalling; the text says what is missing.
pub(crate) type Recalled = std::result::Result<(), String>;

/// `term / over` under a name of its own.
pub(crate) struct Ratio {
    pub(crate) name: &'static str,
    pub(crate) term: &'static str,
    pub(crate) over: &'static str,
}

/// A group of parameters, its name in the metrics, and the multiple that it learns at.
pub(crate) struct LearningRate {
    pub(crate) name: &'static str,
    pub(crate) group: ParamGroup,
    pub(crate) multiplier: f64,
}

/// TDV's motion encoder and its projection, at a multiple of the learning rate.
pub(crate) fn motion_group(networks: impl Module, multiplier: f64) -> LearningRate {
    let group = ParamGroup::ids_from_module(networks);
    LearningRate { name: "learning_rate_motion", group, multiplier }
}

/// A sign that training goes wrong.
#[derive(Clone, Debug)]
pub struct Warning {
    /// What goes wrong, for telling warnings apart.
    pub kind: &'static str,
    /// What was seen, and what to do.
    pub message: String,
}

/// Draws of the future's representation, unit vectors all.
#[derive(Clone, Debug)]
pub struct Futures {
    /// Width of a vector, d.
    pub dim: usize,
    /// Draws of each clip, `[n, samples, d]` row by row.
    pub drawn: Vec<f32>,
    /// What the method predicts without chance, `[n, d]`: of a distribution, its mean's.
    pub expected: Vec<f32>,
    /// The representation of what came, `[n, d]`.
    pub came: Vec<f32>,
}

impl Futures {
    /// From every draw and the others, `[n, d]` each.
    pub(crate) fn of(drawn: Vec<Tensor<2>>, expected: Tensor<2>, came: Tensor<2>) -> Self {
        let dim = came.dims()[1];
        let drawn = drawn.into_iter().map(|it| it.unsqueeze_dim::<3>(1)).collect();
        let floats = |x: Tensor<1>| x.into_data().try_to_vec().expect("float32 values");
        Self {
            dim,
            drawn: floats(Tensor::cat(drawn, 1).flatten(0, 2)),
            expected: floats(expected.flatten(0, 1)),
            came: floats(came.flatten(0, 1)),
        }
    }
}

/// The loss of a part, and what a person would want to see of it. Only `total` is tracked.
pub(crate) struct Losses {
    pub(crate) total: Tensor<1>,
    /// Named numbers, means over the clips.
    pub(crate) terms: Vec<(&'static str, Tensor<1>)>,
    /// Named numbers a clip, `[n]`.
    pub(crate) per_clip: Vec<(&'static str, Tensor<1>)>,
    /// Named tokens `[rows, tokens, d]` whose spread over the batch is watched.
    pub(crate) tokens: Vec<(&'static str, Tensor<3>)>,
    /// Vectors `[rows, d]` whose sample- and dimension-contrastive criteria are watched.
    pub(crate) projections: Option<Tensor<2>>,
}

impl Losses {
    /// A loss with nothing beside it.
    pub(crate) fn of(total: Tensor<1>) -> Self {
        let (terms, per_clip, tokens) = (Vec::new(), Vec::new(), Vec::new());
        Self { total, terms, per_clip, tokens, projections: None }
    }

    pub(crate) fn untracked(mut self) -> Self {
        self.total = self.total.inner();
        self
    }
}

#[cfg(test)]
mod tests;
