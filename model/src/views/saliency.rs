//! Saliency maps from contrast and motion, instead of a trained saliency model.

use burn::tensor::Tensor;

use super::{blur, colour};
use crate::clips::denormalise;

/// Added to the saliency, where 1 is the contrast of black and white: a quarter of an 8-bit step.
/// With it every cell is possible, and the map of a clip without contrast is uniform.
const FLOOR: f64 = 1e-3;

/// Saliency maps of clips `[n, t, 3, h, w]`: `[n, h, w]`, each with sum 1. Saliency is the
/// difference of a pixel from its surroundings plus its change over time, smoothed. A clip of one
/// frame has no change over time.
///
/// The surroundings and the smoothing are squares of an eighth of the shorter side.
pub(crate) fn saliency(frames: Tensor<5>) -> Tensor<3> {
    let [n, t, _, h, w] = frames.dims();
    let radius = (h.min(w) / 16).max(1);
    let grey = colour::grey(denormalise(frames.flatten(0, 1))).reshape([n, t, h, w]);
    let contrast = (grey.clone() - blur::square(grey.clone(), radius)).abs().mean_dim(1);
    let salient = match t {
        1 => contrast,
        _ => contrast + change(grey).mean_dim(1),
    };
    let salient = blur::square(salient, radius) + FLOOR;
    let salient: Tensor<3> = salient.squeeze_dim(1);
    salient.clone() / salient.sum_dims(&[1, 2])
}

/// Absolute difference of consecutive frames, `[n, t, h, w]` to `[n, t - 1, h, w]`.
fn change(grey: Tensor<4>) -> Tensor<4> {
    let last = grey.dims()[1] - 1;
    (grey.clone().narrow(1, 1, last) - grey.narrow(1, 0, last)).abs()
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::clips::normalise;

    /// Frames of one colour each, `[1, t, 3, 32, 48]`.
    fn plain(levels: &[f32]) -> Tensor<5> {
        let levels = Tensor::<1>::from_floats(levels, &Device::flex());
        normalise(levels.reshape([1, -1, 1, 1, 1]).repeat(&[1, 1, 3, 32, 48]))
    }

    /// A bright square of 6 at a row and a column, in grey.
    fn with_square(frames: Tensor<5>, frame: usize, [row, column]: [usize; 2]) -> Tensor<5> {
        let white = normalise(Tensor::ones([1, 1, 3, 6, 6], &frames.device()));
        frames.slice_assign([0..1, frame..frame + 1, 0..3, row..row + 6, column..column + 6], white)
    }

    fn share(map: &Tensor<3>, [rows, columns]: [std::ops::Range<usize>; 2]) -> f32 {
        map.clone().slice([0..1, rows, columns]).sum().into_scalar()
    }

    #[test]
    fn a_constant_clip_is_uniform() {
        for frames in [plain(&[0.3]), plain(&[0.7, 0.7, 0.7]), plain(&[0.1, 0.9])] {
            let map = saliency(frames);
            let spread: f32 = (map * (32.0 * 48.0) - 1.0).abs().max().into_scalar();
            assert!(spread < 1e-3, "{spread}");
        }
    }

    #[test]
    fn contrast_is_salient_and_maps_sum_to_one() {
        let map = saliency(with_square(plain(&[0.2]), 0, [4, 30]));
        let sum: f32 = map.clone().sum().into_scalar();
        assert!((sum - 1.0).abs() < 1e-5, "{sum}");
        assert!(share(&map, [0..16, 24..48]) > 0.9, "a quarter holds the square");
    }

    #[test]
    fn motion_is_more_salient_than_a_static_square() {
        let still = [0, 1].iter().fold(plain(&[0.2, 0.2]), |it, t| with_square(it, *t, [4, 4]));
        let moving = with_square(with_square(still, 0, [22, 32]), 1, [22, 36]);
        let map = saliency(moving);
        let (still, moving) = (share(&map, [0..16, 0..24]), share(&map, [16..32, 24..48]));
        assert!(moving > 1.3 * still && still > 0.1, "{moving} {still}");
    }

    #[test]
    fn the_map_of_a_clip_does_not_depend_on_other_clips() {
        let [upper, lower] = [[4, 4], [20, 30]].map(|it| with_square(plain(&[0.2]), 0, it));
        let both = saliency(Tensor::cat(vec![upper.clone(), lower.clone()], 0));
        let apart = Tensor::cat(vec![saliency(upper), saliency(lower)], 0);
        let gap: f32 = (both - apart).abs().max().into_scalar();
        assert!(gap < 1e-7, "{gap}");
    }
}
