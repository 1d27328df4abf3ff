//! AdamW with a learning-rate multiplier for some of the parameters, and the schedule.

pub(crate) mod state;

use burn::module::ParamGroup;
use burn::optim::{AdamW, AdamWConfig, AdamWState, ModuleOptimizer, Optimizer};
use burn::tensor::{Device, Tensor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::validate::is_positive;
use crate::{Error, Result};

/// The `[model.train]` table.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainConfig {
    /// Optimizer steps in the run; there is no default.
    pub steps: u64,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Decay rates of AdamW's two moments.
    pub betas: [f64; 2],
    /// Steps of the linear rise from zero; by default 10,000 or a twentieth of the run,
    /// whichever is less.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warmup: Option<u64>,
    /// Steps after which the cosine reaches its floor; by default those of the run. TDV's
    /// 3,000,000 leave the learning rate nearly constant. A run that will be given more steps
    /// later should say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decay_steps: Option<u64>,
    /// The learning rate at the end of the cosine.
    pub floor: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Whether weight decay includes biases and the scales of norms. TDV's does; AdaSSL's and
    /// seq-JEPA's do not.
    pub decay_vectors: bool,
    /// The joint norm to which gradients are clipped.
    pub grad_clip: f64,
    /// Micro-batches per batch, to save memory. A running mean such as TDV's centre moves with each
    /// of them.
    pub accumulate: usize,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            steps: 0,
            learning_rate: 1e-4,
            betas: [0.9, 0.999],
            warmup: None,
            decay_steps: None,
            floor: 1e-9,
            weight_decay: 0.01,
            decay_vectors: true,
            grad_clip: 1.0,
            accumulate: 1,
        }
    }
}

impl TrainConfig {
    /// Checks the table.
    ///
    /// # Errors
    /// A value that cannot be used, with its key.
    pub fn validate(&self) -> Result<()> {
        let wrong = |key: &str, message: &str| {
            Err(Error::Config { key: format!("model.train.{key}"), message: message.into() })
        };
        match self {
            it if it.steps == 0 => wrong("steps", "must be given, and be at least 1"),
            it if !is_positive(it.learning_rate) => wrong("learning_rate", "must be above 0"),
            it if !is_positive(it.grad_clip) => wrong("grad_clip", "must be above 0"),
            it if it.betas.iter().any(|it| !(0.0..1.0).contains(it)) => {
                wrong("betas", "must lie in 0..1")
            }
            it if it.weight_decay < 0.0 => wrong("weight_decay", "must not be negative"),
            it if it.accumulate == 0 => wrong("accumulate", "must be at least 1"),
            _ => Ok(()),
        }
    }

    /// The learning rate of optimizer step `step`, counted from 1.
    pub fn learning_rate_at(&self, step: u64) -> f64 {
        let warmup = self.warmup.unwrap_or((self.steps / 20).min(10_000));
        if step < warmup {
            return self.learning_rate * step as f64 / warmup as f64;
        }
        let decay_steps = self.decay_steps.unwrap_or(self.steps);
        let span = decay_steps.saturating_sub(warmup).max(1);
        let progress = ((step - warmup) as f64 / span as f64).min(1.0);
        let height = 0.5 * (1.0 + (std::f64::consts::PI * progress).cos());
        self.floor + (self.learning_rate - self.floor).max(0.0) * height
    }

    /// AdamW as in PyTorch; each group of parameters has a multiple of the learning rate.
    pub(crate) fn optimizer(&self, groups: Vec<(ParamGroup, f64)>) -> ModuleOptimizer {
        let adamw = |decay: f64| {
            AdamWConfig::new()
                .with_beta_1(self.betas[0] as f32)
                .with_beta_2(self.betas[1] as f32)
                .with_epsilon(1e-8)
                .with_weight_decay(decay as f32)
                .build()
        };
        let vectors = if self.decay_vectors { self.weight_decay } else { 0.0 };
        let at = |multiplier| Scaled {
            matrices: adamw(self.weight_decay),
            vectors: adamw(vectors),
            multiplier,
        };
        groups.into_iter().fold(at(1.0).into(), |all: ModuleOptimizer, (group, multiplier)| {
            all.with_group(group, at(multiplier), None)
        })
    }
}

/// AdamW at a multiple of the learning rate, with a weight decay of its own for vectors.
#[derive(Clone)]
struct Scaled {
    matrices: AdamW,
    vectors: AdamW,
    multiplier: f64,
}

impl Optimizer for Scaled {
    type State<const D: usize> = AdamWState<D>;

    fn step<const D: usize>(
        &self,
        rate: f64,
        tensor: Tensor<D>,
        grad: Tensor<D>,
        state: Option<Self::State<D>>,
    ) -> (Tensor<D>, Option<Self::State<D>>) {
        let adamw = if D == 1 { &self.vectors } else { &self.matrices };
        adamw.step(rate * self.multiplier, tensor, grad, state)
    }

    fn to_device<const D: usize>(state: Self::State<D>, device: &Device) -> Self::State<D> {
        AdamW::to_device(state, device)
    }
}

#[cfg(test)]
mod tests {
    use burn::optim::GradientsParams;

    use super::*;

    fn config(warmup: Option<u64>) -> TrainConfig {
        let (steps, learning_rate, decay_steps, floor) = (1000, 1.0, Some(110), 0.1);
        TrainConfig { steps, learning_rate, decay_steps, floor, warmup, ..Default::default() }
    }

    #[test]
    fn the_learning_rate_rises_falls_and_stays_at_the_floor() {
        let config = config(Some(10));
        let rate = |step| config.learning_rate_at(step);
        assert!((rate(1) - 0.1).abs() < 1e-12 && (rate(10) - 1.0).abs() < 1e-12);
        assert!((rate(60) - 0.55).abs() < 1e-12, "half-way: {}", rate(60));
        assert!((rate(110) - 0.1).abs() < 1e-12 && (rate(100_000) - 0.1).abs() < 1e-12);
    }

    #[test]
    fn vectors_decay_only_with_decay_vectors() {
        let device = Device::flex().autodiff();
        for decay_vectors in [true, false] {
            let config = TrainConfig { weight_decay: 0.5, decay_vectors, ..config(Some(0)) };
            let layer = crate::Init::new(0, &device).default_linear(3, 3);
            let before = (layer.weight.val().inner(), layer.bias.as_ref().unwrap().val().inner());
            // A loss without a slope: only the decay moves anything.
            let loss = layer.forward(Tensor::<2>::ones([2, 3], &device)).sum() * 0.0;
            let grads = GradientsParams::from_grads(loss.backward(), &layer);
            let layer = config.optimizer(Vec::new()).step(0.1, layer, grads);
            let shrunk = |after: Tensor<1>, before: Tensor<1>| -> f32 {
                (after / before - 1.0).abs().max().into_scalar()
            };
            let bias = layer.bias.as_ref().unwrap().val().inner();
            let weight = layer.weight.val().inner().flatten(0, 1);
            assert!((shrunk(weight, before.0.flatten(0, 1)) - 0.05).abs() < 1e-4);
            let wanted = if decay_vectors { 0.05 } else { 0.0 };
            assert!((shrunk(bias, before.1) - wanted).abs() < 1e-4);
        }
    }

    #[test]
    fn warm_up_is_a_twentieth_of_a_short_run() {
        let config = config(None);
        assert!((config.learning_rate_at(25) - 0.5).abs() < 1e-12);
        assert!(config.learning_rate_at(49) < 1.0);
    }
}
