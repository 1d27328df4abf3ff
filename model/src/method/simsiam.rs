//! SimSiam (Chen and He, 2021): BYOL without the moving average. A predictor turns the projection
//! of one view into the other's, which stands still for it.
//!
//! ```text
//! loss = −½ cos(q(z_x), sg z_y) − ½ cos(q(z_y), sg z_x)
//! ```

use burn::module::Module;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::joint_embedding::seen;
use super::two_views::{self, Branch, Pairs, Views};
use super::{Method, Setting};
use crate::loss::cosine;
use crate::nn::batch_norm::NormMode;
use crate::nn::mlp::{LastLayer, NormedMlp, Widths};
use crate::nn::parameters;
use crate::train::data_parallel::{Done, Work, together};
use crate::{AugmentConfig, Clips, EncoderChoice, EncoderShape, FrameEncoder, Input, Result};

/// The `[model.method]` table of `name = "simsiam"`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the two views come from.
    pub views: Views,
    /// How views are augmented, where they are.
    pub augment: AugmentConfig,
    /// Widths of the projector's layers; the last has a batch norm, too.
    pub projector: Widths,
    /// Widths of the predictor's layers; its output is the projector's.
    pub predictor: Widths,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            views: Views::default(),
            augment: AugmentConfig::default(),
            projector: "2048-2048-2048".into(),
            predictor: "512-2048".into(),
        }
    }
}

impl Config {
    pub(super) fn validate(&self, shape: &EncoderShape, input: &Input) -> Result<()> {
        self.predictor.ends_with(self.projector.output(), "predictor")?;
        two_views::validate(self.views, &self.augment, shape, input)
    }

    /// Fresh networks.
    pub(crate) fn init(&self, setting: &Setting) -> (SimSiam, Student) {
        let mut init = setting.init();
        let branch = Branch::new(&setting.shape, &self.projector, LastLayer::BatchNorm, &mut init);
        let width = self.projector.output();
        let predictor = NormedMlp::new(width, &self.predictor, LastLayer::Bias, &mut init);
        let pairs = Pairs::new(self.views, &self.augment, setting);
        (SimSiam { pairs }, Student { branch, predictor })
    }
}

/// The networks that learn.
#[derive(Module, Debug)]
pub(crate) struct Student {
    branch: Branch,
    predictor: NormedMlp,
}

/// The method's state beside the student: there is none that changes.
pub(crate) struct SimSiam {
    pairs: Pairs,
}

impl Method for SimSiam {
    type Student = Student;

    fn has_teacher(&self) -> bool {
        false
    }

    fn step(&mut self, student: &Student, clips: &Clips, work: &Work) -> Done {
        let views = self.pairs.of(clips, work);
        let parts = two_views::parts(views, &student.branch.encoder, work);
        let see = |student: &Student, part| student.branch.see(part);
        together(student, work, parts, see, |student, embeddings| {
            let views: [_; 2] = student.branch.project(embeddings.clone(), NormMode::Train);
            let [p1, p2] = views.clone().map(|it| student.predictor.forward(it, NormMode::Train));
            let [t1, t2] = views.clone().map(Tensor::detach);
            let total = (cosine::sim_siam(p1, t2) + cosine::sim_siam(p2, t1)) / 2.0;
            seen(total, embeddings, views)
        })
    }

    fn least_frames(&self) -> usize {
        self.pairs.least_frames()
    }

    fn encoder(&self, student: &Student, _: EncoderChoice) -> FrameEncoder {
        student.branch.encoder.valid()
    }

    fn parameters(&self, student: &Student) -> Vec<(&'static str, usize)> {
        let mut all = student.branch.parameters();
        all.push(("predictor", parameters::count(&student.predictor)));
        all
    }
}
