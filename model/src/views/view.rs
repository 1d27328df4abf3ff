//! A view of an image: its random parameters, and how it is computed on the device.

use burn::tensor::{Device, Tensor};

use super::resample::{Border, Boxes, resample};
use super::{blur, colour};
use crate::clips::{denormalise, normalise};

/// The random parameters of a view.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct View {
    /// Top, left, height and width of the crop in pixels.
    pub(crate) crop: [usize; 4],
    /// Whether the view is flipped horizontally.
    pub(crate) flip: bool,
    /// Factors of brightness, contrast and saturation, and the shift of the hue.
    pub(crate) jitter: Option<[f32; 4]>,
    /// Whether the view is grey.
    pub(crate) grey: bool,
    /// Standard deviation of the blur in pixels; 0 for no blur.
    pub(crate) blur: f32,
    /// Whether the view is solarised.
    pub(crate) solarise: bool,
}

impl View {
    /// The parameters that seq-JEPA's actions compare: top, left, height and width of the crop in
    /// pixels, factors of brightness, contrast and saturation, shift of the hue, blur.
    pub(crate) fn parameters(&self) -> [f64; 9] {
        let [top, left, height, width] = self.crop.map(|it| it as f64);
        let [brightness, contrast, saturation, hue] = self.factors().map(f64::from);
        let blur = f64::from(self.blur);
        [top, left, height, width, brightness, contrast, saturation, hue, blur]
    }

    fn factors(&self) -> [f32; 4] {
        self.jitter.unwrap_or([1.0, 1.0, 1.0, 0.0])
    }
}

/// The crops of `views` as boxes of frames `[h, w]`.
pub(crate) fn boxes(views: &[View], [h, w]: [usize; 2], device: &Device) -> Boxes {
    let column = |of: &dyn Fn([f32; 4]) -> f32| {
        let values = views.iter().map(|it| of(it.crop.map(|side| side as f32)));
        Tensor::from_floats(values.collect::<Vec<_>>().as_slice(), device)
    };
    let (h, w) = (h as f32, w as f32);
    let flips: Vec<_> = views.iter().map(|it| f32::from(it.flip)).collect();
    Boxes {
        row: column(&|[top, _, height, _]| (top + height / 2.0) / h),
        column: column(&|[_, left, _, width]| (left + width / 2.0) / w),
        height: column(&|[_, _, height, _]| height / h),
        width: column(&|[_, _, _, width]| width / w),
        flip: Tensor::from_floats(flips.as_slice(), device),
        border: Border::Clamp,
    }
}

/// Computes `views`, one per frame, of normalised frames `[n, t, 3, h, w]`.
pub(crate) fn apply(frames: Tensor<5>, views: &[View]) -> Tensor<5> {
    let shape @ [n, t, _, h, w] = frames.dims();
    assert_eq!(views.len(), n * t, "one view per frame");
    let boxes = boxes(views, [h, w], &frames.device());
    let images = resample(frames.flatten(0, 1), &boxes, [h, w]);
    normalise(recolour(denormalise(images), views)).reshape(shape)
}

/// Changes the colours of images. An operation that no view has costs nothing.
fn recolour(images: Tensor<4>, views: &[View]) -> Tensor<4> {
    let [_, _, h, w] = images.dims();
    let device = images.device();
    let column = |of: &dyn Fn(&View) -> f32| {
        let values: Vec<_> = views.iter().map(of).collect();
        Tensor::<1>::from_floats(values.as_slice(), &device).reshape([-1, 1, 1, 1])
    };
    let where_chosen =
        |images: Tensor<4>, of: fn(&View) -> bool, change: &dyn Fn(Tensor<4>) -> Tensor<4>| {
            if !views.iter().any(of) {
                return images;
            }
            let flags: Tensor<4> = column(&|view| f32::from(of(view)));
            change(images.clone()) * flags.clone() + images * (flags.neg() + 1.0)
        };
    let images = where_chosen(images, |view| view.jitter.is_some(), &|images| {
        let [brightness, contrast, saturation, hue] =
            [0, 1, 2, 3].map(|idx| column(&|view| view.factors()[idx]));
        let images = colour::contrast(colour::brighten(images, brightness), contrast);
        colour::shift_hue(colour::saturate(images, saturation), hue)
    });
    let images = where_chosen(images, |view| view.grey, &colour::grey);
    let images = where_chosen(images, |view| view.blur > 0.0, &|images| {
        blur::gaussian(images, column(&|view| view.blur).squeeze_dim(3), [h, w].map(kernel_radius))
    });
    where_chosen(images, |view| view.solarise, &colour::solarise)
}

/// Radius of the blur's kernel, which is a tenth of the image wide: 23 pixels at 224, as in BYOL.
fn kernel_radius(side: usize) -> usize {
    let radius = (side.saturating_sub(10) as f64 / 20.0).round() as usize;
    radius.max(1).min(side - 1)
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;

    use super::*;

    #[test]
    fn each_operation_changes_only_the_views_that_have_it() {
        let plain = View {
            crop: [0, 0, 8, 8],
            flip: false,
            jitter: None,
            grey: false,
            blur: 0.0,
            solarise: false,
        };
        let views = [
            plain.clone(),
            View { flip: true, ..plain.clone() },
            View { jitter: Some([0.5, 1.0, 1.0, 0.0]), ..plain.clone() },
            View { grey: true, ..plain.clone() },
            View { blur: 1.0, ..plain.clone() },
            View { solarise: true, ..plain.clone() },
        ];
        let colours = (0..192).map(|it| ((it * 37 + it * it * 11) % 256) as f32 / 255.0).collect();
        let colours = TensorData::new::<f32, _>(colours, [1, 1, 3, 8, 8]);
        let colours = Tensor::<5>::from_data(colours, &Device::flex());
        let frames = normalise(colours.clone()).repeat_dim(1, views.len());
        let out = denormalise(apply(frames, &views));
        let [plain, flipped, darker, grey, blurred, solarised] =
            [0, 1, 2, 3, 4, 5].map(|it| out.clone().narrow(1, it, 1));
        let gap = |a: Tensor<5>, b: Tensor<5>| (a - b).abs().max().into_scalar::<f32>();
        assert!(gap(plain, colours.clone()) < 1e-5);
        assert!(gap(flipped, colours.clone().flip([4])) < 1e-5);
        assert!(gap(darker, colours.clone() / 2.0) < 1e-5);
        assert!(gap(grey.clone().narrow(2, 0, 1), grey.narrow(2, 2, 1)) < 1e-5);
        assert!(gap(blurred, colours.clone()) > 0.1);
        assert!(gap(solarised - 0.5, (colours - 0.5).abs().neg()) < 1e-5);
    }
}
