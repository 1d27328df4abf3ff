//! The list of methods. A line makes the method known to configs, the trainer and the tests.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::joint_embedding::Config as JointEmbedding;
use super::{Recipe, adassl, byol, seq_jepa, simsiam, tdv, tdv_adassl, tdv_sigreg, tico};
use crate::loss::{
    BarlowTwins, Dcl, Dclw, LeJepa, SimClr, SimClrAbs, SimClrSq, Spectral, VicReg, VicRegCtr,
    VicRegExp,
};
use crate::{EncoderShape, Input, Pool, Result};

/// Makes [`MethodConfig`] and `with_recipe!` of the list. The first token is a dollar sign, which
/// a macro cannot write into a macro otherwise.
macro_rules! methods {
    ($dollar:tt $($(#[$doc:meta])* $name:ident($config:ty),)*) => {
        /// The `[model.method]` table.
        #[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
        #[serde(tag = "name", rename_all = "kebab-case")]
        pub enum MethodConfig {
            $($(#[$doc])* $name($config),)*
        }

        /// Evaluates an expression with the [`Recipe`] of the configured method.
        macro_rules! with_recipe {
            ($dollar method:expr, $dollar recipe:ident => $dollar value:expr) => {
                match $dollar method {
                    $($crate::method::MethodConfig::$name($dollar recipe) => $dollar value,)*
                }
            };
        }
        pub(crate) use with_recipe;
    };
}

methods! { $
    /// Current representation + encoded motion = next representation (Daithankar et al., 2026).
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
    Simclr(JointEmbedding<SimClr>),
    /// SimCLR with squared similarities (Garrido et al., 2023).
    SimclrSq(JointEmbedding<SimClrSq>),
    /// SimCLR with absolute similarities (Garrido et al., 2023).
    SimclrAbs(JointEmbedding<SimClrAbs>),
    /// SimCLR without the positive in the denominator (Yeh et al., 2022).
    Dcl(JointEmbedding<Dcl>),
    /// DCL with positives weighted by how hard they are (Yeh et al., 2022).
    Dclw(JointEmbedding<Dclw>),
    /// Inner products with other clips are zero (HaoChen et al., 2021).
    Spectral(JointEmbedding<Spectral>),
    /// Variance, invariance, covariance (Bardes et al., 2022).
    Vicreg(JointEmbedding<VicReg>),
    /// VICReg with the log-sum-exp of covariances (Garrido et al., 2023).
    VicregExp(JointEmbedding<VicRegExp>),
    /// VICReg-exp with samples in the place of dimensions (Garrido et al., 2023).
    VicregCtr(JointEmbedding<VicRegCtr>),
    /// The correlation of two views is the identity (Zbontar et al., 2021).
    BarlowTwins(JointEmbedding<BarlowTwins>),
    /// Views agree and embeddings are Gaussian (Balestriero and LeCun, 2025).
    Lejepa(JointEmbedding<LeJepa>),
    /// A running covariance keeps embeddings apart (Zhu et al., 2022).
    Tico(tico::Config),
    /// A predictor and a moving average (Grill et al., 2020).
    Byol(byol::Config),
    /// A predictor and no gradient through the target (Chen and He, 2021).
    Simsiam(simsiam::Config),
}

impl MethodConfig {
    /// Checks the table for an encoder and an input.
    pub(crate) fn validate(&self, shape: &EncoderShape, input: &Input) -> Result<()> {
        with_recipe!(self, recipe => recipe.validate(shape, input))
    }

    /// Height and width of what the encoder sees, for frames of `image` = `[height, width]`.
    pub fn view_size(&self, image: [usize; 2]) -> [usize; 2] {
        with_recipe!(self, recipe => recipe.view_size(image))
    }

    /// Whether the method has a teacher, a moving average of its networks.
    pub fn has_teacher(&self) -> bool {
        with_recipe!(self, recipe => recipe.has_teacher())
    }

    /// Whether the loss of a clip depends on the other clips of the batch.
    pub(crate) fn clips_interact(&self) -> bool {
        fn interact<R: Recipe>(_: &R) -> bool {
            R::CLIPS_INTERACT
        }
        with_recipe!(self, recipe => interact(recipe))
    }

    /// The tokens of the frame encoder that the loss uses.
    pub fn pool(&self) -> Pool {
        fn pool<R: Recipe>(_: &R) -> Pool {
            R::POOL
        }
        with_recipe!(self, recipe => pool(recipe))
    }
}
