//! The random numbers of a training step, drawn on the host from the seed and the number of the
//! step: all devices get the same ones, and a step can be repeated.

use burn::tensor::{Device, Tensor, TensorData};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, Open01, StandardNormal};

/// The purpose of random numbers. Every stage has streams of its own, so that draws in one do not
/// change those in another.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stage {
    /// Crops, colours and blur.
    Augment,
    /// Fixations.
    Fixate,
    /// Noise of a latent variable.
    Latent,
    /// Directions to project on.
    Directions,
    /// Masks of dropout.
    Dropout,
}

/// The random numbers of a stage in a step, as tensors on a device.
///
/// Row `i` of every tensor comes from a stream of its own, so that a clip's numbers do not depend
/// on how many others there are.
pub(crate) struct Draws {
    key: [u8; 32],
    rows: Vec<ChaCha8Rng>,
    device: Device,
}

impl Draws {
    /// The numbers of `step` for `stage`, on `device`.
    pub(crate) fn at(seed: u64, step: u64, stage: Stage, device: &Device) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&step.to_le_bytes());
        key[16..24].copy_from_slice(&(stage as u64).to_le_bytes());
        Self { key, rows: Vec::new(), device: device.clone() }
    }

    /// Uniform between two limits; 0 and 1 themselves do not occur.
    pub(crate) fn uniform<const D: usize>(
        &mut self,
        shape: [usize; D],
        limits: [f32; 2],
    ) -> Tensor<D> {
        self.fill(shape, |rng| uniform(rng, limits))
    }

    /// Uniform in the logarithm, between two limits above 0.
    pub(crate) fn log_uniform<const D: usize>(
        &mut self,
        shape: [usize; D],
        limits: [f32; 2],
    ) -> Tensor<D> {
        self.fill(shape, |rng| uniform(rng, limits.map(f32::ln)).exp())
    }

    /// Standard normal.
    pub(crate) fn normal<const D: usize>(&mut self, shape: [usize; D]) -> Tensor<D> {
        self.fill(shape, |rng| StandardNormal.sample(rng))
    }

    /// 1 with the given probability, else 0.
    pub(crate) fn flags<const D: usize>(
        &mut self,
        shape: [usize; D],
        probability: f64,
    ) -> Tensor<D> {
        self.fill(shape, |rng| f32::from(flag(rng, probability)))
    }

    /// `per_row` values for each of `rows` rows, row after row, however many numbers a value
    /// takes.
    pub(crate) fn each<T>(
        &mut self,
        [rows, per_row]: [usize; 2],
        mut draw: impl FnMut(&mut ChaCha8Rng) -> T,
    ) -> Vec<T> {
        while self.rows.len() < rows {
            let mut stream = ChaCha8Rng::from_seed(self.key);
            stream.set_stream(self.rows.len() as u64);
            self.rows.push(stream);
        }
        let mut values = Vec::with_capacity(rows * per_row);
        for stream in &mut self.rows[..rows] {
            values.extend((0..per_row).map(|_| draw(stream)));
        }
        values
    }

    fn fill<const D: usize>(
        &mut self,
        shape: [usize; D],
        draw: impl FnMut(&mut ChaCha8Rng) -> f32,
    ) -> Tensor<D> {
        let values = self.each([shape[0], shape[1..].iter().product()], draw);
        Tensor::from_data(TensorData::new::<f32, _>(values, shape), &self.device)
    }
}

/// A number between the limits.
pub(crate) fn uniform(rng: &mut ChaCha8Rng, [low, high]: [f32; 2]) -> f32 {
    let unit: f32 = Open01.sample(rng);
    low + (high - low) * unit
}

/// True with the given probability.
pub(crate) fn flag(rng: &mut ChaCha8Rng, probability: f64) -> bool {
    let unit: f64 = Open01.sample(rng);
    unit < probability
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draws(seed: u64, step: u64, stage: Stage) -> Draws {
        Draws::at(seed, step, stage, &Device::flex())
    }

    fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().try_to_vec().unwrap()
    }

    #[test]
    fn seed_step_and_stage_decide_the_numbers() {
        let normal = |seed, step, stage| values(draws(seed, step, stage).normal([4, 3]));
        let first = normal(1, 7, Stage::Latent);
        assert_eq!(first, normal(1, 7, Stage::Latent));
        let others = [(2, 7, Stage::Latent), (1, 8, Stage::Latent), (1, 7, Stage::Directions)];
        for (seed, step, stage) in others {
            let other = normal(seed, step, stage);
            assert!(first.iter().zip(&other).all(|(a, b)| a != b), "{seed} {step} {stage:?}");
        }
    }

    #[test]
    fn a_row_draws_the_same_however_many_rows_there_are() {
        let draw = |rows: usize| {
            let mut draws = draws(5, 9, Stage::Augment);
            let crops = draws.each([rows, 2], |rng| {
                (0..100).map(|_| uniform(rng, [0.0, 1.0])).find(|it| *it < 0.3).unwrap()
            });
            (crops, values(draws.normal([rows, 3, 2])))
        };
        let (whole, part) = (draw(5), draw(2));
        assert_eq!((&whole.0[..4], &whole.1[..12]), (&part.0[..], &part.1[..]));
        assert_ne!(whole.1[..6], whole.1[6..12], "rows differ");
    }

    #[test]
    fn the_moments_are_those_of_the_distributions() {
        let mut draws = draws(3, 0, Stage::Latent);
        let moments = |tensor: Tensor<2>| {
            let mean: f32 = tensor.clone().mean().into_scalar();
            let square: f32 = (tensor - mean).square().mean().into_scalar();
            [mean, square]
        };
        let close = |[mean, variance]: [f32; 2], wanted: [f32; 2]| {
            let gaps = [mean - wanted[0], variance - wanted[1]];
            assert!(gaps.iter().all(|it| it.abs() < 0.02), "{mean} {variance} {wanted:?}");
        };
        close(moments(draws.normal([100, 400])), [0.0, 1.0]);
        close(moments(draws.uniform([100, 400], [-1.0, 2.0])), [0.5, 0.75]);
        close(moments(draws.flags([100, 400], 0.2)), [0.2, 0.16]);
        close(moments(draws.log_uniform([100, 400], [0.5, 2.0]).log()), [0.0, 0.16]);
    }

    #[test]
    fn limits_hold_and_certainty_is_certain() {
        let mut draws = draws(3, 1, Stage::Augment);
        let unit = values(draws.uniform([50, 1000], [0.0, 1.0]));
        assert!(unit.iter().all(|it| *it > 0.0 && *it < 1.0));
        assert!(values(draws.uniform([9], [0.7, 0.7])).iter().all(|it| *it == 0.7));
        assert!(values(draws.flags([50, 1000], 0.0)).iter().all(|it| *it == 0.0));
        assert!(values(draws.flags([50, 1000], 1.0)).iter().all(|it| *it == 1.0));
    }
}
