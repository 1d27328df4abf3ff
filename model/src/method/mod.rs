//! Self-supervised methods. To add one, write its file and list it in [`MethodConfig`].

pub mod tdv;

use std::path::Path;

use burn::module::{Module, ParamGroup};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::trainer::MethodTrainer;
use crate::{Clips, Config, EncoderChoice, EncoderShape, Result, Trainer};

/// The `[model.method]` table.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub enum MethodConfig {
    /// Current representation + encoded motion = next representation.
    Tdv(tdv::Config),
}

impl MethodConfig {
    pub(crate) fn validate(&self) -> Result<()> {
        match self {
            Self::Tdv(it) => it.validate(),
        }
    }

    pub(crate) fn trainer(
        &self,
        config: &Config,
        shape: &EncoderShape,
        seed: u64,
        device: &Device,
    ) -> Box<dyn Trainer> {
        match self {
            Self::Tdv(it) => {
                let (method, student) = it.init(shape, seed, device);
                Box::new(MethodTrainer::new(method, student, config, device))
            }
        }
    }
}

/// What a method adds to the one training step: a loss, and what follows the optimizer.
///
/// A batch is worked through in parts, at once where the device gains by it. The loss of a
/// batch must be the mean of those of its parts; what has to see the whole batch first, as a
/// running mean does, belongs in [`Method::targets`].
pub(crate) trait Method: Sync {
    /// What the optimizer trains.
    type Student: Module + Sync;
    /// What the student's loss on one part is measured against; never tracked.
    type Targets: Send;

    /// The targets of every part of a batch.
    fn targets(&mut self, parts: &[Clips]) -> Vec<Self::Targets>;

    /// The loss of one part, a mean over its clips.
    fn loss(&self, student: &Self::Student, clips: &Clips, targets: Self::Targets) -> Losses;

    /// Terms that say more as a share of another.
    fn ratios(&self) -> &'static [Ratio];

    /// Runs after every optimizer step; teachers move here.
    fn after_step(&mut self, student: &Self::Student);

    /// Normalised frames `[n, 3, h, w]` to untracked tokens `[n, 1 + patches, d]`.
    fn tokens(
        &self,
        student: &Self::Student,
        frames: Tensor<4>,
        encoder: EncoderChoice,
    ) -> Tensor<3>;

    /// Parameters that learn at a multiple of the learning rate.
    fn learning_rates(&self, student: &Self::Student) -> Vec<LearningRate>;

    /// The networks by name, and how many parameters each has.
    fn parameters(&self, student: &Self::Student) -> Vec<(&'static str, usize)>;

    /// Writes all weights into `folder`.
    fn save(&self, student: &Self::Student, folder: &Path) -> Result<()>;
}

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

/// The loss of a part, and what a person would want to see of it. Only `total` is tracked.
pub(crate) struct Losses {
    pub(crate) total: Tensor<1>,
    /// Named numbers, means over the clips.
    pub(crate) terms: Vec<(&'static str, Tensor<1>)>,
    /// Named numbers a clip, `[n]`.
    pub(crate) per_clip: Vec<(&'static str, Tensor<1>)>,
    /// Named tokens `[rows, tokens, d]` whose spread over the batch is watched.
    pub(crate) tokens: Vec<(&'static str, Tensor<3>)>,
}
