//! BYOL (Grill et al., 2020): a predictor that turns the projection of one view into what a
//! teacher, the moving average of the network, projects of the other.
//!
//! ```text
//! loss = 2 − 2 cos(q(z_x), sg z̄_y)  +  2 − 2 cos(q(z_y), sg z̄_x)
//! ```

use std::path::Path;

use burn::module::Module;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::joint_embedding::seen;
use super::two_views::{self, Branch, Pairs, Views};
use super::{Method, Setting};
use crate::export::safetensors;
use crate::loss::cosine;
use crate::nn::batch_norm::NormMode;
use crate::nn::mlp::{LastLayer, NormedMlp, Widths};
use crate::nn::parameters;
use crate::train::data_parallel::{Done, Work, together};
use crate::train::ema;
use crate::validate::ensure;
use crate::{AugmentConfig, Clips, EncoderChoice, EncoderShape, FrameEncoder, Input, Result};

/// The `[model.method]` table of `name = "byol"`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the two views come from.
    pub views: Views,
    /// How views are augmented, where they are.
    pub augment: AugmentConfig,
    /// Widths of the projector's layers.
    pub projector: Widths,
    /// Widths of the predictor's layers; its output is the projector's.
    pub predictor: Widths,
    /// First momentum of the teacher; it rises to 1 along a cosine.
    pub momentum: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            views: Views::default(),
            augment: AugmentConfig::default(),
            projector: "4096-256".into(),
            predictor: "4096-256".into(),
            momentum: 0.996,
        }
    }
}

impl Config {
    pub(super) fn validate(&self, shape: &EncoderShape, input: &Input) -> Result<()> {
        ensure((0.0..=1.0).contains(&self.momentum), "momentum", "must lie in 0..=1")?;
        self.predictor.ends_with(self.projector.output(), "predictor")?;
        two_views::validate(self.views, &self.augment, shape, input)
    }

    /// Fresh networks; the teacher starts as a copy.
    pub(crate) fn init(&self, setting: &Setting) -> (Byol, Student) {
        let Setting { shape, device, .. } = setting;
        let mut init = setting.init();
        let branch = Branch::new(shape, &self.projector, LastLayer::NoBias, &mut init);
        let width = self.projector.output();
        let predictor = NormedMlp::new(width, &self.predictor, LastLayer::NoBias, &mut init);
        let teacher = branch.teacher(shape, &self.projector, LastLayer::NoBias, device);
        let pairs = Pairs::new(self.views, &self.augment, setting);
        let byol = Byol { pairs, momentum: self.momentum, teacher };
        (byol, Student { branch, predictor })
    }
}

/// The networks that learn.
#[derive(Module, Debug)]
pub(crate) struct Student {
    branch: Branch,
    predictor: NormedMlp,
}

/// The method's state beside the student.
pub(crate) struct Byol {
    pairs: Pairs,
    momentum: f64,
    teacher: Branch,
}

impl Method for Byol {
    type Student = Student;

    fn has_teacher(&self) -> bool {
        true
    }

    fn step(&mut self, student: &Student, clips: &Clips, work: &Work) -> Done {
        let views = self.pairs.of(clips, work);
        let parts = two_views::parts(views, &student.branch.encoder, work);
        let targets = two_views::targets(&self.teacher, &parts).map(Tensor::from_inner);
        let see = |student: &Student, part| student.branch.see(part);
        together(student, work, parts, see, |student, embeddings| {
            let views: [_; 2] = student.branch.project(embeddings.clone(), NormMode::Train);
            let [p1, p2] = views.clone().map(|it| student.predictor.forward(it, NormMode::Train));
            let [t1, t2] = targets;
            seen(cosine::byol(p1, t2) + cosine::byol(p2, t1), embeddings, views)
        })
    }

    fn after_step(&mut self, student: &Student, progress: f64) {
        let momentum = ema::cosine(self.momentum, progress);
        self.teacher = ema::update(self.teacher.clone(), &student.branch, momentum);
    }

    fn least_frames(&self) -> usize {
        self.pairs.least_frames()
    }

    fn encoder(&self, student: &Student, choice: EncoderChoice) -> FrameEncoder {
        match choice {
            EncoderChoice::Teacher => self.teacher.encoder.clone(),
            EncoderChoice::Student => student.branch.encoder.valid(),
        }
    }

    fn parameters(&self, student: &Student) -> Vec<(&'static str, usize)> {
        let mut all = student.branch.parameters();
        all.push(("predictor", parameters::count(&student.predictor)));
        all
    }

    fn save_teacher(&self, folder: &Path) -> Result<()> {
        safetensors::save(&self.teacher, &folder.join("teacher.safetensors"))
    }

    fn load_teacher(&mut self, folder: &Path) -> Result<()> {
        self.teacher =
            safetensors::load(self.teacher.clone(), &folder.join("teacher.safetensors"))?;
        Ok(())
    }
}
