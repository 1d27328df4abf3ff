//! What a user can set of AdaSSL, and its fresh networks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::latent::{EditorKind, Shape};
use super::{AdaSsl, DenseConfig, Latent, Student};
use crate::method::encoder_projector::EncoderProjector;
use crate::method::{InitContext, Initialised, Recipe};
use crate::nn::mlp::{HiddenLayers, LastLayer, Widths};
use crate::validate::{ensure, is_positive};
use crate::{AugmentConfig, EncoderShape, Input, Pool, Result};

/// The `[model.method]` table of `name = "adassl"`.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The latent variable: `"gaussian"` is AdaSSL-V, `"sparse"` AdaSSL-S.
    pub latent: Latent,
    /// Width of the latent variable, d_r.
    pub dim: usize,
    /// Hidden width of prior and posterior.
    pub hidden: usize,
    /// Widths of the editor of AdaSSL-V over `[e, r]`, or `"additive"` for `e + r`.
    pub editor: String,
    /// The loss of a prediction.
    pub objective: Objective,
    /// The predicted directions.
    pub directions: Directions,
    /// What r is inferred from in the place of the target.
    pub third_view: ThirdView,
    /// Augmentation of every view; none by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub augment: Option<AugmentConfig>,
    /// Widths of the projector.
    pub projector: Widths,
    /// Whether the projector's output has a batch norm.
    pub projector_norm: bool,
    /// Distillation: widths of the predictor after the editor; `""` for none.
    pub predictor: String,
    /// Weight β of r's cost.
    pub beta: f64,
    /// Share of the run in which β rises from 0.
    pub beta_warmup: f64,
    /// Contrastive: temperature τ.
    pub temperature: f64,
    /// Contrastive: learn a scale of the logits, which starts at 1.
    pub learn_scale: bool,
    /// Contrastive: only clips of other videos are negatives, since frames of one video are alike.
    pub other_videos: bool,
    /// Distillation: first momentum of the teacher.
    pub momentum: f64,
    /// Distillation: whether the momentum rises to 1 along a cosine.
    pub momentum_rises: bool,
    /// Also predict the target's patches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dense: Option<DenseConfig>,
}

/// The loss of a prediction.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Objective {
    /// NT-Xent among the embeddings of all clips.
    Contrastive,
    /// The cosine to a teacher's projection of the target.
    #[default]
    Distillation,
}

/// The predicted directions.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Directions {
    /// From x to y and back.
    Both,
    /// From x to y: forward in time.
    #[default]
    Forward,
}

/// What r is inferred from besides the first view.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ThirdView {
    /// The target itself.
    None,
    /// Another augmentation of the target, so that r cannot carry the target's augmentation.
    Augmented,
    /// The frame after the target.
    #[default]
    Next,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            latent: Latent::Gaussian,
            dim: 8,
            hidden: 1024,
            editor: "1024-1024-128".into(),
            objective: Objective::Distillation,
            directions: Directions::Forward,
            third_view: ThirdView::Next,
            augment: None,
            projector: "1024-1024-128".into(),
            projector_norm: false,
            predictor: String::new(),
            beta: 1e-3,
            beta_warmup: 0.05,
            temperature: 0.1,
            learn_scale: false,
            other_videos: false,
            momentum: 0.996,
            momentum_rises: true,
            dense: None,
        }
    }
}

impl Config {
    /// Windows of frames that a clip needs.
    pub(super) fn windows(&self) -> usize {
        if self.third_view == ThirdView::Next { 3 } else { 2 }
    }

    fn editor(&self) -> Result<EditorKind> {
        if self.latent == Latent::Sparse {
            return Ok(EditorKind::RankOne);
        }
        if self.editor == "additive" {
            ensure(
                self.latent == Latent::None || self.dim == self.projector.output(),
                "dim",
                "must be the projector's width for an additive editor",
            )?;
            return Ok(EditorKind::Additive);
        }
        let widths = Widths::try_from(self.editor.clone());
        ensure(widths.is_ok(), "editor", "must be widths as in \"1024-128\", or \"additive\"")?;
        let widths = widths.expect("was just checked");
        widths.ends_with(self.projector.output(), "editor")?;
        Ok(EditorKind::Mlp(widths))
    }

    fn predictor(&self) -> Result<Option<Widths>> {
        if self.predictor.is_empty() || self.objective == Objective::Contrastive {
            return Ok(None);
        }
        let widths = Widths::try_from(self.predictor.clone());
        ensure(widths.is_ok(), "predictor", "must be widths as in \"1024-128\", or empty")?;
        let widths = widths.expect("was just checked");
        widths.ends_with(self.projector.output(), "predictor")?;
        Ok(Some(widths))
    }

    /// The dimensions of the networks after the projector.
    pub(super) fn networks(&self) -> Shape {
        Shape {
            embedding: self.projector.output(),
            latent: self.latent,
            dim: self.dim,
            hidden: self.hidden,
            editor: self.editor().expect("was validated"),
            predictor: self.predictor().expect("was validated"),
            learn_scale: self.learn_scale && self.objective == Objective::Contrastive,
        }
    }
}

impl Recipe for Config {
    type Method = AdaSsl;

    const POOL: Pool = Pool::Mean;

    fn validate(&self, shape: &EncoderShape, input: &Input) -> Result<()> {
        self.editor()?;
        self.predictor()?;
        let share = |it: f64| (0.0..=1.0).contains(&it);
        ensure(self.dim > 0 && self.hidden > 0, "dim", "dim and hidden must be at least 1")?;
        ensure(self.beta >= 0.0 && self.beta.is_finite(), "beta", "must be 0 or more")?;
        ensure(share(self.beta_warmup), "beta_warmup", "is a share of the run, 0..=1")?;
        ensure(share(self.momentum), "momentum", "must lie in 0..=1")?;
        ensure(is_positive(self.temperature), "temperature", "must be above 0")?;
        let backward = self.directions == Directions::Both && self.third_view == ThirdView::Next;
        let message = "the next frame is a third view of the forward direction only; use directions = \"forward\"";
        ensure(!backward, "third_view", message)?;
        let has_augment = self.third_view != ThirdView::Augmented || self.augment.is_some();
        ensure(has_augment, "third_view", "needs a table [model.method.augment]")?;
        let needed = self.windows() * shape.window();
        let message = format!("needs pipeline.clip.frames of at least {needed}");
        ensure(input.frames >= needed, "third_view", &message)?;
        self.augment.as_ref().map_or(Ok(()), AugmentConfig::validate)?;
        match &self.dense {
            Some(dense) => dense.validate(shape),
            None => Ok(()),
        }
    }

    fn has_teacher(&self) -> bool {
        self.objective == Objective::Distillation
    }

    fn init(&self, context: &InitContext) -> Initialised<AdaSsl> {
        let InitContext { shape, seed, device, .. } = context;
        let mut init = context.init();
        let last = if self.projector_norm { LastLayer::BatchNorm } else { LastLayer::NoBias };
        // The authors' contrastive projectors have biases in the place of batch norms.
        let hidden = match self.objective {
            Objective::Distillation => HiddenLayers::BatchNorm,
            Objective::Contrastive => HiddenLayers::Bias,
        };
        let branch = EncoderProjector::with_hidden(shape, &self.projector, hidden, last, &mut init);
        let teacher =
            self.has_teacher().then(|| branch.teacher(shape, &self.projector, last, device));
        let networks = self.networks().init(&mut init);
        let dense = self.dense.as_ref().map(|it| {
            let shape = shape.vit().expect("was validated");
            let r = if self.latent == Latent::None { 0 } else { self.dim };
            it.init(&shape, r, &mut init)
        });
        let method = AdaSsl { config: self.clone(), seed: *seed, window: shape.window() };
        Initialised { method, student: Student { branch, networks, dense }, teacher }
    }
}
