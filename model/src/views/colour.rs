//! Torchvision's colour operations on images `[n, 3, h, w]` with values in 0..=1, with one factor
//! per image, `[n, 1, 1, 1]`.

use burn::tensor::Tensor;

/// Weights of red, green and blue in the brightness (ITU-R BT.601). Torchvision has 0.2989 for red;
/// these weights sum to 1, so that a grey image stays unchanged.
const LUMA: [f32; 3] = [0.299, 0.587, 0.114];

/// Brightness, `[n, 1, h, w]`.
pub(super) fn grey(images: Tensor<4>) -> Tensor<4> {
    let luma = Tensor::<1>::from_floats(LUMA, &images.device()).reshape([1, 3, 1, 1]);
    (images * luma).sum_dim(1)
}

/// `adjust_brightness`: blends with black.
pub(super) fn brighten(images: Tensor<4>, factor: Tensor<4>) -> Tensor<4> {
    (images * factor).clamp(0.0, 1.0)
}

/// `adjust_contrast`: blends with the mean brightness of the image.
pub(super) fn contrast(images: Tensor<4>, factor: Tensor<4>) -> Tensor<4> {
    let mean = grey(images.clone()).mean_dims(&[2, 3]);
    blend(images, mean, factor)
}

/// `adjust_saturation`: blends with the grey image.
pub(super) fn saturate(images: Tensor<4>, factor: Tensor<4>) -> Tensor<4> {
    let grey = grey(images.clone());
    blend(images, grey, factor)
}

/// `_blend`: a factor above 1 moves away from `other`.
fn blend(images: Tensor<4>, other: Tensor<4>, factor: Tensor<4>) -> Tensor<4> {
    let rest = factor.clone().neg() + 1.0;
    (images * factor + other * rest).clamp(0.0, 1.0)
}

/// `adjust_hue`: shifts the hue of HSV by a fraction of the colour circle, −0.5..=0.5. Value and
/// chroma stay, and so do grey pixels, which have no hue.
pub(super) fn shift_hue(images: Tensor<4>, turn: Tensor<4>) -> Tensor<4> {
    let value = images.clone().max_dim(1);
    let chroma = value.clone() - images.clone().min_dim(1);
    let sextant = sextant(images, &value, &chroma) + turn * 6.0;
    let channel = |at: f64| {
        let place = (sextant.clone() + (at + 6.0)).remainder_scalar(6.0);
        let missing = place.clone().min_pair(place.neg() + 4.0).clamp(0.0, 1.0);
        value.clone() - chroma.clone() * missing
    };
    Tensor::cat(vec![channel(5.0), channel(3.0), channel(1.0)], 1)
}

/// The hue in sixths of the colour circle, −1..5, starting at red: `[n, 1, h, w]`.
fn sextant(images: Tensor<4>, value: &Tensor<4>, chroma: &Tensor<4>) -> Tensor<4> {
    let [red, green, blue] = [0, 1, 2].map(|it| images.clone().narrow(1, it, 1));
    let is_red = red.clone().equal(value.clone());
    let is_green = green.clone().equal(value.clone()).bool_and(is_red.clone().bool_not());
    // Where the chroma is zero, so are the differences, and the hue is that of red.
    let chroma = chroma.clone().clamp_min(1e-8);
    let from_blue = (red.clone() - green.clone()) / chroma.clone() + 4.0;
    let from_green = (blue.clone() - red) / chroma.clone() + 2.0;
    let from_red = (green - blue) / chroma;
    from_blue.mask_where(is_green, from_green).mask_where(is_red, from_red)
}

/// `solarize` with threshold one half: inverts values of at least one half.
pub(super) fn solarise(images: Tensor<4>) -> Tensor<4> {
    let bright = images.clone().greater_equal_scalar(0.5);
    images.clone().mask_where(bright, images.neg() + 1.0)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData, Tolerance};

    use super::*;

    /// Pixels in a column, `[1, 3, pixels, 1]`.
    fn image(pixels: &[[f32; 3]]) -> Tensor<4> {
        let values = TensorData::new(pixels.as_flattened().to_vec(), [1, pixels.len(), 1, 3]);
        Tensor::from_data(values, &Device::flex()).permute([0, 3, 1, 2])
    }

    fn factor(value: f32) -> Tensor<4> {
        Tensor::<1>::from_floats([value], &Device::flex()).reshape([1, 1, 1, 1])
    }

    fn assert_pixels(got: Tensor<4>, wanted: &[[f32; 3]]) {
        let wanted = image(wanted).into_data();
        got.into_data().assert_approx_eq(&wanted, Tolerance::<f32>::absolute(2e-6));
    }

    /// Torchvision's `_rgb2hsv`, the shift of the hue, and `_hsv2rgb`, for one pixel.
    fn turned([r, g, b]: [f32; 3], turn: f32) -> [f32; 3] {
        let (max, min) = (r.max(g).max(b), r.min(g).min(b));
        if max == min {
            return [r, g, b];
        }
        let chroma = max - min;
        let [rc, gc, bc] = [r, g, b].map(|it| (max - it) / chroma);
        let sextant = if max == r {
            bc - gc
        } else if max == g {
            2.0 + rc - bc
        } else {
            4.0 + gc - rc
        };
        let (h, s, v) = ((sextant / 6.0 + 1.0).fract(), chroma / max, max);
        let h = (h + turn).rem_euclid(1.0) * 6.0;
        let f = h - h.floor();
        let [p, q, t] = [1.0 - s, 1.0 - s * f, 1.0 - s * (1.0 - f)].map(|it| v * it);
        match h.floor() as u32 % 6 {
            0 => [v, t, p],
            1 => [q, v, p],
            2 => [p, v, t],
            3 => [p, q, v],
            4 => [t, p, v],
            _ => [v, p, q],
        }
    }

    const EARTH: [f32; 3] = [0.8, 0.4, 0.2];

    #[test]
    fn brightness_scales_and_stops_at_white() {
        assert_pixels(brighten(image(&[EARTH]), factor(1.5)), &[[1.0, 0.6, 0.3]]);
        assert_pixels(brighten(image(&[EARTH]), factor(0.0)), &[[0.0; 3]]);
    }

    #[test]
    fn grey_is_the_weighted_mean_and_keeps_grey() {
        assert_pixels(grey(image(&[EARTH])).repeat_dim(1, 3), &[[0.4968; 3]]);
        assert_pixels(grey(image(&[[0.3; 3]])).repeat_dim(1, 3), &[[0.3; 3]]);
    }

    #[test]
    fn contrast_moves_away_from_the_mean_grey_of_the_image() {
        // The mean of 0.4968 and 0 is 0.2484.
        let pair = image(&[EARTH, [0.0; 3]]);
        let wanted = [[1.0, 0.5516, 0.1516], [0.0; 3]];
        assert_pixels(contrast(pair.clone(), factor(2.0)), &wanted);
        assert_pixels(contrast(pair, factor(0.0)), &[[0.2484; 3]; 2]);
    }

    #[test]
    fn saturation_moves_away_from_grey() {
        let half = [0.6484, 0.4484, 0.3484];
        assert_pixels(saturate(image(&[EARTH]), factor(0.5)), &[half]);
        assert_pixels(saturate(image(&[EARTH]), factor(0.0)), &[[0.4968; 3]]);
    }

    #[test]
    fn the_hue_shifts_around_the_colour_circle() {
        let (red, green, blue) = ([1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]);
        let third = 1.0 / 3.0;
        let turned = shift_hue(image(&[red, green, blue]), factor(third));
        assert_pixels(turned, &[green, blue, red]);
        assert_pixels(shift_hue(image(&[EARTH]), factor(0.5)), &[[0.2, 0.6, 0.8]]);
    }

    #[test]
    fn the_hue_shift_agrees_with_a_conversion_to_hsv_and_back() {
        let level = |idx: usize, step: usize| ((idx * step) % 11) as f32 / 10.0;
        let pixels: Vec<_> =
            (0..60).map(|it| [level(it, 3), level(it, 7), level(it / 3, 5)]).collect();
        for turn in [-0.5, -0.1, 0.0, 0.07, 0.5] {
            let wanted: Vec<_> = pixels.iter().map(|it| turned(*it, turn)).collect();
            assert_pixels(shift_hue(image(&pixels), factor(turn)), &wanted);
        }
    }

    #[test]
    fn solarise_inverts_values_of_at_least_one_half() {
        let wanted = [[0.2, 0.4, 0.2], [0.5, 0.0, 0.49]];
        assert_pixels(solarise(image(&[EARTH, [0.5, 1.0, 0.49]])), &wanted);
    }
}
