//! A small image of a digit, and how it is drawn onto the field.

use std::{array, ops::Range, sync::Arc};

/// Height and width of the field, in its own pixels.
const FIELD: f64 = 64.0;

/// Height and width of a digit in pixels of the field.
pub(super) const GLYPH: usize = 16;

/// Ink of a digit, `[16, 16]`, from 0 (none) to 1 (white).
#[derive(Clone, Debug)]
pub(super) struct Glyph([[f64; GLYPH]; GLYPH]);

impl Glyph {
    /// Samples `ink` in the middle of each pixel. Its argument is a point in pixels of the glyph,
    /// `x` to the right and `y` down.
    pub(super) fn new(ink: impl Fn([f64; 2]) -> f64) -> Self {
        let middle = |it: usize| it as f64 + 0.5;
        Self(array::from_fn(|row| array::from_fn(|column| ink([middle(column), middle(row)]))))
    }

    /// White on black with the glyph's middle at `centre`, in pixels of the field: RGB, `[height,
    /// width, 3]`.
    pub(super) fn draw(&self, centre: [f64; 2], [height, width]: [usize; 2]) -> Arc<[u8]> {
        let step = [width, height].map(|it| FIELD / it as f64);
        let taps = step.map(taps);
        let mut pixels = vec![0; height * width * 3];
        for row in near(centre[1], step[1], height) {
            for column in near(centre[0], step[0], width) {
                let at = |axis: usize, pixel: usize, tap: f64| {
                    (pixel as f64 + 0.5 + tap) * step[axis] - centre[axis] + GLYPH as f64 / 2.0
                };
                let mut ink = 0.0;
                for (down, weight) in &taps[1] {
                    let y = at(1, row, *down);
                    let line =
                        taps[0].iter().map(|(it, own)| own * self.at([at(0, column, *it), y]));
                    ink += weight * line.sum::<f64>();
                }
                let begin = (row * width + column) * 3;
                pixels[begin..begin + 3].fill((ink * 255.0).round() as u8);
            }
        }
        pixels.into()
    }

    /// Ink at a point in pixels of the glyph, by linear interpolation.
    fn at(&self, point: [f64; 2]) -> f64 {
        let [x, y] = point.map(|it| it - 0.5);
        let [left, top] = [x, y].map(f64::floor);
        let [right_share, lower_share] = [x - left, y - top];
        let pixel = |column: f64, row: f64| {
            let inside = [column, row].iter().all(|it| (0.0..GLYPH as f64).contains(it));
            if inside { self.0[row as usize][column as usize] } else { 0.0 }
        };
        let line = |row: f64| {
            (1.0 - right_share) * pixel(left, row) + right_share * pixel(left + 1.0, row)
        };
        (1.0 - lower_share) * line(top) + lower_share * line(top + 1.0)
    }
}

/// Sample points of a pixel that is `step` pixels of the field wide: offset from its middle, in its
/// own widths, and weight.
///
/// A pixel wider than one of the field is filtered with a triangle, as decoded frames are when
/// scaled. With a box filter a digit would move by whole pixels only.
fn taps(step: f64) -> Vec<(f64, f64)> {
    if step <= 1.0 {
        return vec![(0.0, 1.0)];
    }
    let fine = step.ceil();
    let tap = |idx: usize| (idx as f64 + 0.5) / fine - 1.0;
    (0..2 * fine as usize).map(|idx| (tap(idx), (1.0 - tap(idx).abs()) / fine)).collect()
}

/// The pixels that a glyph around `centre` can touch, of `count` pixels that are `step` wide each.
fn near(centre: f64, step: f64, count: usize) -> Range<usize> {
    let reach = GLYPH as f64 / 2.0 + 1.0 + step;
    let at = |edge: f64| (edge / step).clamp(0.0, count as f64);
    at(centre - reach).floor() as usize..at(centre + reach).ceil() as usize
}
