//! Points that can be tracked: the one with the most texture in each cell of a grid.

use super::{grey::Grey, track::RADIUS};

/// Cells along the shorter side.
const CELLS: usize = 14;

/// Side of the smallest cell, in pixels.
const SMALLEST_CELL: usize = 4;

/// Half the side of the window over which texture is measured, in pixels.
const REACH: usize = 2;

/// Least texture: the mean squared gradient along its weakest direction, in grey levels per pixel.
/// With less, a point is flat, or lies on an edge and slides along it.
const TEXTURE: f32 = 0.1;

/// At most one point per cell, away from the edges of the frame.
pub(super) fn textured(image: &Grey) -> Vec<[f32; 2]> {
    let (width, height) = (image.width(), image.height());
    let margin = RADIUS + 1;
    let cell = (width.min(height) / CELLS).max(SMALLEST_CELL);
    let starts = |length: usize| (margin..length.saturating_sub(margin)).step_by(cell);
    let gradients = Gradients::of(image);
    let mut points = Vec::new();
    for top in starts(height) {
        for left in starts(width) {
            let rows = top..(top + cell).min(height - margin);
            let columns = left..(left + cell).min(width - margin);
            let candidates = rows
                .step_by(2)
                .flat_map(|row| columns.clone().step_by(2).map(move |column| (column, row)));
            let strengths = candidates.map(|it| (gradients.texture(it), it));
            let best = strengths.max_by(|a, b| a.0.total_cmp(&b.0));
            if let Some((_, (column, row))) = best.filter(|it| it.0 > TEXTURE) {
                points.push([column as f32, row as f32]);
            }
        }
    }
    points
}

/// Gradient to the right and down at each pixel; zero along the edges.
struct Gradients {
    width: usize,
    values: Vec<[f32; 2]>,
}

impl Gradients {
    fn of(image: &Grey) -> Self {
        let (width, height) = (image.width(), image.height());
        let mut values = vec![[0.0; 2]; width * height];
        for row in 1..height.saturating_sub(1) {
            for column in 1..width.saturating_sub(1) {
                let across = image.pixel(column + 1, row) - image.pixel(column - 1, row);
                let down = image.pixel(column, row + 1) - image.pixel(column, row - 1);
                values[row * width + column] = [across / 2.0, down / 2.0];
            }
        }
        Self { width, values }
    }

    /// The smaller eigenvalue of the mean structure tensor around a pixel (Shi and Tomasi, 1994).
    fn texture(&self, (column, row): (usize, usize)) -> f32 {
        let (mut xx, mut xy, mut yy) = (0.0, 0.0, 0.0);
        for row in row - REACH..=row + REACH {
            let line = &self.values[row * self.width..][column - REACH..=column + REACH];
            for [x, y] in line {
                xx += x * x;
                xy += x * y;
                yy += y * y;
            }
        }
        let smaller = (xx + yy) / 2.0 - ((xx - yy) / 2.0).hypot(xy);
        smaller / ((2 * REACH + 1) * (2 * REACH + 1)) as f32
    }
}
