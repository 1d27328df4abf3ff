//! Blurs as products with banded matrices.

use burn::tensor::{Int, Tensor};

use super::resample::along_width;

/// Blurs images `[n, c, h, w]` as torchvision's `gaussian_blur`, with one standard deviation in
/// pixels per image, `[n, 1, 1]`; 0 does not change an image. The kernel has `radius` pixels on
/// each side, and borders are padded by reflection, without repeating the outermost pixel.
pub(super) fn gaussian(images: Tensor<4>, deviation: Tensor<3>, radius: [usize; 2]) -> Tensor<4> {
    // At a hundredth of a pixel the kernel is exactly one pixel, and dividing by it is safe.
    let deviation = deviation.clamp_min(0.01);
    along_both_axes(images, |len, axis| {
        assert!(radius[axis] < len, "a kernel of radius {} on {len} pixels", radius[axis]);
        let [from, to] = positions(len, &deviation);
        let bell = |distance: Tensor<3>| {
            let far = distance.clone().greater_scalar(radius[axis] as f64 + 0.5);
            ((distance / deviation.clone()).square() / -2.0).exp() * far.bool_not().float()
        };
        let last = (len - 1) as f64;
        let inner = from.clone().lower_scalar(last - 0.5).float();
        let behind_first = bell(from.clone() + to.clone()) * from.clone().clamp(0.0, 1.0);
        let behind_last = bell((from.clone() + to.clone()).neg() + 2.0 * last) * inner;
        bell((from - to).abs()) + behind_first + behind_last
    })
}

/// The mean over a square of `2 · radius + 1` pixels per side, or over its part inside the image.
pub(super) fn square(images: Tensor<4>, radius: usize) -> Tensor<4> {
    let one = Tensor::ones([images.dims()[0], 1, 1], &images.device());
    along_both_axes(images, |len, _| {
        let [from, to] = positions(len, &one);
        let near = (from - to).abs().lower_scalar(radius as f64 + 0.5).float();
        near * one.clone()
    })
}

/// Multiplies both axes of images `[n, c, h, w]` with `weights(length, axis)`, `[n, from, to]`,
/// whose columns are first normalised to a sum of 1.
fn along_both_axes(images: Tensor<4>, weights: impl Fn(usize, usize) -> Tensor<3>) -> Tensor<4> {
    let [_, _, h, w] = images.dims();
    let [rows, columns] = [weights(h, 0), weights(w, 1)].map(|it| it.clone() / it.sum_dim(1));
    along_width(along_width(images, columns).swap_dims(2, 3), rows).swap_dims(2, 3)
}

/// The indices of input pixels, `[1, len, 1]`, and of output pixels, `[1, 1, len]`.
fn positions(len: usize, on: &Tensor<3>) -> [Tensor<3>; 2] {
    let index = Tensor::<1, Int>::arange(0..len as i64, &on.device()).float();
    [index.clone().reshape([1, len, 1]), index.reshape([1, 1, len])]
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData, Tolerance};

    use super::*;

    fn picture([h, w]: [usize; 2]) -> Vec<f32> {
        (0..h * w).map(|idx| ((idx * 37 + idx * idx * 11) % 101) as f32 / 100.0).collect()
    }

    fn image(values: Vec<f32>, shape: [usize; 4]) -> Tensor<4> {
        Tensor::from_data(TensorData::new(values, shape), &Device::flex())
    }

    fn deviations(values: &[f32]) -> Tensor<3> {
        Tensor::<1>::from_floats(values, &Device::flex()).reshape([-1, 1, 1])
    }

    /// A row blurred with torchvision's kernel and reflection padding.
    fn blurred(row: &[f32], sigma: f32, radius: i64) -> Vec<f32> {
        let len = row.len() as i64;
        let weight = |d: i64| (-0.5 * (d as f32 / sigma).powi(2)).exp();
        let sum: f32 = (-radius..=radius).map(weight).sum();
        let reflect = |at: i64| (len - 1 - (len - 1 - at.abs()).abs()) as usize;
        let at = |x: i64| (-radius..=radius).map(|d| weight(d) * row[reflect(x + d)]).sum::<f32>();
        (0..len).map(|x| at(x) / sum).collect()
    }

    fn columns(values: &[f32], w: usize) -> Vec<Vec<f32>> {
        (0..w).map(|x| values.iter().skip(x).step_by(w).copied().collect()).collect()
    }

    #[test]
    fn the_blur_is_torchvisions_kernel_with_reflection_padding() {
        let (h, w) = (7, 5);
        let values = picture([h, w]);
        for (sigma, radius) in [(0.7, [2, 1]), (2.0, [3, 4]), (50.0, [6, 4])] {
            let wide: Vec<f32> =
                values.chunks(w).flat_map(|row| blurred(row, sigma, radius[1] as i64)).collect();
            let tall: Vec<_> =
                columns(&wide, w).iter().map(|it| blurred(it, sigma, radius[0] as i64)).collect();
            let wanted: Vec<f32> = (0..h * w).map(|idx| tall[idx % w][idx / w]).collect();
            let got = gaussian(image(values.clone(), [1, 1, h, w]), deviations(&[sigma]), radius);
            let wanted = TensorData::new(wanted, [1, 1, h, w]);
            got.into_data().assert_approx_eq(&wanted, Tolerance::<f32>::absolute(2e-6));
        }
    }

    #[test]
    fn each_image_has_its_own_deviation_and_zero_changes_nothing() {
        let twice = image(picture([6, 8]).repeat(2), [2, 1, 6, 8]);
        let got = gaussian(twice.clone(), deviations(&[0.0, 1.0]), [3, 3]);
        let [sharp, soft] = [0, 1].map(|it| got.clone().narrow(0, it, 1).into_data());
        assert_eq!(sharp, twice.clone().narrow(0, 0, 1).into_data());
        assert_ne!(soft, sharp);
    }

    #[test]
    fn the_square_is_a_mean_of_the_pixels_inside_the_image() {
        let values: Vec<f32> = (0..9).map(|it| it as f32).collect();
        let got = square(image(values, [1, 1, 3, 3]), 1).into_data();
        // The corner sees 0, 1, 3, 4; the edge 0 to 5; the centre all.
        let wanted = vec![2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 5.5, 6.0_f32];
        let wanted = TensorData::new(wanted, [1, 1, 3, 3]);
        got.assert_approx_eq(&wanted, Tolerance::<f32>::absolute(1e-5));
    }
}
