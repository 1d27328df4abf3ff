//! A frame in I420, in memory.

use yuv::{YuvRange, YuvStandardMatrix};

/// One plane of 8-bit samples, rows top to bottom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plane<'a> {
    pub(crate) data: &'a [u8],
    /// Bytes from one row to the next, at least the plane's width.
    pub(crate) stride: usize,
}

/// Luma of `width` by `height`, and two chroma planes of half that, rounded up.
#[derive(Clone, Debug)]
pub(crate) struct Planes<'a> {
    pub(crate) luma: Plane<'a>,
    pub(crate) chroma: [Plane<'a>; 2],
    pub(crate) width: usize,
    pub(crate) height: usize,
    /// Displayed width of a pixel divided by its height.
    pub(crate) pixel_aspect: f64,
    pub(crate) colour: Colour,
}

/// How YUV maps to RGB.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Colour {
    pub(crate) matrix: YuvStandardMatrix,
    pub(crate) range: YuvRange,
}
