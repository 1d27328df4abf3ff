//! What a user chooses of seq-JEPA, and the networks that follow.

use serde::{Deserialize, Serialize};

use super::aggregator::{ActionEmbedding, AggregatorShape};
use super::looks::{Actions, Eye};
use super::{Behind, SeqJepa, Student};
use crate::method::Setting;
use crate::metrics::linear_probe::LinearProbe;
use crate::nn::mlp::{LastLayer, NormedMlp, Widths};
use crate::train::ema;
use crate::validate::ensure;
use crate::views::fixation::IorShape;
use crate::{AugmentConfig, EncoderShape, Init, Input, Result};

/// The `[model.method]` table of `name = "seq-jepa"`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What leads from a view to the next.
    pub actions: Actions,
    /// Views that are observed, M; the next one is predicted.
    pub observed: usize,
    /// Height and width of a view, pixels; by default the frame's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub view: Option<[usize; 2]>,
    /// How views are augmented, where they are.
    pub augment: AugmentConfig,
    /// Least and largest side of a fixation, as a part of the frame's.
    pub side: [f64; 2],
    /// Whether contrast and motion draw the eye; else it looks anywhere.
    pub saliency: bool,
    /// What a fixation keeps later ones from.
    pub inhibition: IorShape,
    /// How far that reaches, as a part of the frame's shorter side.
    pub radius: f64,
    /// Whether networks are told the actions; without, nothing asks for equivariance.
    pub conditioned: bool,
    /// Width of an action's embedding.
    pub action_dim: usize,
    /// Layers of the aggregator.
    pub depth: usize,
    /// Attention heads of the aggregator; they divide the encoder's width and `action_dim`
    /// together.
    pub heads: usize,
    /// Dropout of the aggregator.
    pub dropout: f64,
    /// Hidden width of the predictor.
    pub predictor: usize,
    /// First momentum of the teacher; it rises to 1 along a cosine.
    pub momentum: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            actions: Actions::Fixation,
            observed: 3,
            view: None,
            augment: AugmentConfig::default(),
            side: [0.25, 0.5],
            saliency: true,
            inhibition: IorShape::Square,
            radius: 1.0 / 6.0,
            conditioned: true,
            action_dim: 128,
            depth: 3,
            heads: 4,
            dropout: 0.1,
            predictor: 1024,
            momentum: 0.996,
        }
    }
}

impl Config {
    /// Height and width of what the encoder sees.
    pub(in crate::method) fn view(&self, image: [usize; 2]) -> [usize; 2] {
        self.view.unwrap_or(image)
    }

    /// Width of an action's embedding, none where nothing is told.
    fn told(&self) -> usize {
        if self.conditioned { self.action_dim } else { 0 }
    }

    pub(in crate::method) fn validate(&self, shape: &EncoderShape, input: &Input) -> Result<()> {
        let sizes = [self.observed, self.action_dim, self.depth, self.heads, self.predictor];
        let [least, most] = self.side;
        let width = shape.dim() + self.told();
        let divides = self.heads > 0 && width.is_multiple_of(self.heads);
        self.augment.validate()?;
        ensure(!sizes.contains(&0), "observed", "observed and every size must be at least 1")?;
        ensure(!self.view.is_some_and(|it| it.contains(&0)), "view", "must be at least 1 pixel")?;
        ensure(0.0 < least && least <= most && most <= 1.0, "side", "is two parts of 1, rising")?;
        ensure((0.0..1.0).contains(&self.radius), "radius", "must lie in 0..1")?;
        ensure(divides, "heads", &format!("must divide {width}"))?;
        ensure((0.0..1.0).contains(&self.dropout), "dropout", "must lie in 0..1")?;
        ensure((0.0..=1.0).contains(&self.momentum), "momentum", "must lie in 0..=1")?;
        ensure(shape.window() == 1, "name", "seq-jepa needs an encoder of single frames")?;
        let needed = self.observed + 1;
        let message = format!("these actions need pipeline.clip.frames of at least {needed}");
        let free = matches!(self.actions, Actions::Fixation | Actions::Augment);
        let enough = free || input.frames >= needed;
        ensure(enough, "actions", &message)?;
        let message = "camera needs pipeline.clip.camera_motion = true";
        ensure(self.actions != Actions::Camera || input.motion, "actions", message)?;
        let message = "telemetry needs a stream with a telemetry file";
        ensure(self.actions != Actions::Telemetry || input.telemetry > 0, "actions", message)
    }

    pub(super) fn eye(&self, input: &Input, seed: u64) -> Eye {
        Eye {
            actions: self.actions,
            views: self.observed + 1,
            size: self.view(input.image),
            side: self.side,
            saliency: self.saliency,
            shape: self.inhibition,
            radius: self.radius,
            telemetry: input.telemetry,
            augment: self.augment.clone(),
            seed,
        }
    }

    /// The aggregator's dimensions behind an encoder of width `dim`.
    pub(super) fn aggregator(&self, dim: usize) -> AggregatorShape {
        let dim = dim + self.told();
        AggregatorShape { dim, depth: self.depth, heads: self.heads, hidden: 4 * dim }
    }

    /// Networks behind an encoder of width `dim`, for actions of `width` numbers.
    pub(super) fn behind(
        &self,
        [dim, width]: [usize; 2],
        shape: AggregatorShape,
        init: &mut Init,
    ) -> Behind {
        let told = self.told();
        let widths = Widths::from([self.predictor, dim]);
        Behind {
            action_proj: self.conditioned.then(|| ActionEmbedding::new(width, told, init)),
            aggregator: shape.init(init),
            predictor: NormedMlp::new(dim + 2 * told, &widths, LastLayer::Bias, init),
        }
    }

    /// Fresh networks; the teacher starts as a copy of the encoder.
    pub(crate) fn init(&self, setting: &Setting) -> (SeqJepa, Student) {
        let Setting { shape, input, seed, device, .. } = setting;
        let eye = self.eye(input, *seed);
        let mut init = setting.init();
        let encoder = shape.init(&mut init);
        let aggregator = self.aggregator(shape.dim());
        let behind = self.behind([shape.dim(), eye.width()], aggregator, &mut init);
        let teacher = ema::update(shape.init(&mut Init::new(0, device)), &encoder, 0.0);
        let (action, path) = (LinearProbe::default(), LinearProbe::default());
        let method = SeqJepa { config: self.clone(), eye, teacher, action, path };
        (method, Student { encoder, behind })
    }
}
