//! Smooth motion over the frames of a video, and where it puts things.
//!
//! Only operations that IEEE 754 defines to the last bit are used here, so that a video is the same
//! on every machine. A system's own sine is not among them.

use std::f64::consts::{FRAC_PI_2, TAU};

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// A number that changes smoothly: a steady drift and two sine waves around a centre.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wave {
    centre: f64,
    drift: f64,
    parts: [Sine; 2],
}

#[derive(Clone, Copy, Debug)]
struct Sine {
    amplitude: f64,
    /// Radians per frame.
    frequency: f64,
    phase: f64,
}

impl Wave {
    /// A wave that never leaves `centre` by more than `amplitude`, and whose mean speed is about
    /// `speed` a frame.
    pub(crate) fn random(rng: &mut ChaCha8Rng, centre: f64, amplitude: f64, speed: f64) -> Self {
        let share = rng.random_range(0.7..0.9);
        let turns = rng.random_range(1.5..2.5);
        // The mean speed of a sine is 2 / π of its highest.
        let frequency = if amplitude > 0.0 { FRAC_PI_2 * speed / amplitude } else { 0.0 };
        let mut sine = |share: f64, frequency: f64| Sine {
            amplitude: amplitude * share,
            frequency,
            phase: rng.random_range(0.0..TAU),
        };
        let parts = [sine(share, frequency), sine(1.0 - share, frequency * turns)];
        Self { centre, drift: 0.0, parts }
    }

    /// The same wave that also moves on by `drift` a frame.
    pub(crate) fn drifting(self, drift: f64) -> Self {
        Self { drift, ..self }
    }

    /// The value at one frame.
    pub(crate) fn at(&self, frame: usize) -> f64 {
        let time = frame as f64;
        let sine = |it: &Sine| it.amplitude * sin_cos(it.frequency * time + it.phase).0;
        self.centre + self.drift * time + self.parts.iter().map(sine).sum::<f64>()
    }
}

/// How a thing moves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Motion {
    pub(crate) x: Wave,
    pub(crate) y: Wave,
    pub(crate) scale: Wave,
    pub(crate) angle: Wave,
}

impl Motion {
    /// Where the thing is at one frame.
    pub(crate) fn pose(&self, frame: usize) -> Pose {
        let [x, y, scale, angle] =
            [self.x, self.y, self.scale, self.angle].map(|wave| wave.at(frame));
        let (sin, cos) = sin_cos(angle);
        Pose { x, y, scale, angle, sin, cos }
    }
}

/// Where a thing is in a frame: its own coordinates are turned, enlarged and moved.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pose {
    pub(crate) x: f64,
    pub(crate) y: f64,
    /// Pixels of the frame in one unit of the thing's own coordinates.
    pub(crate) scale: f64,
    /// Radians, from the x axis towards the y axis: clockwise as seen.
    pub(crate) angle: f64,
    sin: f64,
    cos: f64,
}

impl Pose {
    /// The point of the frame that shows a point of the thing.
    pub(crate) fn place(&self, [u, v]: [f64; 2]) -> [f64; 2] {
        let (x, y) = (self.cos * u - self.sin * v, self.sin * u + self.cos * v);
        [self.x + self.scale * x, self.y + self.scale * y]
    }

    /// The point of the thing that is at a point of the frame.
    pub(crate) fn locate(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        let (x, y) = ((x - self.x) / self.scale, (y - self.y) / self.scale);
        [self.cos * x + self.sin * y, self.cos * y - self.sin * x]
    }
}

/// Sine and cosine, to about 15 digits.
pub(crate) fn sin_cos(radians: f64) -> (f64, f64) {
    let quarters = (radians / FRAC_PI_2).round();
    let rest = radians - quarters * FRAC_PI_2;
    let (sin, cos) = (series(rest, rest, 1.0), series(rest, 1.0, 0.0));
    match quarters.rem_euclid(4.0) as u8 {
        0 => (sin, cos),
        1 => (cos, -sin),
        2 => (-sin, -cos),
        _ => (-cos, sin),
    }
}

/// The Taylor series of the sine (`order` 1) or the cosine (`order` 0) up to π / 4.
fn series(x: f64, first: f64, order: f64) -> f64 {
    let (mut term, mut sum, mut order) = (first, first, order);
    for _ in 0..9 {
        term *= -x * x / ((order + 1.0) * (order + 2.0));
        sum += term;
        order += 2.0;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::benchmark::random::{Purpose, generator};

    #[test]
    fn sine_and_cosine_are_those_of_the_system() {
        for step in -400..400 {
            let angle = f64::from(step) * 0.0537;
            let (sin, cos) = sin_cos(angle);
            assert!((sin - angle.sin()).abs() < 1e-14, "sine of {angle}");
            assert!((cos - angle.cos()).abs() < 1e-14, "cosine of {angle}");
        }
    }

    #[test]
    fn a_wave_stays_within_its_amplitude_and_has_its_speed() {
        let mut rng = generator(1, Purpose::Scene, 0);
        let mut total = 0.0;
        for _ in 0..50 {
            let wave = Wave::random(&mut rng, 10.0, 4.0, 0.3);
            let values: Vec<_> = (0..400).map(|it| wave.at(it)).collect();
            assert!(values.iter().all(|it| (it - 10.0).abs() <= 4.0));
            total += values.windows(2).map(|it| (it[1] - it[0]).abs()).sum::<f64>() / 399.0;
        }
        assert!((total / 50.0 - 0.3).abs() < 0.06, "mean speed {}", total / 50.0);
    }

    #[test]
    fn locating_undoes_placing() {
        let mut rng = generator(2, Purpose::Scene, 0);
        let mut wave = |centre| Wave::random(&mut rng, centre, 1.0, 0.1);
        let motion = Motion { x: wave(5.0), y: wave(-3.0), scale: wave(4.0), angle: wave(0.5) };
        let pose = motion.pose(7);
        let [u, v] = pose.locate(pose.place([0.3, -0.8]));
        assert!((u - 0.3).abs() < 1e-12 && (v + 0.8).abs() < 1e-12);
    }
}
