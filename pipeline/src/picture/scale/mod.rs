//! Scales I420 of any size to RGB of the training size.

use std::sync::Arc;

use fast_image_resize::{
    FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer,
    images::{CroppedImage, Image, ImageRef},
};
use yuv::{YuvPlanarImage, yuv444_to_rgb};

use super::{Colour, Plane, Planes, mask::Mask};
use crate::{Fit, Problem, Region, StreamConfig};

/// Scales each plane to the training size and converts to RGB there, because converting at full
/// size costs more than decoding does.
///
/// The filter is a convolution with a triangle as wide as the reduction ("bilinear" with
/// antialiasing in Pillow and torchvision). A box filter is as fast, but it aliases at reductions
/// that are not whole numbers, and enlarges by repeating pixels.
#[derive(Debug)]
pub(crate) struct Scaler {
    fit: Fit,
    crop: Option<Region>,
    mask: Mask,
    scaled: ScaledPlanes,
}

/// Which part of a stream's frames is used, and how it is fitted.
#[derive(Clone, Debug, Default)]
pub(crate) struct PictureConfig {
    pub(crate) fit: Fit,
    pub(crate) crop: Option<Region>,
    pub(crate) mask: Vec<Region>,
}

/// The three planes at the training size.
#[derive(Debug)]
struct ScaledPlanes {
    size: [usize; 2],
    resizer: Resizer,
    planes: [Vec<u8>; 3],
}

/// The pixels of a plane that the filter may see.
#[derive(Clone, Copy, Debug, PartialEq)]
struct PixelRect {
    left: usize,
    top: usize,
    width: usize,
    height: usize,
}

/// The part of it that becomes the result, in pixels, not necessarily whole ones.
#[derive(Clone, Copy, Debug, PartialEq)]
struct ResizeRect {
    left: f64,
    top: f64,
    width: f64,
    height: f64,
}

impl PictureConfig {
    pub(crate) fn new(fit: Fit, stream: &StreamConfig) -> Self {
        Self { fit, crop: stream.crop, mask: stream.mask.clone() }
    }
}

impl Scaler {
    pub(crate) fn new(size: [usize; 2], PictureConfig { fit, crop, mask }: PictureConfig) -> Self {
        let [height, width] = size;
        let planes = [(); 3].map(|()| vec![0; height * width]);
        let scaled = ScaledPlanes { size, resizer: Resizer::new(), planes };
        Self { fit, crop, mask: Mask::new(mask), scaled }
    }

    /// Height and width of the result.
    pub(crate) fn size(&self) -> [usize; 2] {
        self.scaled.size
    }

    /// RGB of the training size, `[height, width, 3]`.
    pub(crate) fn scale(&mut self, source: &Planes<'_>) -> Result<Arc<[u8]>, Problem> {
        let source = self.mask.paint(source);
        let rect = PixelRect::of(self.crop, [source.width, source.height]);
        let part = match self.fit {
            Fit::Crop => rect.centre(source.pixel_aspect, self.scaled.size),
            Fit::Squash => rect.whole(),
        };
        self.scaled.plane(0, source.luma, (rect, part))?;
        let half = (rect.halved(), part.halved());
        self.scaled.plane(1, source.chroma[0], half)?;
        self.scaled.plane(2, source.chroma[1], half)?;
        self.scaled.rgb(source.colour)
    }

    /// Paints the mask on a frame that was drawn at the training size.
    pub(crate) fn mask(&self, pixels: Arc<[u8]>) -> Arc<[u8]> {
        self.mask.paint_rgb(pixels, self.scaled.size)
    }
}

impl ScaledPlanes {
    fn plane(
        &mut self,
        idx: usize,
        source: Plane<'_>,
        (rect, part): (PixelRect, ResizeRect),
    ) -> Result<(), Problem> {
        let [out_height, out_width] = self.size.map(|it| it as u32);
        let target = &mut self.planes[idx];
        let [left, top, width, height] =
            [rect.left, rect.top, rect.width, rect.height].map(|it| it as u32);
        let padded = ImageRef::new(source.stride as u32, top + height, source.data, PixelType::U8)
            .map_err(failed)?;
        // The filter reaches beyond its part, so padding and cropped-away pixels must be out of its
        // view.
        let image = CroppedImage::new(&padded, left, top, width, height).map_err(failed)?;
        let mut out =
            Image::from_slice_u8(out_width, out_height, target, PixelType::U8).map_err(failed)?;
        let options = ResizeOptions::new()
            .resize_alg(ResizeAlg::Convolution(FilterType::Bilinear))
            .use_alpha(false)
            .crop(part.left, part.top, part.width, part.height);
        self.resizer.resize(&image, &mut out, &options).map_err(failed)
    }

    fn rgb(&self, colour: Colour) -> Result<Arc<[u8]>, Problem> {
        let [height, width] = self.size;
        let [y_plane, u_plane, v_plane] = self.planes.each_ref().map(Vec::as_slice);
        let stride = width as u32;
        let image = YuvPlanarImage {
            y_plane,
            y_stride: stride,
            u_plane,
            u_stride: stride,
            v_plane,
            v_stride: stride,
            width: stride,
            height: height as u32,
        };
        let mut pixels = vec![0; height * width * 3];
        yuv444_to_rgb(&image, &mut pixels, stride * 3, colour.range, colour.matrix)
            .map_err(failed)?;
        Ok(pixels.into())
    }
}

impl PixelRect {
    /// A stream's crop in whole pixels. It starts at an even pixel, so that luma and chroma start
    /// at the same place.
    fn of(crop: Option<Region>, [width, height]: [usize; 2]) -> Self {
        let Some(crop) = crop else { return Self { left: 0, top: 0, width, height } };
        let range = |start: f64, length: f64, size: usize| {
            let [first, last] = [start, start + length].map(|it| it * size as f64);
            let first = (first / 2.0).round() as usize * 2;
            let first = first.min((size - 1) / 2 * 2);
            (first, (last.round() as usize).clamp(first + 1, size) - first)
        };
        let (left, width) = range(crop.left, crop.width, width);
        let (top, height) = range(crop.top, crop.height, height);
        Self { left, top, width, height }
    }

    fn halved(self) -> Self {
        let Self { left, top, width, height } = self;
        let (width, height) = (width.div_ceil(2), height.div_ceil(2));
        Self { left: left / 2, top: top / 2, width, height }
    }

    fn whole(self) -> ResizeRect {
        ResizeRect { left: 0.0, top: 0.0, width: self.width as f64, height: self.height as f64 }
    }

    /// The largest centred part that has the aspect of the training size.
    fn centre(self, pixel_aspect: f64, size: [usize; 2]) -> ResizeRect {
        let ResizeRect { width, height, .. } = self.whole();
        // Ratio of stored columns to rows that, displayed, has the wanted aspect.
        let wanted = size[1] as f64 / size[0] as f64 / pixel_aspect;
        let part_width = (height * wanted).min(width);
        let part_height = (width / wanted).min(height);
        ResizeRect {
            left: (width - part_width) / 2.0,
            top: (height - part_height) / 2.0,
            width: part_width,
            height: part_height,
        }
    }
}

impl ResizeRect {
    fn halved(self) -> Self {
        let Self { left, top, width, height } = self;
        Self { left: left / 2.0, top: top / 2.0, width: width / 2.0, height: height / 2.0 }
    }
}

fn failed(error: impl std::fmt::Display) -> Problem {
    Problem::Decode { element: "scaling".into(), message: error.to_string() }
}

#[cfg(test)]
mod tests;
