//! Whether a patch is found again after a known change of the image. It needs no labels.
//!
//! Of every patch of an image, the most similar place in a changed copy is looked for: moved,
//! turned, scaled, blurred and of another brightness. Where the patch really went is known.

mod warp;

use crate::Vectors;
use crate::interval::{self, Estimate};

pub use warp::Warp;

/// Places per patch and axis that are compared. A target rarely falls on the centre of a patch.
const PLACES: usize = 4;

/// Patch tokens of an image, in row-major order.
#[derive(Clone, Debug)]
pub struct Patches {
    /// One token per patch.
    pub tokens: Vectors,
    /// Rows and columns of patches.
    pub grid: [usize; 2],
}

/// What became of the patches of one image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// Share of the patches that were found at most the width of a patch away.
    pub within: f64,
    /// Mean distance of the place that was found from the true one, in widths of a patch.
    pub error: f64,
    /// The share for a token that says its own position and nothing else.
    pub within_by_position: f64,
}

/// Looks for each patch of `image` in `warped`, the same image after `warp`. None if no patch is
/// still inside.
///
/// # Panics
/// If the grids differ, or do not fit the tokens.
pub fn correspond(image: &Patches, warped: &Patches, warp: &Warp) -> Option<Found> {
    let [rows, columns] = image.grid;
    assert_eq!(image.grid, warped.grid, "one grid");
    assert_eq!(image.tokens.len(), rows * columns, "a token for each patch");
    let queries = image.tokens.normalized();
    let places = Places::of(warped);
    let (mut seen, mut within, mut error, mut by_position) = (0, 0, 0.0, 0);
    for (patch, query) in queries.rows().enumerate() {
        // Centres of patches in units of a patch.
        let from = [(patch % columns) as f64 + 0.5, (patch / columns) as f64 + 0.5];
        let to = warp.place(from, [columns as f64, rows as f64]);
        let inside = |at: f64, size: usize| at >= 0.5 && at <= size as f64 - 0.5;
        if !inside(to[0], columns) || !inside(to[1], rows) {
            continue;
        }
        let distance = |at: [f64; 2]| (at[0] - to[0]).hypot(at[1] - to[1]);
        let found = distance(places.nearest(query));
        seen += 1;
        error += found;
        within += usize::from(found <= 1.0);
        by_position += usize::from(distance(from) <= 1.0);
    }
    let share = |count: usize| count as f64 / f64::from(seen);
    (seen > 0).then(|| Found {
        within: share(within),
        error: error / f64::from(seen),
        within_by_position: share(by_position),
    })
}

/// Tokens between the centres of patches, by bilinear interpolation, at unit length.
struct Places {
    tokens: Vectors,
    /// Where they are, in units of a patch.
    at: Vec<[f64; 2]>,
}

impl Places {
    fn of(patches: &Patches) -> Self {
        let ([rows, columns], tokens) = (patches.grid, patches.tokens.normalized());
        let steps = |size: usize| (size - 1) * PLACES + 1;
        let (mut values, mut at) = (Vec::new(), Vec::new());
        for row in 0..steps(rows) {
            for column in 0..steps(columns) {
                let corner = |step: usize, size: usize| (step / PLACES).min(size.max(2) - 2);
                let (top, left) = (corner(row, rows), corner(column, columns));
                let share =
                    |step: usize, corner: usize| step as f64 / PLACES as f64 - corner as f64;
                let (down, right) = (share(row, top), share(column, left));
                let token = |row: usize, column: usize| {
                    tokens.row(row.min(rows - 1) * columns + column.min(columns - 1))
                };
                let corners = [
                    (token(top, left), (1.0 - down) * (1.0 - right)),
                    (token(top, left + 1), (1.0 - down) * right),
                    (token(top + 1, left), down * (1.0 - right)),
                    (token(top + 1, left + 1), down * right),
                ];
                let number = |feature: usize| -> f32 {
                    corners.iter().map(|(token, share)| token[feature] * *share as f32).sum()
                };
                values.extend((0..tokens.dim()).map(number));
                at.push([column, row].map(|it| it as f64 / PLACES as f64 + 0.5));
            }
        }
        Self { tokens: Vectors::new(tokens.dim(), values).normalized(), at }
    }

    /// The place whose token has the greatest cosine with `query`; of equal ones the first.
    fn nearest(&self, query: &[f32]) -> [f64; 2] {
        let cosine = |token: &[f32]| -> f32 { token.iter().zip(query).map(|(a, b)| a * b).sum() };
        let mut best = (f32::NEG_INFINITY, [0.0; 2]);
        for (token, at) in self.tokens.rows().zip(&self.at) {
            let cosine = cosine(token);
            if cosine > best.0 {
                best = (cosine, *at);
            }
        }
        best.1
    }
}

/// The result over many images.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Correspondence {
    /// Share of the patches that were found at most the width of a patch away.
    pub within: Estimate,
    /// By how much that is more than position alone gives.
    pub beyond_position: Estimate,
    /// Mean error in widths of a patch.
    pub error: Estimate,
}

impl Correspondence {
    /// Means over images.
    ///
    /// # Panics
    /// If there is none.
    pub fn of(images: &[Found]) -> Self {
        let mean = |number: fn(&Found) -> f64| {
            interval::mean(&images.iter().map(number).collect::<Vec<_>>(), 0)
        };
        Self {
            within: mean(|it| it.within),
            beyond_position: mean(|it| it.within - it.within_by_position),
            error: mean(|it| it.error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patches(grid: [usize; 2], token: impl Fn(f64, f64) -> Vec<f32>) -> Patches {
        let [rows, columns] = grid;
        let centre =
            |patch: usize| ((patch % columns) as f64 + 0.5, (patch / columns) as f64 + 0.5);
        let tokens: Vec<_> = (0..rows * columns).map(centre).map(|(x, y)| token(x, y)).collect();
        Patches { tokens: Vectors::new(tokens[0].len(), tokens.concat()), grid }
    }

    /// A smooth token that no other place of a small plane has.
    fn scenery(x: f64, y: f64) -> Vec<f32> {
        [x, y, 0.7 * x + 0.7 * y, 0.7 * x - 0.7 * y]
            .iter()
            .flat_map(|it| [(it / 3.0).sin() as f32, (it / 3.0).cos() as f32])
            .collect()
    }

    #[test]
    fn a_token_of_the_scenery_is_found_between_patches() {
        let warp = Warp { shift: [1.75 / 10.0, -0.5 / 8.0], ..Warp::default() };
        let image = patches([8, 10], scenery);
        let warped = patches([8, 10], |x, y| scenery(x - 1.75, y + 0.5));
        let found = correspond(&image, &warped, &warp).unwrap();
        assert_eq!(found.within, 1.0);
        assert!(found.error < 0.05, "{found:?}");
        assert_eq!(found.within_by_position, 0.0);
    }

    #[test]
    fn a_token_of_the_position_is_as_good_as_position() {
        let warp = Warp { shift: [0.0, 0.05], turn: 0.2, scale: 1.1, ..Warp::default() };
        let image = patches([8, 8], scenery);
        let found = correspond(&image, &image, &warp).unwrap();
        assert_eq!(found.within, found.within_by_position);
        assert!(found.within > 0.1 && found.within < 0.9, "{found:?}");
    }

    #[test]
    fn patches_that_left_the_image_do_not_count() {
        let image = patches([4, 4], scenery);
        let away = Warp { shift: [2.0, 0.0], ..Warp::default() };
        assert!(correspond(&image, &image, &away).is_none());
    }
}
