//! Means over items, and how far they can be trusted.

use rand::{RngExt as _, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

/// Resampled data sets of an interval.
const RESAMPLES: usize = 2000;

/// A number with its 95 % interval: the 2.5th and the 97.5th percentile over data sets of as many
/// items, drawn from the items with replacement (Efron, 1979).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// The number, of all items.
    pub value: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

/// The mean of one number per item. The interval is over items, so the frames of a video must
/// have become one number before. Numbers that are compared should have the same `seed`: then
/// both are of the same resampled items.
///
/// # Panics
/// If there is no item.
pub fn mean(items: &[f64], seed: u64) -> Estimate {
    assert!(!items.is_empty(), "an interval needs at least one item");
    let count = items.len();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let value = items.iter().sum::<f64>() / count as f64;
    let mut draw = || items[random.random_range(0..count)];
    let mut resampled: Vec<f64> =
        (0..RESAMPLES).map(|_| (0..count).map(|_| draw()).sum::<f64>() / count as f64).collect();
    resampled.sort_by(f64::total_cmp);
    Estimate { value, low: percentile(&resampled, 0.025), high: percentile(&resampled, 0.975) }
}

/// Linear interpolation between the two nearest of `sorted`, as NumPy does by default.
fn percentile(sorted: &[f64], share: f64) -> f64 {
    let at = share * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    below + (above - below) * at.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_of_a_share_is_that_of_the_binomial_distribution() {
        let items: Vec<f64> = (0..400).map(|it| f64::from(u8::from(it % 4 == 0))).collect();
        let Estimate { value, low, high } = mean(&items, 7);
        assert_eq!(value, 0.25);
        let half = 1.96 * (0.25_f64 * 0.75 / 400.0).sqrt();
        assert!((value - low - half).abs() < 0.005, "{low}");
        assert!((high - value - half).abs() < 0.005, "{high}");
    }

    #[test]
    fn equal_items_leave_no_doubt_and_a_seed_gives_the_same_interval() {
        assert_eq!(mean(&[0.5; 9], 1), Estimate { value: 0.5, low: 0.5, high: 0.5 });
        let items: Vec<f64> = (0..50).map(|it| f64::from(it).sin()).collect();
        assert_eq!(mean(&items, 1), mean(&items, 1));
        assert_ne!(mean(&items, 1), mean(&items, 2));
    }

    #[test]
    fn percentiles_are_those_of_numpy() {
        assert_eq!(percentile(&[1.0, 2.0, 4.0, 8.0], 0.5), 3.0);
        assert!((percentile(&[1.0, 2.0, 4.0, 8.0], 0.025) - 1.075).abs() < 1e-12);
        assert_eq!(percentile(&[3.0], 0.975), 3.0);
    }
}
