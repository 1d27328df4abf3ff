//! Initial weights. They are drawn on the CPU from one seed, in the order in which layers are
//! constructed, so that every device starts from the same weights.

use std::sync::Arc;

use burn::module::{Module, Param};
use burn::nn::{LayerNorm, LayerNormConfig, Linear};
use burn::tensor::{Device, Tensor, TensorData};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal};

use crate::export::state_dict::StateDict;

/// Initialises layers: a device and a seeded random generator.
pub struct Init {
    rng: ChaCha8Rng,
    device: Device,
    /// Weights that frame encoders start from instead of random numbers.
    encoder: Option<Arc<StateDict>>,
}

impl Init {
    /// Initialises layers on `device` from `seed`.
    pub fn new(seed: u64, device: &Device) -> Self {
        Self { rng: ChaCha8Rng::seed_from_u64(seed), device: device.clone(), encoder: None }
    }

    /// Sets the weights that frame encoders start from. They must fit the encoder.
    pub(crate) fn with_encoder(self, encoder: Option<Arc<StateDict>>) -> Self {
        Self { encoder, ..self }
    }

    /// A frame encoder with the imported weights, or as `drawn` if there are none. `drawn` is needed
    /// in both cases, so that the layers after it get the same random numbers.
    pub(crate) fn encoder<M: Module>(&self, drawn: M) -> M {
        match &self.encoder {
            Some(weights) => weights.fill(drawn).expect("import checked the weights"),
            None => drawn,
        }
    }

    /// Normal with standard deviation `std`, truncated at ±2, as PyTorch's `trunc_normal_`.
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

    /// `value` everywhere.
    pub(crate) fn constant<const D: usize>(
        &mut self,
        shape: [usize; D],
        value: f32,
    ) -> Param<Tensor<D>> {
        self.fill(shape, |_| value)
    }

    /// A linear layer as in DINOv2: normal weights of standard deviation 0.02, zero biases.
    pub(crate) fn linear(&mut self, d_input: usize, d_output: usize) -> Linear {
        Linear {
            weight: self.normal([d_input, d_output], 0.02),
            bias: Some(self.constant([d_output], 0.0)),
        }
    }

    /// A linear layer as in PyTorch: weights and biases uniform in ±1/√`d_input`.
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

    /// Layer norm with ε = `epsilon`.
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
