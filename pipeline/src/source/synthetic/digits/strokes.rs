//! The ten digits as strokes of a round pen.

use rand::{Rng, RngExt};

use super::glyph::{GLYPH, Glyph};

/// Points that the pen passes through, in pixels from the middle of the glyph.
type Stroke = Vec<[f64; 2]>;

/// Straight pieces in a full circle.
const PIECES: f64 = 32.0;

/// Draws a digit with random slant, height, width and pen, so that no two look alike.
pub(super) fn draw(label: u8, random: &mut impl Rng) -> Glyph {
    let slant = random.random_range(-0.3..0.3);
    let scale = [(); 2].map(|()| random.random_range(0.85..1.1));
    let pen = random.random_range(0.7..1.2);
    let strokes: Vec<Stroke> = strokes(label)
        .into_iter()
        .map(|it| it.into_iter().map(|[x, y]| [scale[0] * (x - slant * y), scale[1] * y]).collect())
        .collect();
    Glyph::new(|point| {
        let at = point.map(|it| it - GLYPH as f64 / 2.0);
        let pieces = strokes.iter().flat_map(|it| it.windows(2));
        let nearest = pieces.map(|it| distance(at, [it[0], it[1]])).fold(f64::MAX, f64::min);
        // The edge is one pixel wide.
        (pen + 0.5 - nearest).clamp(0.0, 1.0)
    })
}

fn strokes(label: u8) -> Vec<Stroke> {
    match label {
        0 => vec![arc([0.0, 0.0], [3.6, 5.5], [0.0, 360.0])],
        1 => vec![vec![[-2.0, -3.5], [0.5, -5.5], [0.5, 5.5]]],
        2 => {
            let hook = arc([0.0, -2.5], [3.3, 3.0], [190.0, 390.0]);
            vec![[hook, vec![[-3.4, 5.5], [3.5, 5.5]]].concat()]
        }
        3 => vec![
            arc([0.0, -2.7], [3.0, 2.8], [200.0, 450.0]),
            arc([0.0, 2.7], [3.4, 2.8], [270.0, 520.0]),
        ],
        4 => vec![vec![[1.5, 5.5], [1.5, -5.5], [-3.6, 2.0], [3.6, 2.0]]],
        5 => {
            let belly = arc([0.0, 2.0], [3.4, 3.5], [220.0, 500.0]);
            vec![[vec![[3.0, -5.5], [-2.6, -5.5], [-2.9, -0.6]], belly].concat()]
        }
        6 => vec![
            arc([2.2, 2.0], [5.6, 7.5], [270.0, 180.0]),
            arc([0.0, 2.2], [3.4, 3.3], [0.0, 360.0]),
        ],
        7 => vec![vec![[-3.5, -5.5], [3.5, -5.5], [-0.8, 5.5]]],
        8 => vec![
            arc([0.0, -2.8], [2.8, 2.7], [0.0, 360.0]),
            arc([0.0, 2.7], [3.5, 2.8], [0.0, 360.0]),
        ],
        // A 6 upside down.
        _ => strokes(6)
            .into_iter()
            .map(|it| it.iter().map(|it| it.map(|it| -it)).collect())
            .collect(),
    }
}

/// A part of an ellipse. Degrees run clockwise from the right, because `y` runs down.
fn arc(centre: [f64; 2], radii: [f64; 2], [from, to]: [f64; 2]) -> Stroke {
    let pieces = (PIECES * (to - from).abs() / 360.0).ceil();
    (0..=pieces as usize)
        .map(|it| {
            let (sin, cos) = (from + (to - from) * it as f64 / pieces).to_radians().sin_cos();
            [centre[0] + radii[0] * cos, centre[1] + radii[1] * sin]
        })
        .collect()
}

/// Distance from a point to a line segment.
fn distance(point: [f64; 2], [from, to]: [[f64; 2]; 2]) -> f64 {
    let minus = |a: [f64; 2], b: [f64; 2]| [a[0] - b[0], a[1] - b[1]];
    let dot = |a: [f64; 2], b: [f64; 2]| a[0] * b[0] + a[1] * b[1];
    let (piece, offset) = (minus(to, from), minus(point, from));
    let share = (dot(offset, piece) / dot(piece, piece).max(1e-12)).clamp(0.0, 1.0);
    (offset[0] - share * piece[0]).hypot(offset[1] - share * piece[1])
}
