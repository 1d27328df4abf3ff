use std::ptr;

use yuv::YuvStandardMatrix;

use super::*;
use crate::picture::Colour;

const PADDING: usize = 5;

fn region(left: f64, top: f64, width: f64, height: f64) -> Region {
    Region { left, top, width, height }
}

/// A white frame with padded rows, in colours that no black has.
struct White {
    luma: Vec<u8>,
    chroma: Vec<u8>,
    size: [usize; 2],
}

impl White {
    fn new(size: [usize; 2]) -> Self {
        let bytes = |[width, height]: [usize; 2]| vec![200; (width + PADDING) * height];
        Self { luma: bytes(size), chroma: bytes(size.map(|it| it.div_ceil(2))), size }
    }

    fn planes(&self, range: YuvRange) -> Planes<'_> {
        let [width, height] = self.size;
        let chroma = Plane { data: &self.chroma, stride: width.div_ceil(2) + PADDING };
        Planes {
            luma: Plane { data: &self.luma, stride: width + PADDING },
            chroma: [chroma; 2],
            width,
            height,
            pixel_aspect: 1.0,
            colour: Colour { matrix: YuvStandardMatrix::Bt601, range },
        }
    }
}

#[test]
fn without_a_mask_nothing_is_copied() {
    let white = White::new([8, 6]);
    let planes = white.planes(YuvRange::Limited);
    let mut mask = Mask::new(Vec::new());
    assert!(ptr::eq(mask.paint(&planes).luma.data, planes.luma.data));
    let pixels: Arc<[u8]> = vec![7; 8 * 6 * 3].into();
    assert!(Arc::ptr_eq(&pixels, &mask.paint_rgb(pixels.clone(), [6, 8])));
}

#[test]
fn every_pixel_that_it_touches_is_black_and_no_other() {
    for (range, black) in [(YuvRange::Limited, 16), (YuvRange::Full, 0)] {
        for size in [[32, 24], [33, 25], [17, 11], [1, 1]] {
            for part in [
                region(0.0, 0.0, 0.5, 0.5),
                region(0.33, 0.21, 0.4, 0.3),
                region(0.9, 0.9, 0.1, 0.1),
                region(0.0, 0.0, 1.0, 1.0),
                region(0.5, 0.5, 0.001, 0.001),
            ] {
                let white = White::new(size);
                let mut mask = Mask::new(vec![part]);
                let painted = mask.paint(&white.planes(range));
                assert_painted(&painted, part, black);
            }
        }
    }
}

fn assert_painted(painted: &Planes<'_>, part: Region, black: u8) {
    let [width, height] = [painted.width, painted.height].map(|it| it as f64);
    // Whether a pixel `[x, x + side] * [y, y + side]` and the region overlap.
    let touched = |x: usize, y: usize, side: usize| {
        let overlaps = |at: usize, start: f64, length: f64, whole: f64| {
            let end = ((at + 1) * side) as f64;
            end > start * whole + 1e-6 && ((at * side) as f64) < (start + length) * whole - 1e-6
        };
        overlaps(x, part.left, part.width, width) && overlaps(y, part.top, part.height, height)
    };
    for y in 0..painted.height {
        for x in 0..painted.width {
            let expected = if touched(x, y, 1) { black } else { 200 };
            let found = painted.luma.data[y * painted.luma.stride + x];
            assert_eq!(found, expected, "{part:?} luma {x} {y} of {width} {height}");
        }
    }
    for plane in painted.chroma {
        for y in 0..painted.height.div_ceil(2) {
            for x in 0..painted.width.div_ceil(2) {
                let hidden = plane.data[y * plane.stride + x] == 128;
                if touched(x, y, 2) {
                    assert!(hidden, "{part:?} chroma {x} {y} of {width} {height}");
                }
                // A pixel that is touched in part is black as a whole, and so is its chroma.
                let near = [0, 1]
                    .iter()
                    .any(|dy| [0, 1].iter().any(|dx| touched(2 * x + dx, 2 * y + dy, 1)));
                assert_eq!(hidden, near, "{part:?} chroma {x} {y} of {width} {height}");
            }
        }
    }
}

#[test]
fn a_second_frame_does_not_keep_the_first() {
    let mut mask = Mask::new(vec![region(0.0, 0.0, 0.5, 1.0)]);
    let mut large = White::new([20, 10]);
    large.luma.fill(90);
    assert_eq!(mask.paint(&large.planes(YuvRange::Full)).luma.data[19], 90);
    let scaled = White::new([9, 7]);
    let painted = mask.paint(&scaled.planes(YuvRange::Full));
    assert_eq!(painted.luma.data.len(), 9 * 7);
    assert_eq!(painted.luma.data[..9], [0, 0, 0, 0, 0, 200, 200, 200, 200]);
}

#[test]
fn drawn_frames_are_painted_too() {
    let mask = Mask::new(vec![region(0.5, 0.0, 0.25, 0.5)]);
    let painted = mask.paint_rgb(vec![9; 4 * 4 * 3].into(), [4, 4]);
    for (idx, pixel) in painted.chunks(3).enumerate() {
        let hidden = idx % 4 == 2 && idx / 4 < 2;
        assert_eq!(pixel, [if hidden { 0 } else { 9 }; 3], "{idx}");
    }
}
