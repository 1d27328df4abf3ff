//! ResNet-18 (He et al., 2016) as in torchvision, without its classifier and with
//! `zero_init_residual`: every block starts as the identity.

use burn::module::Module;
use burn::nn::PaddingConfig2d;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::tensor::Tensor;
use burn::tensor::activation::relu;

use crate::Init;
use crate::nn::batch_norm::{BatchNorm, NormMode};
use crate::train::nan_trace::watched;

/// The dimensions of a ResNet-18 that configs choose.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ResNetShape {
    /// Whether the first convolution is 3 x 3 with stride 1 and without pooling, as for CIFAR.
    pub small_images: bool,
}

impl ResNetShape {
    /// Width of the last feature map.
    pub(crate) const DIM: usize = 512;

    /// A ResNet-18 with initial weights: convolutions normal, standard deviation √(2 / fan-out).
    pub fn init(&self, init: &mut Init) -> ResNet18 {
        let [kernel, stride] = if self.small_images { [3, 1] } else { [7, 2] };
        let conv1 = convolution([3, 64], kernel, stride, init);
        let bn1 = BatchNorm::affine(64, 1.0, init);
        let pool = MaxPool2dConfig::new([3, 3])
            .with_strides([2, 2])
            .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
            .init();
        let mut stage = |input, output, stride| {
            let first = BasicBlock::new(input, output, stride, init);
            vec![first, BasicBlock::new(output, output, 1, init)]
        };
        let layer1 = stage(64, 64, 1);
        let layer2 = stage(64, 128, 2);
        let layer3 = stage(128, 256, 2);
        let layer4 = stage(256, 512, 2);
        let maxpool = (!self.small_images).then_some(pool);
        init.encoder(ResNet18 { conv1, bn1, maxpool, layer1, layer2, layer3, layer4 })
    }
}

/// ResNet-18: images to the cells of its last feature map.
#[derive(Module, Debug)]
pub struct ResNet18 {
    conv1: Conv2d,
    bn1: BatchNorm,
    maxpool: Option<MaxPool2d>,
    layer1: Vec<BasicBlock>,
    layer2: Vec<BasicBlock>,
    layer3: Vec<BasicBlock>,
    layer4: Vec<BasicBlock>,
}

impl ResNet18 {
    /// Images `[n, 3, h, w]` to tokens `[n, 1 + cells, 512]`. The first token is the mean of the
    /// cells, which torchvision calls the features.
    pub fn forward(&self, images: Tensor<4>, mode: NormMode) -> Tensor<3> {
        let x = relu(self.bn1.forward(watched::conv2d(&self.conv1, images), mode));
        let x = match &self.maxpool {
            Some(pool) => pool.forward(x),
            None => x,
        };
        let blocks = [&self.layer1, &self.layer2, &self.layer3, &self.layer4];
        let x = blocks.into_iter().flatten().fold(x, |x, block| block.forward(x, mode));
        let cells: Tensor<3> = x.flatten::<3>(2, 3).swap_dims(1, 2);
        Tensor::cat(vec![cells.clone().mean_dim(1), cells], 1)
    }
}

#[derive(Module, Debug)]
struct BasicBlock {
    conv1: Conv2d,
    bn1: BatchNorm,
    conv2: Conv2d,
    bn2: BatchNorm,
    /// The shortcut where dimensions change. In torchvision its layers are named `0` and `1`, as
    /// the fields of a tuple are here.
    downsample: Option<(Conv2d, BatchNorm)>,
}

impl BasicBlock {
    fn new(input: usize, output: usize, stride: usize, init: &mut Init) -> Self {
        Self {
            conv1: convolution([input, output], 3, stride, init),
            bn1: BatchNorm::affine(output, 1.0, init),
            conv2: convolution([output, output], 3, 1, init),
            bn2: BatchNorm::affine(output, 0.0, init),
            downsample: (stride > 1 || input != output).then(|| {
                let conv = convolution([input, output], 1, stride, init);
                (conv, BatchNorm::affine(output, 1.0, init))
            }),
        }
    }

    fn forward(&self, x: Tensor<4>, mode: NormMode) -> Tensor<4> {
        let shortcut = match &self.downsample {
            Some((conv, norm)) => norm.forward(watched::conv2d(conv, x.clone()), mode),
            None => x.clone(),
        };
        let x = relu(self.bn1.forward(watched::conv2d(&self.conv1, x), mode));
        relu(self.bn2.forward(watched::conv2d(&self.conv2, x), mode) + shortcut)
    }
}

/// A square convolution without bias that divides the size by `stride`.
fn convolution(channels: [usize; 2], kernel: usize, stride: usize, init: &mut Init) -> Conv2d {
    let [input, output] = channels;
    let padding = kernel / 2;
    let mut convolution = Conv2dConfig::new(channels, [kernel, kernel])
        .with_stride([stride, stride])
        .with_padding(PaddingConfig2d::Explicit(padding, padding, padding, padding))
        .with_bias(false)
        .init(init.device());
    let deviation = (2.0 / (output * kernel * kernel) as f32).sqrt();
    convolution.weight = init.normal([output, input, kernel, kernel], deviation);
    convolution
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution};

    use super::*;
    use crate::nn::parameters::count;

    #[test]
    fn parameters_and_features_are_those_of_torchvision() {
        let device = Device::flex();
        let network = ResNetShape { small_images: false }.init(&mut Init::new(0, &device));
        // torchvision's 11,689,512 without the classifier's 513,000.
        assert_eq!(count(&network), 11_176_512);
        let images = Tensor::random([2, 3, 64, 96], Distribution::Normal(0.0, 1.0), &device);
        let tokens = network.forward(images, NormMode::Train);
        assert_eq!(tokens.dims(), [2, 1 + 2 * 3, 512]);
        let mean = tokens.clone().narrow(1, 1, 6).mean_dim(1);
        let off: f32 = (mean - tokens.narrow(1, 0, 1)).abs().max().into_scalar();
        assert!(off < 1e-5, "{off}");
    }

    #[test]
    fn small_images_have_a_larger_feature_map() {
        let device = Device::flex();
        let network = ResNetShape { small_images: true }.init(&mut Init::new(0, &device));
        let images = Tensor::zeros([1, 3, 32, 32], &device);
        assert_eq!(network.forward(images, NormMode::Evaluate).dims(), [1, 1 + 4 * 4, 512]);
    }
}
