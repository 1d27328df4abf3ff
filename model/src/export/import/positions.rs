//! Interpolates position embeddings to another grid as timm does (`resample_abs_pos_embed`):
//! bicubic, with antialiasing where the grid becomes smaller.

/// Interpolates vectors of width `dim` from a grid `from` = `[rows, columns]` to the grid `to`, both
/// in row-major order.
pub(super) fn resample(values: &[f32], from: [usize; 2], to: [usize; 2], dim: usize) -> Vec<f32> {
    let (rows, columns) = (taps(from[0], to[0]), taps(from[1], to[1]));
    let mean = |row: &[Tap], column: &[Tap]| {
        let mut sum = vec![0.0_f64; dim];
        for (y, a) in row {
            for (x, b) in column {
                let vector = &values[(y * from[1] + x) * dim..][..dim];
                sum.iter_mut().zip(vector).for_each(|(sum, it)| *sum += a * b * f64::from(*it));
            }
        }
        sum
    };
    let means = rows.iter().flat_map(|row| columns.iter().flat_map(|column| mean(row, column)));
    means.map(|it| it as f32).collect()
}

/// An input index and its weight.
type Tap = (usize, f64);

/// For each of `to` outputs, the inputs of which it is a weighted mean, as in PyTorch's antialiased
/// interpolation: the kernel is as wide as the reduction, and truncated and normalised at the ends.
fn taps(from: usize, to: usize) -> Vec<Vec<Tap>> {
    let scale = from as f64 / to as f64;
    let stretch = scale.max(1.0);
    let place = |idx: usize| {
        let centre = (idx as f64 + 0.5) * scale;
        let first = (centre - 2.0 * stretch + 0.5).max(0.0) as usize;
        let end = ((centre + 2.0 * stretch + 0.5) as usize).min(from);
        let weight = |at: usize| cubic((at as f64 - centre + 0.5) / stretch);
        let sum: f64 = (first..end).map(weight).sum();
        (first..end).map(|at| (at, weight(at) / sum)).collect()
    };
    (0..to).map(place).collect()
}

/// Keys' cubic convolution kernel with a = −1/2.
fn cubic(x: f64) -> f64 {
    let (x, a) = (x.abs(), -0.5);
    match x {
        _ if x < 1.0 => ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0,
        _ if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * a,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_and_ramps_are_reproduced() {
        let ones = resample(&[1.0; 9], [3, 3], [5, 2], 1);
        assert!(ones.len() == 10 && ones.iter().all(|it| (it - 1.0).abs() < 1e-6), "{ones:?}");
        // On a grid twice as fine, positions lie a quarter to either side of the old ones.
        let ramp: Vec<f32> = (0..8).map(|it| it as f32).collect();
        let fine = resample(&ramp, [1, 8], [1, 16], 1);
        for (idx, got) in fine.iter().enumerate().skip(4).take(8) {
            let wanted = (idx as f32 + 0.5) / 2.0 - 0.5;
            assert!((got - wanted).abs() < 1e-5, "{got} at {idx}, not {wanted}");
        }
    }

    #[test]
    fn the_components_of_a_vector_are_interpolated_independently() {
        let pairs: Vec<f32> = (0..4).flat_map(|it| [it as f32, 10.0 * it as f32]).collect();
        let out = resample(&pairs, [2, 2], [3, 4], 2);
        assert_eq!(out.len(), 3 * 4 * 2);
        for pair in out.chunks(2) {
            assert!((pair[1] - 10.0 * pair[0]).abs() < 1e-4, "{pair:?}");
        }
    }
}
