use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use yuv::{YuvRange, YuvStandardMatrix};

use super::*;

/// An I420 frame with padded rows. The padding is white, so that a leak shows.
struct Frame {
    planes: [Vec<u8>; 3],
    strides: [usize; 3],
    width: usize,
    height: usize,
    colour: Colour,
}

const BT601: Colour = Colour { matrix: YuvStandardMatrix::Bt601, range: YuvRange::Limited };

impl Frame {
    /// Luma by column and row; no colour.
    fn grey(width: usize, height: usize, luma: impl Fn(usize, usize) -> u8) -> Self {
        let widths = [width, width.div_ceil(2), width.div_ceil(2)];
        let heights = [height, height.div_ceil(2), height.div_ceil(2)];
        let strides = widths.map(|it| it + 13);
        let mut planes = [0, 1, 2].map(|it| vec![255; strides[it] * heights[it]]);
        for idx in 0..3 {
            for row in 0..heights[idx] {
                for column in 0..widths[idx] {
                    let value = if idx == 0 { luma(column, row) } else { 128 };
                    planes[idx][row * strides[idx] + column] = value;
                }
            }
        }
        Self { planes, strides, width, height, colour: BT601 }
    }

    fn flat([y, u, v]: [u8; 3], colour: Colour) -> Self {
        let mut picture = Self::grey(64, 64, |_, _| y);
        picture.planes[1].fill(u);
        picture.planes[2].fill(v);
        Self { colour, ..picture }
    }

    /// Noise in all planes, the same for the same seed.
    fn noise(width: usize, height: usize, seed: u64) -> Self {
        let mut picture = Self::grey(width, height, |_, _| 0);
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        picture.planes.iter_mut().for_each(|it| random.fill(&mut it[..]));
        picture
    }

    fn scale(&self, size: [usize; 2], fit: Fit, pixel_aspect: f64) -> Arc<[u8]> {
        self.show(size, PictureConfig { fit, ..PictureConfig::default() }, pixel_aspect)
    }

    fn show(&self, size: [usize; 2], view: PictureConfig, pixel_aspect: f64) -> Arc<[u8]> {
        let plane = |it: usize| Plane { data: &self.planes[it], stride: self.strides[it] };
        let planes = Planes {
            luma: plane(0),
            chroma: [plane(1), plane(2)],
            width: self.width,
            height: self.height,
            pixel_aspect,
            colour: self.colour,
        };
        Scaler::new(size, view).scale(&planes).unwrap()
    }
}

fn region(left: f64, top: f64, width: f64, height: f64) -> Region {
    Region { left, top, width, height }
}

#[test]
fn the_crop_keeps_the_aspect_and_the_centre() {
    let centre = |size, aspect, target| PixelRect::of(None, size).centre(aspect, target);
    let part = |left, top, width, height| ResizeRect { left, top, width, height };
    assert_eq!(centre([1920, 1080], 1.0, [112, 112]), part(420.0, 0.0, 1080.0, 1080.0));
    assert_eq!(centre([1080, 1920], 1.0, [112, 112]), part(0.0, 420.0, 1080.0, 1080.0));
    assert_eq!(centre([640, 480], 1.0, [120, 160]), part(0.0, 0.0, 640.0, 480.0));
    // Widescreen PAL: 720 stored columns are 1024 displayed ones.
    let wide = centre([720, 576], 64.0 / 45.0, [112, 112]);
    assert!((wide.width - 405.0).abs() < 1e-9 && (wide.left - 157.5).abs() < 1e-9, "{wide:?}");
    assert_eq!(wide.height, 576.0);
}

#[test]
fn a_streams_crop_is_whole_pixels_inside_the_frame() {
    let rect = |left, top, width, height| PixelRect { left, top, width, height };
    let of = |crop, size| PixelRect::of(Some(crop), size);
    assert_eq!(of(region(0.0, 0.0, 1.0, 1.0), [161, 91]), rect(0, 0, 161, 91));
    assert_eq!(of(region(0.5, 0.25, 0.5, 0.5), [640, 480]), rect(320, 120, 320, 240));
    // 161 * 0.5 is 80.5, and 91 * 0.5 is 45.5.
    assert_eq!(of(region(0.5, 0.5, 0.5, 0.5), [161, 91]), rect(80, 46, 81, 45));
    assert_eq!(of(region(0.999, 0.999, 0.001, 0.001), [161, 91]), rect(160, 90, 1, 1));
    for size in [[1, 1], [2, 3], [5, 4]] {
        for crop in [region(0.0, 0.0, 1e-6, 1e-6), region(0.9, 0.9, 0.1, 0.1)] {
            let PixelRect { left, top, width, height } = of(crop, size);
            assert!(width > 0 && height > 0, "{size:?} {crop:?}");
            assert!(left + width <= size[0] && top + height <= size[1], "{size:?} {crop:?}");
            assert_eq!(
                Frame::noise(size[0], size[1], 0)
                    .show(
                        [4, 4],
                        PictureConfig { crop: Some(crop), ..PictureConfig::default() },
                        1.0,
                    )
                    .len(),
                48
            );
        }
    }
}

/// The same part as a frame of its own.
fn cut(picture: &Frame, PixelRect { left, top, width, height }: PixelRect) -> Frame {
    let mut part = Frame::grey(width, height, |_, _| 0);
    for idx in 0..3 {
        let by = if idx == 0 { 1 } else { 2 };
        let (width, height) = (width.div_ceil(by), height.div_ceil(by));
        for row in 0..height {
            let from = (top / by + row) * picture.strides[idx] + left / by;
            let to = row * part.strides[idx];
            part.planes[idx][to..to + width]
                .copy_from_slice(&picture.planes[idx][from..from + width]);
        }
    }
    part
}

#[test]
fn a_streams_crop_is_all_that_is_seen_of_the_frame() {
    for (size, crop) in [
        ([160, 120], region(0.25, 0.5, 0.5, 0.25)),
        ([161, 91], region(0.1, 0.3, 0.6, 0.7)),
        ([97, 55], region(0.5, 0.0, 0.5, 0.5)),
    ] {
        let whole = Frame::noise(size[0], size[1], 1);
        let alone = cut(&whole, PixelRect::of(Some(crop), size));
        for fit in [Fit::Crop, Fit::Squash] {
            for (target, aspect) in [([24, 24], 1.0), ([16, 40], 1.5), ([90, 90], 1.0)] {
                let view = PictureConfig { fit, crop: Some(crop), mask: Vec::new() };
                let shown = whole.show(target, view, aspect);
                assert!(shown == alone.scale(target, fit, aspect), "{size:?} {fit:?} {target:?}");
            }
        }
    }
}

#[test]
fn what_a_mask_covers_leaves_no_trace() {
    for size in [[64, 48], [65, 49], [33, 31]] {
        let mask = vec![region(0.21, 0.4, 0.33, 0.37), region(0.7, 0.0, 0.3, 0.2)];
        let one = Frame::noise(size[0], size[1], 1);
        let mut other = Frame::noise(size[0], size[1], 1);
        let differently = Frame::noise(size[0], size[1], 2);
        for region in &mask {
            let [columns, rows] = region.pixels(size);
            for (x, y) in rows.flat_map(|y| columns.clone().map(move |x| (x, y))) {
                for idx in 0..3 {
                    let by = if idx == 0 { 1 } else { 2 };
                    let at = y / by * other.strides[idx] + x / by;
                    other.planes[idx][at] = differently.planes[idx][at];
                }
            }
        }
        for fit in [Fit::Crop, Fit::Squash] {
            for target in [[24, 24], [80, 100]] {
                let view = PictureConfig { fit, crop: None, mask: mask.clone() };
                let shown = [&one, &other].map(|it| it.show(target, view.clone(), 1.0));
                assert!(shown[0] == shown[1], "{size:?} {fit:?} {target:?}");
                let bare = [&one, &other].map(|it| it.scale(target, fit, 1.0));
                assert!(bare[0] != bare[1], "they differ where there is no mask");
            }
        }
    }
}

#[test]
fn a_mask_is_black_and_changes_nothing_else() {
    for range in [YuvRange::Limited, YuvRange::Full] {
        let picture = Frame { colour: Colour { range, ..BT601 }, ..Frame::noise(160, 120, 3) };
        let mask = vec![region(0.25, 0.25, 0.5, 0.25)];
        let masked =
            picture.show([30, 40], PictureConfig { mask, ..PictureConfig::default() }, 1.0);
        let bare = picture.scale([30, 40], Fit::Crop, 1.0);
        // The filter reaches four pixels of the frame, one of the result, and chroma twice as far.
        let (mut black, mut same) = (0, 0);
        for (idx, (pixel, before)) in masked.chunks(3).zip(bare.chunks(3)).enumerate() {
            let [x, y] = [idx % 40, idx / 40].map(|it| it as f64 + 0.5);
            let inside = (x - 20.0).abs() - 10.0;
            let outside = inside.max((y - 11.25).abs() - 3.75);
            if outside < -1.0 {
                assert_eq!(pixel, [0; 3], "{x} {y}");
                black += 1;
            } else if outside > 1.5 {
                assert_eq!(pixel, before, "{x} {y}");
                same += 1;
            }
        }
        assert!(black >= 90 && same >= 900, "{black} {same}");
    }
}

#[test]
fn the_crop_shows_the_middle_and_nothing_of_the_sides() {
    // White sides that a square crop cuts off, and a white column in the middle.
    let wide = Frame::grey(300, 100, |column, _| {
        if !(90..210).contains(&column) || (145..155).contains(&column) { 235 } else { 16 }
    });
    let pixels = wide.scale([50, 50], Fit::Crop, 1.0);
    let row = |column: usize| pixels[(25 * 50 + column) * 3];
    assert!(row(0) < 5 && row(49) < 5, "{} {}", row(0), row(49));
    assert!(row(24) > 250 && row(25) > 250);
    assert_eq!(row(20), row(29), "the middle stays the middle");
    let squashed = wide.scale([50, 50], Fit::Squash, 1.0);
    assert!(squashed[25 * 150] > 250, "squashing shows the sides");
}

#[test]
fn a_pixel_aspect_makes_a_circle_of_an_ellipse() {
    // Twice as wide when displayed: the stored shape is 40 columns by 80 rows.
    let ellipse = Frame::grey(200, 200, |column, row| {
        let [x, y] = [(column as f64 - 99.5) / 20.0, (row as f64 - 99.5) / 40.0];
        if x.hypot(y) < 1.0 { 235 } else { 16 }
    });
    let pixels = ellipse.scale([100, 100], Fit::Crop, 2.0);
    let bright = |it: usize| pixels[it * 3] > 128;
    let across = (0..100).filter(|it| bright(50 * 100 + it)).count();
    let down = (0..100).filter(|it| bright(it * 100 + 50)).count();
    assert!(across.abs_diff(down) <= 1 && across.abs_diff(40) <= 1, "{across} {down}");
}

#[test]
fn a_fine_checkerboard_becomes_grey() {
    for [width, height] in [[640, 480], [641, 361], [700, 500]] {
        let board = Frame::grey(width, height, |x, y| if (x + y) % 2 == 0 { 16 } else { 235 });
        let pixels = board.scale([112, 112], Fit::Crop, 1.0);
        let (low, high) = (pixels.iter().min().unwrap(), pixels.iter().max().unwrap());
        assert!(*low >= 122 && *high <= 133, "{width}x{height}: {low}..{high}");
    }
}

#[test]
fn padding_is_never_seen() {
    for [width, height] in [[64, 48], [65, 49], [33, 31]] {
        let black = Frame::grey(width, height, |_, _| 16);
        for fit in [Fit::Crop, Fit::Squash] {
            let pixels = black.scale([24, 24], fit, 1.0);
            assert!(pixels.iter().all(|&it| it <= 1), "{width}x{height} {fit:?}");
        }
    }
}

#[test]
fn colours_follow_the_matrix_and_the_range() {
    use YuvRange::{Full, Limited};
    use YuvStandardMatrix::{Bt601, Bt709, Bt2020};
    let red = [255, 0, 0];
    for (yuv, matrix, range, rgb) in [
        ([81, 90, 240], Bt601, Limited, red),
        ([76, 85, 255], Bt601, Full, red),
        ([63, 102, 240], Bt709, Limited, red),
        ([54, 99, 255], Bt709, Full, red),
        ([74, 97, 240], Bt2020, Limited, red),
        ([145, 54, 34], Bt601, Limited, [0, 255, 0]),
        ([173, 42, 26], Bt709, Limited, [0, 255, 0]),
        ([16, 128, 128], Bt709, Limited, [0, 0, 0]),
        ([16, 128, 128], Bt709, Full, [16, 16, 16]),
        ([235, 128, 128], Bt601, Limited, [255, 255, 255]),
    ] {
        let picture = Frame::flat(yuv, Colour { matrix, range });
        let pixels = picture.scale([8, 8], Fit::Crop, 1.0);
        for pixel in pixels.chunks(3) {
            let near = pixel.iter().zip(rgb).all(|(a, b)| a.abs_diff(b) <= 3);
            assert!(near, "{yuv:?} {matrix:?} {range:?}: {pixel:?}, not {rgb:?}");
        }
    }
}

#[test]
fn a_small_frame_is_enlarged_smoothly() {
    let ramp = Frame::grey(4, 4, |column, _| 16 + column as u8 * 70);
    let pixels = ramp.scale([16, 16], Fit::Crop, 1.0);
    let row: Vec<_> = (0..16).map(|it| pixels[it * 3]).collect();
    assert!(row.windows(2).all(|it| it[0] <= it[1]), "{row:?}");
    let mut levels = row.clone();
    levels.dedup();
    assert!(levels.len() > 8, "pixels are repeated: {row:?}");
}
