//! Layers with watched outputs, so that `Trainer::trace` can name the layer of the first number
//! that is not finite.
//!
//! Only the calling thread is watched. While it is not, a layer costs one check of a flag.

use std::cell::RefCell;

use burn::module::{Param, ParamId};
use burn::nn::conv::{Conv2d, Conv3d};
use burn::nn::{LayerNorm, Linear};
use burn::tensor::Tensor;

use super::NotFinite;

/// The first output that is not finite, by the weight of its layer.
pub(crate) struct First {
    pub(crate) weight: ParamId,
    pub(crate) found: NotFinite,
}

enum Watch {
    Off,
    On(Option<First>),
}

thread_local! {
    static WATCH: RefCell<Watch> = const { RefCell::new(Watch::Off) };
}

/// Runs `work`, and gives the first output of its layers that is not finite.
pub(crate) fn first(work: impl FnOnce()) -> Option<First> {
    WATCH.replace(Watch::On(None));
    work();
    match WATCH.replace(Watch::Off) {
        Watch::On(first) => first,
        Watch::Off => None,
    }
}

/// Checks the output of a layer, and returns it.
pub(crate) fn output<const W: usize, const D: usize>(
    weight: &Param<Tensor<W>>,
    output: Tensor<D>,
) -> Tensor<D> {
    WATCH.with_borrow_mut(|watch| {
        if let Watch::On(first @ None) = watch {
            let found = NotFinite::of(String::new(), output.clone());
            *first = found.map(|found| First { weight: weight.id, found });
        }
    });
    output
}

/// `layer.forward(x)`.
pub(crate) fn linear<const D: usize>(layer: &Linear, x: Tensor<D>) -> Tensor<D> {
    output(&layer.weight, layer.forward(x))
}

/// `layer.forward(x)`.
pub(crate) fn norm<const D: usize>(layer: &LayerNorm, x: Tensor<D>) -> Tensor<D> {
    output(&layer.gamma, layer.forward(x))
}

/// `layer.forward(x)`.
pub(crate) fn conv2d(layer: &Conv2d, x: Tensor<4>) -> Tensor<4> {
    output(&layer.weight, layer.forward(x))
}

/// `layer.forward(x)`.
pub(crate) fn conv3d(layer: &Conv3d, x: Tensor<5>) -> Tensor<5> {
    output(&layer.weight, layer.forward(x))
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::Init;

    #[test]
    fn the_first_of_several_layers_is_found_and_only_while_watched() {
        let device = Device::flex();
        let mut init = Init::new(0, &device);
        let layers = [init.linear(2, 3), init.linear(3, 3), init.linear(3, 2)];
        let run = |x: [f32; 2]| {
            let x = Tensor::<2>::from_floats([x, [0.5, 0.5]], &device);
            let large = linear(&layers[0], x) * 1e38;
            drop(linear(&layers[2], linear(&layers[1], large * 1e38)));
        };
        run([f32::NAN, 1.0]);
        assert!(first(|| ()).is_none(), "was not watched");
        let output = first(|| run([1.0, 1.0])).unwrap();
        assert_eq!(output.weight, layers[1].weight.id, "the layer before it gives finite numbers");
        assert!(output.found.wrong > 0 && output.found.of == 6);
        let output = first(|| run([f32::NAN, 1.0])).unwrap();
        assert_eq!((output.weight, output.found.wrong), (layers[0].weight.id, 3));
        assert!(first(|| drop(linear(&layers[0], Tensor::<2>::zeros([1, 2], &device)))).is_none());
    }
}
