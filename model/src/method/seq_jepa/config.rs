//! What a user can set of seq-JEPA, and its fresh networks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::aggregator::{ActionEmbedding, AggregatorShape};
use super::heads::Heads;
use super::probes::Probes;
use super::views::{Actions, ViewSampler};
use super::{SeqJepa, Student};
use crate::method::{InitContext, Initialised, Recipe};
use crate::nn::mlp::{LastLayer, NormedMlp, Widths};
use crate::train::ema;
use crate::validate::ensure;
use crate::views::fixation::IorShape;
use crate::{AugmentConfig, EncoderShape, Init, Input, Result};

/// The `[model.method]` table of `name = "seq-jepa"`.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What leads from a view to the next.
    pub actions: Actions,
    /// Number of observed views, M; the next one is predicted.
    pub observed: usize,
    /// Height and width of a view, pixels; by default the frame's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub view: Option<[usize; 2]>,
    /// Augmentation of views, with `actions = "augment"`.
    pub augment: AugmentConfig,
    /// Smallest and largest side of a fixation, as a fraction of the frame's.
    pub side: [f64; 2],
    /// Whether fixations are drawn from contrast and motion; otherwise uniformly.
    pub saliency: bool,
    /// The area around a fixation that later ones avoid.
    pub inhibition: IorShape,
    /// The reach of that area, as a fraction of the frame's shorter side.
    pub radius: f64,
    /// Whether the networks get the actions; without them nothing asks for equivariance.
    pub conditioned: bool,
    /// Width of an action's embedding.
    pub action_dim: usize,
    /// Layers of the aggregator.
    pub depth: usize,
    /// Attention heads of the aggregator; they must divide the encoder's width plus `action_dim`.
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
    /// Width of an action's embedding; 0 without actions.
    fn action_width(&self) -> usize {
        if self.conditioned { self.action_dim } else { 0 }
    }

    /// The sampler of views.
    pub(super) fn sampler(&self, input: &Input, seed: u64) -> ViewSampler {
        ViewSampler {
            actions: self.actions,
            views: self.observed + 1,
            size: self.view_size(input.image),
            side: self.side,
            saliency: self.saliency,
            shape: self.inhibition,
            radius: self.radius,
            telemetry: input.telemetry,
            augment: self.augment.clone(),
            seed,
        }
    }

    /// The aggregator's dimensions after an encoder of width `dim`.
    pub(super) fn aggregator(&self, dim: usize) -> AggregatorShape {
        let dim = dim + self.action_width();
        AggregatorShape { dim, depth: self.depth, heads: self.heads, hidden: 4 * dim }
    }

    /// Networks after an encoder of width `dim`, for actions of `width` numbers.
    pub(super) fn init_heads(
        &self,
        [dim, width]: [usize; 2],
        shape: AggregatorShape,
        init: &mut Init,
    ) -> Heads {
        let embedded = self.action_width();
        let widths = Widths::from([self.predictor, dim]);
        Heads {
            action_proj: self.conditioned.then(|| ActionEmbedding::new(width, embedded, init)),
            aggregator: shape.init(init),
            predictor: NormedMlp::new(dim + 2 * embedded, &widths, LastLayer::Bias, init),
        }
    }
}

impl Recipe for Config {
    type Method = SeqJepa;

    fn validate(&self, shape: &EncoderShape, input: &Input) -> Result<()> {
        let sizes = [self.observed, self.action_dim, self.depth, self.heads, self.predictor];
        let [least, most] = self.side;
        let width = shape.dim() + self.action_width();
        let divides = self.heads > 0 && width.is_multiple_of(self.heads);
        self.augment.validate()?;
        ensure(!sizes.contains(&0), "observed", "observed and every size must be at least 1")?;
        ensure(!self.view.is_some_and(|it| it.contains(&0)), "view", "must be at least 1 pixel")?;
        ensure(
            0.0 < least && least <= most && most <= 1.0,
            "side",
            "must be two rising fractions, from above 0 to 1",
        )?;
        ensure((0.0..1.0).contains(&self.radius), "radius", "must lie in 0..1")?;
        ensure(divides, "heads", &format!("must divide {width}"))?;
        ensure((0.0..1.0).contains(&self.dropout), "dropout", "must lie in 0..1")?;
        ensure((0.0..=1.0).contains(&self.momentum), "momentum", "must lie in 0..=1")?;
        ensure(shape.window() == 1, "name", "seq-jepa needs an encoder of single frames")?;
        let needed = self.observed + 1;
        let message = format!("these actions need pipeline.clip.frames of at least {needed}");
        let any_frames = matches!(self.actions, Actions::Fixation | Actions::Augment);
        let enough = any_frames || input.frames >= needed;
        ensure(enough, "actions", &message)?;
        let message = "camera needs pipeline.clip.camera_motion = true";
        ensure(self.actions != Actions::Camera || input.motion, "actions", message)?;
        let message = "telemetry needs a stream with a telemetry file";
        ensure(self.actions != Actions::Telemetry || input.telemetry > 0, "actions", message)
    }

    fn view_size(&self, image: [usize; 2]) -> [usize; 2] {
        self.view.unwrap_or(image)
    }

    fn init(&self, context: &InitContext) -> Initialised<SeqJepa> {
        let InitContext { shape, input, seed, device, .. } = context;
        let sampler = self.sampler(input, *seed);
        let mut init = context.init();
        let encoder = shape.init(&mut init);
        let aggregator = self.aggregator(shape.dim());
        let heads = self.init_heads([shape.dim(), sampler.width()], aggregator, &mut init);
        let teacher = ema::update(shape.init(&mut Init::new(0, device)), &encoder, 0.0);
        let method = SeqJepa { config: self.clone(), sampler, probes: Probes::default() };
        Initialised { method, student: Student { encoder, heads }, teacher }
    }
}
