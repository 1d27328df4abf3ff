//! The list of methods: what `name` in the `[model.method]` table can be.

use serde::{Deserialize, Serialize};

use super::joint_embedding::{self, SimClrAbs, SimClrSq};
use super::{adassl, byol, seq_jepa, simsiam, tdv, tdv_adassl, tdv_sigreg, tico};
use crate::loss::{BarlowTwins, Dcl, Dclw, LeJepa, SimClr, Spectral, VicReg, VicRegCtr, VicRegExp};
use crate::{EncoderShape, Input, Result};

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

pub(crate) use each;

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
