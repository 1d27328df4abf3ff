//! First weights, drawn on the host from one seed: every device starts from the same numbers,
//! and the order of drawing is the order of construction.

use std::sync::Arc;

use burn::module::{Module, Param};
use burn::nn::{LayerNorm, LayerNormConfig, Linear};
use burn::tensor::{Device, Tensor, TensorData};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal};

use crate::export::state_dict::StateDict;

/// A device and the random numbers that fill it.
pub struct Init {
    rng: ChaCha8Rng,
    device: Device,
    /// What frame encoders start from in the place of random numbers.
    encoder: Option<Arc<StateDict>>,
}

impl Init {
    /// Draws from `seed`, on `device`.
    pub fn new(seed: u64, device: &Device) -> Self {
        Self { rng: ChaCha8Rng::seed_from_u64(seed), device: device.clone(), encoder: None }
    }

    /// With weights for frame encoders, which fit them.
    pub(crate) fn with_encoder(self, encoder: Option<Arc<StateDict>>) -> Self {
        Self { encoder, ..self }
    }

    /// A frame encoder that starts as it should. What is drawn after it is the same either way.
    pub(crate) fn encoder<M: Module>(&self, drawn: M) -> M {
        match &self.encoder {
            Some(weights) => weights.fill(drawn).expect("the weights were checked"),
            None => drawn,
        }
    }

    /// Normal with the given standard deviation, cut at ±2 as `trunc_normal_` does.
    pub(crate) fn normal<const D: usize>(
        &mut self,
        shape: [usize; D],
        std: f32,
    ) -> Param<Tensor<D>> {
        self.fill(shape, |rng| {
            loop {
                let draw: f32 = StandardNormal.sample(rng);
                if (draw * std).abs() <= 2.0 {
                    return draw * std;
                }
            }
        })
    }

    /// Uniform in ±`bound`.
    pub(crate) fn uniform<const D: usize>(
        &mut self,
        shape: [usize; D],
        bound: f32,
    ) -> Param<Tensor<D>> {
        self.fill(shape, |rng| rng.random_range(-bound..bound))
    }

    /// The same value everywhere.
    pub(crate) fn constant<const D: usize>(
        &mut self,
        shape: [usize; D],
        value: f32,
    ) -> Param<Tensor<D>> {
        self.fill(shape, |_| value)
    }

    /// A linear layer as DINOv2 starts it: weights normal with deviation 0.02, biases zero.
    pub(crate) fn linear(&mut self, d_input: usize, d_output: usize) -> Linear {
        Linear {
            weight: self.normal([d_input, d_output], 0.02),
            bias: Some(self.constant([d_output], 0.0)),
        }
    }

    /// A linear layer as PyTorch starts it: weights and biases uniform in ±1/√`d_input`.
    pub(crate) fn default_linear(&mut self, d_input: usize, d_output: usize) -> Linear {
        let bound = (d_input as f32).sqrt().recip();
        Linear {
            weight: self.uniform([d_input, d_output], bound),
            bias: Some(self.uniform([d_output], bound)),
        }
    }

    /// Layer norm with ε = 1e-6.
    pub(crate) fn layer_norm(&mut self, dim: usize) -> LayerNorm {
        self.layer_norm_with(dim, 1e-6)
    }

    /// Layer norm with an ε of its own.
    pub(crate) fn layer_norm_with(&mut self, dim: usize, epsilon: f64) -> LayerNorm {
        let mut norm = LayerNormConfig::new(dim).with_epsilon(epsilon).init(&self.device);
        norm.gamma = self.constant([dim], 1.0);
        norm.beta = Some(self.constant([dim], 0.0));
        norm
    }

    pub(crate) fn device(&self) -> &Device {
        &self.device
    }

    fn fill<const D: usize>(
        &mut self,
        shape: [usize; D],
        mut draw: impl FnMut(&mut ChaCha8Rng) -> f32,
    ) -> Param<Tensor<D>> {
        let values = (0..shape.iter().product()).map(|_| draw(&mut self.rng)).collect();
        Param::from_data(TensorData::new::<f32, _>(values, shape), &self.device)
    }
}
