//! Paints parts of a frame black before anything else sees it.

use std::{ops::Range, sync::Arc};

use yuv::YuvRange;

use super::{Plane, Planes};
use crate::Region;

/// Rounding may move an edge that lies between two pixels by this much, in pixels.
const ROUNDING: f64 = 1e-6;

/// The masked parts of one stream's frames.
#[derive(Debug)]
pub(crate) struct Mask {
    regions: Vec<Region>,
    /// The decoder still reads its own frames, so the mask is painted on copies.
    copies: [Vec<u8>; 3],
}

impl Mask {
    pub(crate) fn new(regions: Vec<Region>) -> Self {
        Self { regions, copies: Default::default() }
    }

    /// The frame with every pixel black that the mask touches. It is copied only if there is a
    /// mask.
    pub(crate) fn paint<'a>(&'a mut self, source: &Planes<'a>) -> Planes<'a> {
        if self.regions.is_empty() {
            return source.clone();
        }
        let whole = [source.width, source.height];
        let half = whole.map(|it| it.div_ceil(2));
        let black = if source.colour.range == YuvRange::Full { 0 } else { 16 };
        let [luma, blue, red] = &mut self.copies;
        copy(source.luma, whole, luma);
        copy(source.chroma[0], half, blue);
        copy(source.chroma[1], half, red);
        for region in &self.regions {
            let [columns, rows] = region.pixels(whole);
            // A chroma sample covers two by two pixels. One masked pixel masks it.
            let halves = [&columns, &rows].map(|it| it.start / 2..it.end.div_ceil(2));
            fill(luma, whole[0], [columns, rows], black);
            fill(blue, half[0], halves.clone(), 128);
            fill(red, half[0], halves, 128);
        }
        let plane = |data, stride| Plane { data, stride };
        let chroma = [plane(blue.as_slice(), half[0]), plane(red.as_slice(), half[0])];
        Planes { luma: plane(luma.as_slice(), whole[0]), chroma, ..source.clone() }
    }

    /// The same for RGB, `[height, width, 3]`.
    pub(crate) fn paint_rgb(
        &self,
        mut pixels: Arc<[u8]>,
        [height, width]: [usize; 2],
    ) -> Arc<[u8]> {
        for region in &self.regions {
            let [columns, rows] = region.pixels([width, height]);
            let columns = 3 * columns.start..3 * columns.end;
            fill(Arc::make_mut(&mut pixels), 3 * width, [columns, rows], 0);
        }
        pixels
    }
}

impl Region {
    /// Columns and rows that it touches in a frame of this width and height.
    pub(crate) fn pixels(&self, [width, height]: [usize; 2]) -> [Range<usize>; 2] {
        let touched = |start: f64, length: f64, size: usize| {
            let [first, last] = [start, start + length].map(|it| it * size as f64);
            let end = ((last - ROUNDING).ceil() as usize).min(size);
            ((first + ROUNDING).floor() as usize).min(end)..end
        };
        [touched(self.left, self.width, width), touched(self.top, self.height, height)]
    }
}

/// Copies a plane without its padding.
fn copy(plane: Plane<'_>, [width, height]: [usize; 2], target: &mut Vec<u8>) {
    target.clear();
    target.reserve(width * height);
    plane
        .data
        .chunks(plane.stride)
        .take(height)
        .for_each(|row| target.extend_from_slice(&row[..width]));
}

fn fill(plane: &mut [u8], stride: usize, [columns, rows]: [Range<usize>; 2], value: u8) {
    for row in rows {
        plane[row * stride..][columns.clone()].fill(value);
    }
}

#[cfg(test)]
mod tests;
