//! Crops and resizes boxes of images with two batched matrix products.

use burn::tensor::{Device, Int, Tensor};

/// How pixels outside of a box count.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Border {
    /// Only pixels inside the box count, and the outermost are repeated: torchvision's `crop`, then
    /// `resize`.
    Clamp,
    /// Pixels around the box count, and around the image there are zeros: PyTorch's `grid_sample`.
    Zeros,
}

/// One box per image, in fractions of the image size.
#[derive(Clone, Debug)]
pub(crate) struct Boxes {
    /// Row of the centre, `[n]`: 0 is the top edge of the image, 1 the bottom edge.
    pub(crate) row: Tensor<1>,
    /// Column of the centre, `[n]`: 0 is the left edge of the image, 1 the right edge.
    pub(crate) column: Tensor<1>,
    /// Height, `[n]`.
    pub(crate) height: Tensor<1>,
    /// Width, `[n]`.
    pub(crate) width: Tensor<1>,
    /// 1 where the box is flipped horizontally, else 0, `[n]`.
    pub(crate) flip: Tensor<1>,
    /// How pixels outside of the box count.
    pub(crate) border: Border,
}

impl Boxes {
    /// Boxes around `centres` `[n, 2]` (row, column), whose height and width are both the fraction
    /// `sides` `[n]` of the image's. Around the image there are zeros.
    pub(crate) fn around(centres: Tensor<2>, sides: Tensor<1>) -> Self {
        Self {
            row: centres.clone().narrow(1, 0, 1).squeeze_dim(1),
            column: centres.narrow(1, 1, 1).squeeze_dim(1),
            flip: sides.zeros_like(),
            height: sides.clone(),
            width: sides,
            border: Border::Zeros,
        }
    }

    /// Boxes that cover `n` images completely.
    pub(crate) fn whole(n: usize, device: &Device) -> Self {
        let around = Self::around(Tensor::full([n, 2], 0.5, device), Tensor::ones([n], device));
        Self { border: Border::Clamp, ..around }
    }
}

/// Crops boxes from images `[n, c, h, w]` and resizes them to `size` = `[height, width]`:
/// `[n, c, height, width]`. Interpolation is bilinear, with torchvision's `antialias=True` where a
/// box shrinks. A box that is completely outside of its image gives zeros.
pub(crate) fn resample(images: Tensor<4>, boxes: &Boxes, size: [usize; 2]) -> Tensor<4> {
    let [n, _, h, w] = images.dims();
    let column = |of: &Tensor<1>| of.clone().reshape([n, 1, 1]);
    let upright = column(&boxes.flip.ones_like());
    let mirrored = upright.clone() - column(&boxes.flip) * 2.0;
    let rows = Span { centre: column(&boxes.row), side: column(&boxes.height), sign: upright };
    let columns =
        Span { centre: column(&boxes.column), side: column(&boxes.width), sign: mirrored };
    let narrow = along_width(images, columns.weights([w, size[1]], boxes.border));
    let upended = narrow.swap_dims(2, 3);
    along_width(upended, rows.weights([h, size[0]], boxes.border)).swap_dims(2, 3)
}

/// Multiplies the rows of images `[n, c, h, w]` with one matrix per image, `[n, w, to]`.
pub(super) fn along_width(images: Tensor<4>, weights: Tensor<3>) -> Tensor<4> {
    let [n, c, h, w] = images.dims();
    let to = weights.dims()[2];
    images.reshape([n, c * h, w]).matmul(weights).reshape([n, c, h, to])
}

/// One axis of the boxes, in fractions of the image size; every tensor is `[n, 1, 1]`.
struct Span {
    centre: Tensor<3>,
    side: Tensor<3>,
    /// −1 where the axis is flipped, else 1.
    sign: Tensor<3>,
}

impl Span {
    /// The weight of each image pixel in each view pixel, `[n, from, to]`: a triangle around the
    /// sampled position, wider where the view shrinks.
    fn weights(self, [from, to]: [usize; 2], border: Border) -> Tensor<3> {
        let count = |len: usize| Tensor::<1, Int>::arange(0..len as i64, &self.side.device());
        let pixels = count(from).float().reshape([1, from, 1]);
        let offsets = (count(to).float() + (0.5 - to as f64 / 2.0)).reshape([1, 1, to]);
        let centre = self.centre * from as f64 - 0.5;
        let side = self.side * from as f64;
        let scale = side.clone() / to as f64;
        let places = centre.clone() + self.sign * offsets * scale.clone();
        let reach = scale.clamp_min(1.0);
        let hat = ((places.clone() - pixels.clone()).abs() / reach.clone() - 1.0).neg();
        let hat = hat.clamp_min(0.0);
        match border {
            Border::Zeros => hat / triangle_sum(places, reach),
            Border::Clamp => {
                // A pixel is in the box if they overlap; the margin allows for rounding.
                let overlap = (side + 1.0) / 2.0 - (pixels - centre).abs();
                let hat = hat * overlap.greater_scalar(1e-3).float();
                hat.clone() / hat.sum_dim(1).clamp_min(1e-6)
            }
        }
    }
}

/// The sum of `max(0, 1 − |place − k| / reach)` over all integers k, also outside of the image.
fn triangle_sum(place: Tensor<3>, reach: Tensor<3>) -> Tensor<3> {
    let after = place.clone() - place.floor();
    // Integers k ≤ place are at distances `after`, `after` + 1, ...; the others at 1 − `after`, ...
    let series = |nearest: Tensor<3>| {
        let terms = (reach.clone() - nearest.clone()).floor() + 1.0;
        let distances = terms.clone() * (nearest + (terms.clone() - 1.0) / 2.0);
        terms - distances / reach.clone()
    };
    series(after.clone()) + series(after.neg() + 1.0)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData, Tolerance};

    use super::*;

    fn picture([h, w]: [usize; 2]) -> Vec<f32> {
        (0..h * w).map(|idx| ((idx * 37 + idx * idx * 11) % 101) as f32 / 50.0 - 1.0).collect()
    }

    fn image(values: &[f32], [h, w]: [usize; 2]) -> Tensor<4> {
        Tensor::from_data(TensorData::new(values.to_vec(), [1, 1, h, w]), &Device::flex())
    }

    /// One box: row, column, height, width.
    fn one([row, column, height, width]: [f32; 4], flip: bool, border: Border) -> Boxes {
        let one = |value: f32| Tensor::from_floats([value], &Device::flex());
        let (row, column, height, width) = (one(row), one(column), one(height), one(width));
        Boxes { row, column, height, width, flip: one(f32::from(flip)), border }
    }

    fn assert_close<const D: usize>(got: Tensor<D>, wanted: &[f32], tolerance: f64) {
        let wanted = TensorData::new(wanted.to_vec(), got.dims());
        got.into_data().assert_approx_eq(&wanted, Tolerance::<f32>::absolute(tolerance));
    }

    /// The image at a position in pixels, with zeros around it.
    fn bilinear(values: &[f32], [h, w]: [usize; 2], row: f32, column: f32) -> f32 {
        let at = |row: f32, column: f32| {
            let inside = row >= 0.0 && column >= 0.0 && row < h as f32 && column < w as f32;
            if inside { values[row as usize * w + column as usize] } else { 0.0 }
        };
        let (top, left) = (row.floor(), column.floor());
        let (down, right) = (row - top, column - left);
        let upper = at(top, left) * (1.0 - right) + at(top, left + 1.0) * right;
        let lower = at(top + 1.0, left) * (1.0 - right) + at(top + 1.0, left + 1.0) * right;
        upper * (1.0 - down) + lower * down
    }

    /// PyTorch's antialiased resize of one row.
    fn resize(row: &[f32], to: usize) -> Vec<f32> {
        let scale = row.len() as f32 / to as f32;
        let reach = scale.max(1.0);
        let at = |idx: usize| {
            let centre = (idx as f32 + 0.5) * scale;
            let weight = |k: usize| (1.0 - ((k as f32 + 0.5 - centre) / reach).abs()).max(0.0);
            let sum: f32 = (0..row.len()).map(weight).sum();
            row.iter().enumerate().map(|(k, value)| weight(k) * value).sum::<f32>() / sum
        };
        (0..to).map(at).collect()
    }

    #[test]
    fn a_box_of_the_whole_image_gives_the_image() {
        for border in [Border::Clamp, Border::Zeros] {
            let values = picture([7, 5]);
            let whole = one([0.5, 0.5, 1.0, 1.0], false, border);
            assert_close(resample(image(&values, [7, 5]), &whole, [7, 5]), &values, 1e-6);
        }
    }

    #[test]
    fn a_flip_mirrors_columns_and_keeps_rows() {
        let values = picture([4, 6]);
        let mirrored: Vec<f32> =
            values.chunks(6).flat_map(|row| row.iter().rev().copied()).collect();
        for border in [Border::Clamp, Border::Zeros] {
            let whole = one([0.5, 0.5, 1.0, 1.0], true, border);
            assert_close(resample(image(&values, [4, 6]), &whole, [4, 6]), &mirrored, 1e-6);
        }
    }

    #[test]
    fn fractional_centres_interpolate_and_the_outside_is_zero() {
        let (h, w) = (8, 10);
        let values = picture([h, w]);
        // The box starts at row −0.55 and column 6.95; its pixels are 0.6 and 0.8 apart.
        let ([top, left], [height, width], [rows, columns]) = ([-0.55, 6.95], [3.6, 5.6], [6, 7]);
        let boxes = one(
            [
                (top + height / 2.0) / h as f32,
                (left + width / 2.0) / w as f32,
                height / h as f32,
                width / w as f32,
            ],
            false,
            Border::Zeros,
        );
        let place = |from: f32, step: f32, idx: usize| from + (idx as f32 + 0.5) * step - 0.5;
        let wanted: Vec<f32> = (0..rows * columns)
            .map(|idx| {
                let row = place(top, height / rows as f32, idx / columns);
                let column = place(left, width / columns as f32, idx % columns);
                bilinear(&values, [h, w], row, column)
            })
            .collect();
        let got = resample(image(&values, [h, w]), &boxes, [rows, columns]);
        assert_close(got, &wanted, 1e-5);
    }

    #[test]
    fn a_crop_is_resized_like_an_image_of_its_own() {
        let (h, w) = (12, 16);
        let values = picture([h, w]);
        let ([top, left], [height, width]) = ([1, 5], [9, 11]);
        let boxes = one(
            [
                (top as f32 + height as f32 / 2.0) / h as f32,
                (left as f32 + width as f32 / 2.0) / w as f32,
                height as f32 / h as f32,
                width as f32 / w as f32,
            ],
            false,
            Border::Clamp,
        );
        for (rows, columns) in [(4, 4), (9, 11), (13, 5), (20, 30)] {
            let cut = (top..top + height).map(|row| &values[row * w + left..][..width]);
            let narrow: Vec<_> = cut.map(|row| resize(row, columns)).collect();
            let tall: Vec<_> = (0..columns)
                .map(|it| resize(&narrow.iter().map(|row| row[it]).collect::<Vec<_>>(), rows))
                .collect();
            let wanted: Vec<f32> =
                (0..rows * columns).map(|idx| tall[idx % columns][idx / columns]).collect();
            let got = resample(image(&values, [h, w]), &boxes, [rows, columns]);
            assert_close(got, &wanted, 1e-5);
        }
    }

    #[test]
    fn shrinking_keeps_the_brightness_and_the_padding_counts_as_zero() {
        let ones = image(&[1.0; 400], [20, 20]);
        for side in [0.2, 0.33, 0.51, 0.6] {
            let inner = resample(
                ones.clone(),
                &one([0.51, 0.48, side, side], false, Border::Zeros),
                [4, 3],
            );
            assert_close(inner, &[1.0; 12], 1e-5);
        }
        let corner =
            resample(ones.clone(), &one([0.0, 0.0, 1.0, 1.0], false, Border::Zeros), [5, 5]);
        let mean: f32 = corner.mean().into_scalar();
        assert!((mean - 0.25).abs() < 0.02, "a quarter is seen, not {mean}");
        let outside = one([2.5, 0.5, 0.5, 0.5], false, Border::Clamp);
        assert_close(resample(ones, &outside, [2, 2]), &[0.0; 4], 0.0);
    }

    #[test]
    fn each_image_has_its_own_box_and_gradients_are_not_tracked() {
        let device = Device::flex().autodiff();
        let values = picture([6, 6]);
        let tracked = Tensor::<4>::from_data(
            TensorData::new([values.clone(), values.clone()].concat(), [2, 1, 6, 6]),
            &device,
        );
        let images = tracked.require_grad().inner();
        let centres = Tensor::from_floats([[0.5, 0.5], [1.0 / 6.0, 0.5]], &Device::flex());
        let views = resample(
            images,
            &Boxes::around(centres, Tensor::full([2], 2.0 / 6.0, &Device::flex())),
            [2, 2],
        );
        assert!(!views.is_require_grad());
        let wanted = [14, 15, 20, 21, 2, 3, 8, 9].map(|idx: usize| values[idx]);
        assert_close(views, &wanted, 1e-6);
    }
}
