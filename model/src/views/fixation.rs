//! Fixations drawn from a saliency map with inhibition of return (seq-JEPA, section 2.3, extended
//! to video).

use burn::tensor::{Int, Tensor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::train::random::Draws;

/// Remaining probability of an inhibited cell, as in the authors' code.
const INHIBITED: f64 = 1e-16;

/// Cells below this fraction of the largest probability are never drawn: a float32 sum cannot
/// resolve them. Inhibited cells are below it as long as another cell has 1e-7.
const NEGLIGIBLE: f64 = 1e-9;

/// The shape of the inhibited area around a fixation.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum IorShape {
    /// A square, as in the authors' code.
    #[default]
    Square,
    /// A disc, as in the paper.
    Circle,
}

/// Inhibition of return: the area around a fixation that later fixations avoid.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inhibition {
    /// The shape of the area.
    pub(crate) shape: IorShape,
    /// Its radius in cells of the saliency map.
    pub(crate) radius: usize,
}

impl Inhibition {
    /// 0 in the area around one cell per map and 1 elsewhere, `[n, h, w]`. `row` and `column` are
    /// `[n, 1, 1]`.
    pub(super) fn mask(&self, row: Tensor<3>, column: Tensor<3>, [h, w]: [usize; 2]) -> Tensor<3> {
        let device = row.device();
        let count = |len: usize| Tensor::<1, Int>::arange(0..len as i64, &device).float();
        let rows = (count(h).reshape([1, h, 1]) - row).square();
        let columns = (count(w).reshape([1, 1, w]) - column).square();
        // Distances are squares of integers: adding one half avoids rounding errors.
        let limit = (self.radius * self.radius) as f64 + 0.5;
        let distance = match self.shape {
            IorShape::Square => {
                let shape = [rows.dims()[0], h, w];
                rows.expand(shape).max_pair(columns.expand(shape))
            }
            IorShape::Circle => rows + columns,
        };
        distance.greater_scalar(limit).float()
    }
}

/// Draws `count` fixations per saliency map `[n, h, w]`: `[n, count, 2]`, the row divided by h and
/// the column divided by w.
///
/// A fixation is the cell where the cumulative sum exceeds a random number drawn on the CPU. Then
/// the area around it is inhibited. A map of equal values is drawn from uniformly.
pub(crate) fn fixate(
    saliency: Tensor<3>,
    count: usize,
    inhibition: Inhibition,
    draws: &mut Draws,
) -> Tensor<3> {
    let [n, h, w] = saliency.dims();
    let units: Tensor<2> = draws.uniform([n, count], [0.0, 1.0]);
    let mut probability = normalised(saliency);
    let mut fixations = Vec::with_capacity(count);
    for idx in 0..count {
        let cell =
            draw_cell(probability.clone().reshape([n, h * w]), units.clone().narrow(1, idx, 1));
        // Adding one half keeps the first cell of a row from being rounded into the row before.
        let row = ((cell.clone() + 0.5) / w as f64).floor();
        let column = cell - row.clone() * w as f64;
        fixations.push(Tensor::cat(vec![row.clone() / h as f64, column.clone() / w as f64], 1));
        let corner = [n, 1, 1];
        let mask = inhibition.mask(row.reshape(corner), column.reshape(corner), [h, w]);
        probability = normalised(probability * mask + INHIBITED);
    }
    Tensor::stack(fixations, 1)
}

/// Maps `[n, h, w]` divided by their sums.
fn normalised(maps: Tensor<3>) -> Tensor<3> {
    maps.clone() / maps.sum_dims(&[1, 2])
}

/// The first cell of `[n, cells]` where the cumulative sum exceeds the fraction `unit` `[n, 1]` of
/// the total: `[n, 1]`.
///
/// Cumulative sums are rounded, and on a GPU not even monotonic. Cells without probability are
/// therefore excluded, and if rounding keeps the sum from exceeding `unit`, the last cell is drawn.
fn draw_cell(probability: Tensor<2>, unit: Tensor<2>) -> Tensor<2> {
    let [n, cells] = probability.dims();
    let sum = probability.clone().cumsum(1);
    let passed = sum.clone().greater(sum.narrow(1, cells - 1, 1) * unit);
    let floor = probability.clone().max_dim(1) * NEGLIGIBLE;
    let possible = probability.greater(floor).float();
    let index = Tensor::<1, Int>::arange(0..cells as i64, &possible.device()).float();
    let index = index.reshape([1, cells]).expand([n, cells]);
    let first = index.clone().neg() + 2.0 * cells as f64;
    let rank = (index + 1.0).mask_where(passed, first) * possible;
    rank.argmax(1).float()
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;
    use crate::train::random::Stage;

    fn draws(seed: u64) -> Draws {
        Draws::at(seed, 0, Stage::Fixate, &Device::flex())
    }

    fn map(values: Vec<f32>, [n, h, w]: [usize; 3]) -> Tensor<3> {
        let one = TensorData::new(values, [1, h, w]);
        Tensor::<3>::from_data(one, &Device::flex()).repeat_dim(0, n)
    }

    /// Row and column of each fixation in cells, one list per map.
    fn cells(fixations: Tensor<3>, [h, w]: [usize; 2]) -> Vec<Vec<[i64; 2]>> {
        let count = fixations.dims()[1];
        let values = fixations.into_data().try_to_vec::<f32>().unwrap();
        let cell =
            |it: &[f32]| [(it[0] * h as f32).round() as i64, (it[1] * w as f32).round() as i64];
        values.chunks(2 * count).map(|it| it.chunks(2).map(cell).collect()).collect()
    }

    fn inhibition(shape: IorShape, radius: usize) -> Inhibition {
        Inhibition { shape, radius }
    }

    #[test]
    fn no_two_fixations_are_nearer_than_the_radius() {
        let size = [20, 30];
        let values = (0..600).map(|it| if it % 30 < 3 { 0.0 } else { 1.0 + (it % 7) as f32 });
        let saliency = map(values.collect(), [200, 20, 30]);
        for shape in [IorShape::Square, IorShape::Circle] {
            let fixations = fixate(saliency.clone(), 5, inhibition(shape, 4), &mut draws(1));
            let far = |[a, b]: [i64; 2], [c, d]: [i64; 2]| match shape {
                IorShape::Square => (a - c).abs().max((b - d).abs()) > 4,
                IorShape::Circle => (a - c).pow(2) + (b - d).pow(2) > 16,
            };
            for sequence in cells(fixations, size) {
                for (idx, place) in sequence.iter().enumerate() {
                    assert!(place[1] >= 3, "a cell of no saliency: {sequence:?}");
                    let apart = sequence[..idx].iter().all(|other| far(*place, *other));
                    assert!(apart, "{shape:?}: {sequence:?}");
                }
            }
        }
    }

    #[test]
    fn a_flat_map_is_drawn_uniformly() {
        let fixations = fixate(
            map(vec![1.0; 12], [12_000, 3, 4]),
            1,
            inhibition(IorShape::Square, 0),
            &mut draws(2),
        );
        let mut counts = [0_i32; 12];
        for sequence in cells(fixations, [3, 4]) {
            counts[(sequence[0][0] * 4 + sequence[0][1]) as usize] += 1;
        }
        // The standard deviation of a count is 30.
        assert!(counts.iter().all(|it| (it - 1000).abs() < 150), "{counts:?}");
    }

    #[test]
    fn cells_are_drawn_as_often_as_the_map_says() {
        let weights = [0.0, 1.0, 0.0, 0.0, 2.0, 3.0, 4.0, 0.0];
        let fixations = fixate(
            map(weights.to_vec(), [10_000, 2, 4]),
            1,
            inhibition(IorShape::Circle, 1),
            &mut draws(3),
        );
        let mut counts = [0.0_f32; 8];
        for sequence in cells(fixations, [2, 4]) {
            counts[(sequence[0][0] * 4 + sequence[0][1]) as usize] += 1.0;
        }
        for (count, weight) in counts.iter().zip(weights) {
            assert!((count - weight * 1000.0).abs() < 250.0, "{counts:?}");
            assert!(weight > 0.0 || *count == 0.0, "{counts:?}");
        }
    }

    #[test]
    fn empty_cells_are_not_drawn_at_the_ends_of_the_sum() {
        let (h, w) = (96, 96);
        let mut values = vec![0.0; h * w];
        for (idx, value) in values.iter_mut().enumerate().skip(5000).take(1000) {
            *value = 1e-7 * (1 + idx % 3) as f32;
        }
        let seen = map(values, [1, h, w]) + 1e-16;
        let probability = seen.reshape([1, h * w]);
        for (unit, wanted) in [(0.0, 5000), (3e-8, 5000), (1.0 - 6e-8, 5999), (1.0, 5999)] {
            let unit = Tensor::from_floats([[unit]], &Device::flex());
            let got: f32 = draw_cell(probability.clone(), unit).into_scalar();
            assert!((got - wanted as f32).abs() <= 1.0, "{got} is not {wanted}");
        }
    }

    #[test]
    fn fixations_continue_when_every_cell_is_inhibited() {
        let fixations = fixate(
            map(vec![1.0; 16], [50, 4, 4]),
            4,
            inhibition(IorShape::Square, 9),
            &mut draws(4),
        );
        for position in cells(fixations, [4, 4]).concat() {
            assert!(position.iter().all(|it| (0..4).contains(it)), "{position:?}");
        }
    }

    #[test]
    fn fixations_depend_on_the_seed_alone() {
        let look = |n, draws: &mut Draws| {
            let values = (0..64).map(|it| (it % 5) as f32).collect();
            fixate(map(values, [n, 8, 8]), 3, inhibition(IorShape::Square, 1), draws).into_data()
        };
        assert_eq!(look(4, &mut draws(5)), look(4, &mut draws(5)));
        assert_ne!(look(4, &mut draws(5)), look(4, &mut draws(6)));
    }
}
