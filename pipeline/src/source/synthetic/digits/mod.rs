//! Digits that move and then change their velocity: the acceleration task on Moving-MNIST that
//! AdaSSL is measured on.

use std::{array, path::PathBuf, sync::Arc};

use rand::{Rng, RngExt};
use rand_distr::{Distribution, StandardNormal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::{glyph::Glyph, scans::Scan};
use crate::{
    Problem,
    picture::Scaler,
    random::{self, SequencePart},
    source::{Image, SourceFrame},
    stop::Stop,
};

mod glyph;
mod scans;
mod strokes;

/// Frames in a sequence.
const FRAMES: usize = 9;

/// Frames before the velocity changes.
const STRAIGHT: usize = 3;

/// Standard deviation of the change of velocity, as a share of the velocity.
const CHANGE: f64 = 2.0 / 3.0;

/// Independent sequences of 9 frames, each of a white digit that moves over a black field and
/// changes its velocity once.
///
/// The digit is 16 pixels high and wide, the field 64. A frame of another size shows the same
/// field, larger or smaller. The centre starts in `U[8, 16]^2` and moves by `U[0, 3]^2` pixels per
/// frame. After the third frame the velocity `v` of one axis, chosen at random, becomes `v + 2/3 v
/// eps` with `eps ~ N(0, 1)`. Digits may leave the field.
///
/// Frame `i` of sequence `k` is shown at `(9 k + i) / fps` seconds. Each sequence begins with a
/// discontinuity, so that no clip spans two, and every epoch gives the same clips: with `clip = {
/// frames = 9, interval = 1 / fps }`, one per sequence.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct MovingDigits {
    /// Number of sequences. Default: 1000.
    pub sequences: u64,
    /// Frames per second. Default: 10.
    pub fps: f64,
    /// Seed of all sequences. Each sequence depends only on it and on its own number. Default: 0.
    pub seed: u64,
    /// A CSV of handwritten digits as scikit-learn's `load_digits` writes them: per row, 8 by 8
    /// values of 0 to 16 and the label. They are enlarged twice. By default digits are drawn with a
    /// pen whose slant, size and width vary.
    pub digits: Option<PathBuf>,
}

impl Default for MovingDigits {
    fn default() -> Self {
        Self { sequences: 1000, fps: 10.0, seed: 0, digits: None }
    }
}

/// The sequences of a [`MovingDigits`], by number.
#[derive(Clone, Debug)]
pub struct Sequences {
    seed: u64,
    scans: Option<Arc<[Scan]>>,
}

/// How the digit of a sequence moves, in pixels of the field of 64 by 64, `x` to the right and `y`
/// down.
#[derive(Clone, Debug, PartialEq)]
pub struct Trajectory {
    /// Centre of the digit in each frame, `x` and `y`.
    pub centres: [[f64; 2]; FRAMES],
    /// Pixels per frame up to the third frame.
    pub velocity_before: [f64; 2],
    /// Pixels per frame after the third frame.
    pub velocity_after: [f64; 2],
    /// The axis whose velocity changes, 0 for `x` and 1 for `y`.
    pub axis: usize,
    /// The digit.
    pub label: u8,
}

/// A frame that is not drawn yet.
#[derive(Debug)]
struct DigitFrame {
    glyph: Arc<Glyph>,
    centre: [f64; 2],
}

/// Start of a digit.
struct Start {
    centre: [f64; 2],
    velocity: [f64; 2],
}

/// Change of its velocity.
struct VelocityChange {
    axis: usize,
    eps: f64,
}

impl MovingDigits {
    /// The sequences. Reads the file of digits, if there is one.
    ///
    /// # Errors
    /// [`Problem::Digits`] when that file cannot be used; it names the file and the line.
    pub fn open(&self) -> Result<Sequences, Problem> {
        let scans = self.digits.as_deref().map(scans::read).transpose()?;
        Ok(Sequences { seed: self.seed, scans: scans.map(Arc::from) })
    }

    /// The first field with a wrong value, and what is wrong with it.
    pub(crate) fn invalid_field(&self) -> Option<(&'static str, &'static str)> {
        let positive = self.fps > 0.0 && self.fps.is_finite();
        let nameless = self.digits.as_ref().is_some_and(|it| it.as_os_str().is_empty());
        match () {
            () if self.sequences == 0 => Some(("sequences", "must be at least 1")),
            () if !positive => Some(("fps", "must be more than 0")),
            () if nameless => Some(("digits", "must name a CSV file, or be left out")),
            () => None,
        }
    }

    /// Seconds until the end.
    pub(crate) fn duration(&self) -> f64 {
        self.sequences as f64 * FRAMES as f64 / self.fps
    }

    pub(crate) fn frames(
        &self,
        stop: Stop,
    ) -> Result<impl Iterator<Item = Result<SourceFrame, Problem>> + use<>, Problem> {
        let (sequences, fps) = (self.open()?, self.fps);
        let frames = (0..self.sequences).flat_map(move |number| {
            let begin = number as f64 * FRAMES as f64;
            sequences.frames(number).into_iter().enumerate().map(move |(frame, digit)| {
                SourceFrame {
                    time: (begin + frame as f64) / fps,
                    discontinuity: frame == 0,
                    captured: None,
                    run_start: None,
                    image: Box::new(digit),
                }
            })
        });
        Ok(frames.map_while(move |it| (!stop.is_set()).then_some(Ok(it))))
    }
}

impl Sequences {
    /// How the digit of a sequence moves.
    pub fn truth(&self, sequence: u64) -> Trajectory {
        let random = &mut random::sequence(self.seed, sequence, SequencePart::Motion);
        let (start, change) = (Start::draw(random), VelocityChange::draw(random));
        Trajectory {
            centres: start.path(&change),
            velocity_before: start.velocity,
            velocity_after: change.apply(start.velocity),
            axis: change.axis,
            label: self.glyph(sequence).1,
        }
    }

    /// The frames of a sequence, `[9, height, width, 3]` RGB, 8 bits per channel: the same bytes
    /// that the stream gives at the training size `[height, width]`.
    pub fn clip(&self, sequence: u64, size: [usize; 2]) -> Vec<u8> {
        let frames = self.frames(sequence);
        frames.iter().flat_map(|it| it.draw(size).to_vec()).collect()
    }

    /// Other possible futures of a digit: centres of `samples` sequences, `[samples, 9]` of `x` and
    /// `y`, that share the first three frames and change their velocity independently.
    pub fn futures(&self, sequence: u64, samples: usize, seed: u64) -> Vec<[[f64; 2]; FRAMES]> {
        let start = Start::draw(&mut random::sequence(self.seed, sequence, SequencePart::Motion));
        let random = &mut random::sequence(seed, sequence, SequencePart::Futures);
        (0..samples).map(|_| start.path(&VelocityChange::draw(random))).collect()
    }

    fn frames(&self, sequence: u64) -> [DigitFrame; FRAMES] {
        let glyph = Arc::new(self.glyph(sequence).0);
        self.truth(sequence).centres.map(|centre| DigitFrame { glyph: glyph.clone(), centre })
    }

    /// The digit of a sequence, and its label.
    fn glyph(&self, sequence: u64) -> (Glyph, u8) {
        let random = &mut random::sequence(self.seed, sequence, SequencePart::Digit);
        match &self.scans {
            Some(scans) => scans[random.random_range(0..scans.len())].clone(),
            None => {
                let label = random.random_range(0..10);
                (strokes::draw(label, random), label)
            }
        }
    }
}

impl Start {
    fn draw(random: &mut impl Rng) -> Self {
        let centre = [(); 2].map(|()| random.random_range(8.0..16.0));
        Self { centre, velocity: [(); 2].map(|()| random.random_range(0.0..3.0)) }
    }

    /// Centres of the digit, `[9]` of `x` and `y`.
    fn path(&self, change: &VelocityChange) -> [[f64; 2]; FRAMES] {
        let after = change.apply(self.velocity);
        array::from_fn(|frame| {
            let straight = frame.min(STRAIGHT - 1);
            let [before, since] = [straight, frame - straight].map(|it| it as f64);
            [0, 1].map(|it| self.centre[it] + before * self.velocity[it] + since * after[it])
        })
    }
}

impl VelocityChange {
    fn draw(random: &mut impl Rng) -> Self {
        Self { axis: random.random_range(0..2), eps: StandardNormal.sample(random) }
    }

    fn apply(&self, velocity: [f64; 2]) -> [f64; 2] {
        let mut after = velocity;
        after[self.axis] += CHANGE * velocity[self.axis] * self.eps;
        after
    }
}

impl Image for DigitFrame {
    fn pixels(&self, scaler: &mut Scaler) -> Result<Arc<[u8]>, Problem> {
        Ok(scaler.mask(self.draw(scaler.size())))
    }
}

impl DigitFrame {
    /// RGB, `[height, width, 3]`.
    fn draw(&self, size: [usize; 2]) -> Arc<[u8]> {
        self.glyph.draw(self.centre, size)
    }
}

#[cfg(test)]
mod tests;
