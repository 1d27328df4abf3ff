//! I420 of any size to RGB of the training size.

use std::sync::Arc;

use fast_image_resize::{
    FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer,
    images::{CroppedImage, Image, ImageRef},
};
use yuv::{YuvPlanarImage, yuv444_to_rgb};

use crate::{
    Fit, Problem,
    planes::{Colour, Plane, Planes},
};

/// Scales each plane straight to the training size and converts to RGB there, because
/// converting at full size costs more than decoding does.
///
/// The filter is a convolution with a triangle as wide as the reduction ("bilinear" with
/// antialiasing, as Pillow and torchvision have it). A box is as fast but has hard edges: at a
/// reduction that is not a whole number it aliases, and it enlarges by repeating pixels.
#[derive(Debug)]
pub(crate) struct Scaler {
    size: [usize; 2],
    fit: Fit,
    resizer: Resizer,
    planes: [Vec<u8>; 3],
}

/// A part of a picture in pixels, which need not be whole.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Region {
    left: f64,
    top: f64,
    width: f64,
    height: f64,
}

impl Scaler {
    pub(crate) fn new(size: [usize; 2], fit: Fit) -> Self {
        let [height, width] = size;
        let planes = [(); 3].map(|()| vec![0; height * width]);
        Self { size, fit, resizer: Resizer::new(), planes }
    }

    /// Height and width of what it makes.
    pub(crate) fn size(&self) -> [usize; 2] {
        self.size
    }

    /// RGB of the training size, `[height, width, 3]`.
    pub(crate) fn scale(&mut self, source: &Planes<'_>) -> Result<Arc<[u8]>, Problem> {
        let whole = [source.width, source.height];
        let region = match self.fit {
            Fit::Crop => crop(whole, source.pixel_aspect, self.size),
            Fit::Squash => Region::of(whole),
        };
        let half = whole.map(|it| it.div_ceil(2));
        self.plane(0, source.luma, whole, region)?;
        self.plane(1, source.chroma[0], half, region.halved())?;
        self.plane(2, source.chroma[1], half, region.halved())?;
        self.rgb(source.colour)
    }

    fn plane(
        &mut self,
        idx: usize,
        source: Plane<'_>,
        [width, height]: [usize; 2],
        part: Region,
    ) -> Result<(), Problem> {
        let [out_height, out_width] = self.size.map(|it| it as u32);
        let target = &mut self.planes[idx];
        let padded = ImageRef::new(source.stride as u32, height as u32, source.data, PixelType::U8)
            .map_err(failed)?;
        // The filter reaches beyond its region, so the padding must be out of its sight.
        let image =
            CroppedImage::new(&padded, 0, 0, width as u32, height as u32).map_err(failed)?;
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

impl Region {
    fn of([width, height]: [usize; 2]) -> Self {
        Self { left: 0.0, top: 0.0, width: width as f64, height: height as f64 }
    }

    fn halved(self) -> Self {
        let Self { left, top, width, height } = self;
        Self { left: left / 2.0, top: top / 2.0, width: width / 2.0, height: height / 2.0 }
    }
}

/// The largest centred part of a picture that has the aspect of the training size.
fn crop([width, height]: [usize; 2], pixel_aspect: f64, size: [usize; 2]) -> Region {
    let [width, height] = [width as f64, height as f64];
    // Stored columns to rows that, displayed, have the wanted aspect.
    let wanted = size[1] as f64 / size[0] as f64 / pixel_aspect;
    let part_width = (height * wanted).min(width);
    let part_height = (width / wanted).min(height);
    Region {
        left: (width - part_width) / 2.0,
        top: (height - part_height) / 2.0,
        width: part_width,
        height: part_height,
    }
}

fn failed(error: impl std::fmt::Display) -> Problem {
    Problem::Decode { element: "scaling".into(), message: error.to_string() }
}

#[cfg(test)]
mod tests;
