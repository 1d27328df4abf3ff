//! TiCo (Zhu et al., 2022): the projections of two views agree, the second a moving average's,
//! and a running covariance keeps them from one another.
//!
//! ```text
//! C    = β C + (1 − β) z_xᵀ z_x / n
//! loss = 1 − mean ⟨z_x, sg z̄_y⟩ + ρ mean z_xᵀ C z_x          for unit z
//! ```

use std::path::Path;

use burn::module::Module as _;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::joint_embedding::seen;
use super::two_views::{self, Branch, Pairs, Views};
use super::{Method, Recalled, Setting};
use crate::export::safetensors;
use crate::loss::{TiCo as Constants, redundancy};
use crate::nn::batch_norm::NormMode;
use crate::nn::mlp::{LastLayer, Widths};
use crate::train::data_parallel::{Done, Work, together};
use crate::train::ema;
use crate::train::state::tensors::Kept;
use crate::validate::ensure;
use crate::{AugmentConfig, Clips, EncoderChoice, EncoderShape, FrameEncoder, Input, Result};

/// The `[model.method]` table of `name = "tico"`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the two views come from.
    pub views: Views,
    /// How views are augmented, where they are.
    pub augment: AugmentConfig,
    /// Widths of the projector's layers.
    pub projector: Widths,
    /// First momentum of the teacher; it rises to 1 along a cosine.
    pub momentum: f64,
    /// The criterion's constants.
    pub loss: Constants,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            views: Views::default(),
            augment: AugmentConfig::default(),
            projector: "4096-256".into(),
            momentum: 0.99,
            loss: Constants::default(),
        }
    }
}

impl Config {
    pub(super) fn validate(&self, shape: &EncoderShape, input: &Input) -> Result<()> {
        ensure((0.0..=1.0).contains(&self.momentum), "momentum", "must lie in 0..=1")?;
        self.loss.validate()?;
        two_views::validate(self.views, &self.augment, shape, input)
    }

    /// Fresh networks; the teacher starts as a copy.
    pub(crate) fn init(&self, setting: &Setting) -> (Tico, Branch) {
        let Setting { shape, device, .. } = setting;
        let mut init = setting.init();
        let student = Branch::new(shape, &self.projector, LastLayer::NoBias, &mut init);
        let teacher = student.teacher(shape, &self.projector, LastLayer::NoBias, device);
        let width = self.projector.output();
        let tico = Tico {
            pairs: Pairs::new(self.views, &self.augment, setting),
            momentum: self.momentum,
            loss: self.loss,
            covariance: Tensor::zeros([width, width], device),
            teacher,
        };
        (tico, student)
    }
}

/// The method's state beside the student.
pub(crate) struct Tico {
    pairs: Pairs,
    momentum: f64,
    loss: Constants,
    /// C, `[d, d]`.
    covariance: Tensor<2>,
    teacher: Branch,
}

impl Method for Tico {
    type Student = Branch;

    fn has_teacher(&self) -> bool {
        true
    }

    fn step(&mut self, student: &Branch, clips: &Clips, work: &Work) -> Done {
        let views = self.pairs.of(clips, work);
        // The student sees the first view, the teacher the second.
        let [first, second] = [0, 1].map(|it| {
            let view = views.clone().narrow(1, it, 1);
            two_views::parts(view, &student.encoder, work)
        });
        let [target] = two_views::targets(&self.teacher, &second);
        let covariance = self.covariance.clone();
        together(student, work, first, Branch::see, |student, embeddings| {
            let [z] = student.project(embeddings.clone(), NormMode::Train);
            let target = Tensor::from_inner(target);
            let (total, covariance) =
                redundancy::tico(z.clone(), target.clone(), covariance, &self.loss);
            self.covariance = covariance;
            seen(total, embeddings, [z, target])
        })
    }

    fn after_step(&mut self, student: &Branch, progress: f64) {
        let momentum = ema::cosine(self.momentum, progress);
        self.teacher = ema::update(self.teacher.clone(), student, momentum);
    }

    fn least_frames(&self) -> usize {
        self.pairs.least_frames()
    }

    fn encoder(&self, student: &Branch, choice: EncoderChoice) -> FrameEncoder {
        match choice {
            EncoderChoice::Teacher => self.teacher.encoder.clone(),
            EncoderChoice::Student => student.encoder.valid(),
        }
    }

    fn parameters(&self, student: &Branch) -> Vec<(&'static str, usize)> {
        student.parameters()
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
        kept.put("covariance", self.covariance.clone());
    }

    fn recall(&mut self, kept: &mut Kept, device: &Device) -> Recalled {
        self.covariance = kept.take("covariance", device)?;
        Ok(())
    }
}
