//! Five 3D convolutions over a few frames: the encoder of AdaSSL's Moving-MNIST experiment
//! (Zhang et al., 2026, appendix D.5, with strides 2, 2, 1, 1, 2).

use burn::module::Module;
use burn::nn::PaddingConfig3d;
use burn::nn::conv::{Conv3d, Conv3dConfig};
use burn::tensor::Tensor;
use burn::tensor::activation::relu;

use crate::Init;
use crate::nn::batch_norm::{BatchNorm, NormMode};
use crate::train::nan_trace::watched;

const STRIDES: [usize; 5] = [2, 2, 1, 1, 2];
const KERNEL: usize = 3;

/// The dimensions of the 3D convolutions.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Conv3dShape {
    /// Output channels of the five layers.
    pub channels: [usize; 5],
    /// Frames per window: one window is one input.
    pub frames: usize,
}

impl Conv3dShape {
    /// Width of a token: the output channels of the last layer, times the frames.
    pub(crate) fn dim(&self) -> usize {
        self.channels[4] * self.frames
    }

    /// An encoder with PyTorch's uniform initial weights.
    pub fn init(&self, init: &mut Init) -> Conv3dEncoder {
        let inputs = [3].into_iter().chain(self.channels);
        let layers = inputs.zip(self.channels).zip(STRIDES);
        let layers = layers.map(|((input, output), stride)| Layer {
            conv: convolution([input, output], stride, init),
            norm: BatchNorm::affine(output, 1.0, init),
        });
        let layers = layers.collect();
        init.encoder(Conv3dEncoder { layers, frames: self.frames })
    }
}

/// 3D convolutions: a window of frames to one token.
#[derive(Module, Debug)]
pub struct Conv3dEncoder {
    layers: Vec<Layer>,
    #[module(skip)]
    frames: usize,
}

#[derive(Module, Debug)]
struct Layer {
    conv: Conv3d,
    norm: BatchNorm,
}

impl Conv3dEncoder {
    /// Frames per window.
    pub(crate) fn frames(&self) -> usize {
        self.frames
    }

    /// Frames `[n, 3 · t, h, w]` to tokens `[n, 2, channels · t]`. Both tokens are the same: the
    /// spatial mean of each frame's feature map, concatenated over frames. The first stands for the
    /// whole image, the second for its only cell.
    pub fn forward(&self, frames: Tensor<4>, mode: NormMode) -> Tensor<3> {
        let [n, channels, h, w] = frames.dims();
        let t = channels / 3;
        let x: Tensor<5> = frames.reshape([n, t, 3, h, w]).swap_dims(1, 2);
        let x = self
            .layers
            .iter()
            .fold(x, |x, layer| relu(layer.norm.forward(watched::conv3d(&layer.conv, x), mode)));
        let pooled: Tensor<3> = x.flatten::<4>(3, 4).mean_dim(3).squeeze_dim(3);
        let token: Tensor<3> = pooled.swap_dims(1, 2).reshape([n as i32, 1, -1]);
        token.repeat_dim(1, 2)
    }
}

/// A convolution without bias that keeps the number of frames and divides the size by `stride`.
fn convolution(channels: [usize; 2], stride: usize, init: &mut Init) -> Conv3d {
    let [input, output] = channels;
    let mut convolution = Conv3dConfig::new(channels, [KERNEL; 3])
        .with_stride([1, stride, stride])
        .with_padding(PaddingConfig3d::Explicit(1, 1, 1))
        .with_bias(false)
        .init(init.device());
    let bound = ((input * KERNEL.pow(3)) as f32).sqrt().recip();
    convolution.weight = init.uniform([output, input, KERNEL, KERNEL, KERNEL], bound);
    convolution
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution};

    use super::*;

    #[test]
    fn the_token_has_the_papers_width_and_depends_on_the_order_of_frames() {
        let device = Device::flex();
        let shape = Conv3dShape { channels: [32, 64, 128, 128, 256], frames: 3 };
        assert_eq!(shape.dim(), 768);
        let shape = Conv3dShape { channels: [4, 4, 4, 4, 6], frames: 3 };
        let network = shape.init(&mut Init::new(0, &device));
        let frames = Tensor::random([2, 9, 32, 32], Distribution::Normal(0.0, 1.0), &device);
        let backwards = frames.clone().reshape([2, 3, 3, 32, 32]).flip([1]).reshape([2, 9, 32, 32]);
        let token = network.forward(frames, NormMode::Evaluate);
        assert_eq!(token.dims(), [2, 2, 18]);
        let off: f32 =
            (token - network.forward(backwards, NormMode::Evaluate)).abs().max().into_scalar();
        assert!(off > 1e-3, "the order of the frames changes {off}");
    }
}
