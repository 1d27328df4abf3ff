//! Textured discs that move with a known velocity over a textured background.

use std::{f64::consts::TAU, sync::Arc, time::Duration};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Problem,
    picture::Scaler,
    source::{Image, SourceFrame},
    stop::Stop,
};

/// Radius of a disc, as a fraction of the shorter side of the frame.
const RADIUS: f64 = 0.15;

/// Moving discs that are drawn at the training size.
///
/// Frame `i` is shown at `i / fps` seconds. The background stands still. Each disc has a pattern of
/// its own that moves with it at a constant velocity and re-enters on the other side;
/// [`Synthetic::position`] gives its position. The radius is 0.15 of the shorter side. Later discs
/// cover earlier ones.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Synthetic {
    /// Number of frames. Default: 250.
    pub frames: u64,
    /// Frames per second. Default: 25.
    pub fps: f64,
    /// Number of discs. Default: 3.
    pub shapes: usize,
    /// Velocity of every disc, in frame widths (to the right) and heights (down) per second. By
    /// default each disc has its own, of 0.1 to 0.4 in each direction.
    pub velocity: Option<[f64; 2]>,
    /// Seed of the patterns, the first positions and the velocities. Default: 0.
    pub seed: u64,
    /// Frame numbers of scene cuts: from there on all colours are inverted, until the next.
    /// Default: none.
    pub cuts: Vec<u64>,
    /// Seconds to wait before each frame, as a slow camera or disk would; the list repeats.
    /// Default: none.
    pub delay: Vec<f64>,
}

impl Default for Synthetic {
    fn default() -> Self {
        Self {
            frames: 250,
            fps: 25.0,
            shapes: 3,
            velocity: None,
            seed: 0,
            cuts: Vec::new(),
            delay: Vec::new(),
        }
    }
}

/// A frame that is not drawn yet.
#[derive(Debug)]
struct DiscsFrame {
    scene: Arc<Scene>,
    time: f64,
    inverted: bool,
}

/// What does not change with time.
#[derive(Debug)]
struct Scene {
    background: Pattern,
    shapes: Vec<(Motion, Pattern)>,
}

#[derive(Clone, Copy, Debug)]
struct Motion {
    start: [f64; 2],
    velocity: [f64; 2],
}

/// A product of two waves per colour: `level + contrast * sin(..) * sin(..)`.
#[derive(Clone, Debug)]
struct Pattern {
    level: f64,
    contrast: f64,
    /// Waves across and down, and a phase, per colour.
    waves: [[f64; 3]; 3],
}

impl Synthetic {
    /// Centre of a disc at a time in seconds, in fractions of width (from the left) and height
    /// (from the top).
    pub fn position(&self, shape: usize, time: f64) -> [f64; 2] {
        self.motion(shape).position(time)
    }

    /// Velocity of a disc, in frame widths and heights per second.
    pub fn velocity(&self, shape: usize) -> [f64; 2] {
        self.motion(shape).velocity
    }

    /// The first field with a wrong value, and what is wrong with it.
    pub(crate) fn invalid_field(&self) -> Option<(&'static str, &'static str)> {
        let positive = self.fps > 0.0 && self.fps.is_finite();
        let delays = self.delay.iter().all(|it| (0.0..=60.0).contains(it));
        let moving = self.velocity.is_none_or(|it| it.iter().all(|it| it.is_finite()));
        match () {
            () if self.frames == 0 => Some(("frames", "must be at least 1")),
            () if !positive => Some(("fps", "must be more than 0")),
            () if !delays => Some(("delay", "must be 0 to 60 seconds each")),
            () if !moving => Some(("velocity", "must be finite")),
            () => None,
        }
    }

    /// Seconds until the end.
    pub(crate) fn duration(&self) -> f64 {
        self.frames as f64 / self.fps
    }

    pub(crate) fn frames(
        &self,
        stop: Stop,
    ) -> impl Iterator<Item = Result<SourceFrame, Problem>> + use<> {
        let (config, scene) = (self.clone(), Arc::new(self.scene()));
        (0..self.frames).map_while(move |number| {
            let idx = number.checked_rem(config.delay.len() as u64);
            let delay = idx.map_or(0.0, |it| config.delay[it as usize]);
            if stop.sleep(Duration::from_secs_f64(delay)) {
                return None;
            }
            let time = number as f64 / config.fps;
            let inverted = config.cuts.iter().filter(|&&it| it <= number).count() % 2 == 1;
            let image = Box::new(DiscsFrame { scene: scene.clone(), time, inverted });
            let (captured, run_start) = (None, None);
            Some(Ok(SourceFrame { time, discontinuity: false, captured, run_start, image }))
        })
    }

    fn scene(&self) -> Scene {
        let random = &mut ChaCha8Rng::seed_from_u64(self.seed);
        let background = Pattern::new(0.3, 0.12, random);
        let shapes = (0..self.shapes)
            .map(|it| (self.motion(it), Pattern::new(0.75, 0.24, random)))
            .collect();
        Scene { background, shapes }
    }

    fn motion(&self, shape: usize) -> Motion {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        // A stream of the generator that the patterns do not use.
        random.set_stream(1 + shape as u64);
        let start = [random.random(), random.random()];
        let own = [(); 2].map(|()| {
            let speed = random.random_range(0.1..0.4);
            if random.random() { speed } else { -speed }
        });
        Motion { start, velocity: self.velocity.unwrap_or(own) }
    }
}

impl Motion {
    fn position(&self, time: f64) -> [f64; 2] {
        [0, 1].map(|it| (self.start[it] + self.velocity[it] * time).rem_euclid(1.0))
    }
}

impl Pattern {
    fn new(level: f64, contrast: f64, random: &mut ChaCha8Rng) -> Self {
        let waves = [(); 3].map(|()| {
            [random.random_range(2.0..5.0), random.random_range(2.0..5.0), random.random()]
        });
        Self { level, contrast, waves }
    }

    /// Red, green and blue in 0..1, with `x` and `y` in fractions of the frame.
    fn colour(&self, x: f64, y: f64) -> [f64; 3] {
        self.waves.map(|[across, down, shift]| {
            let wave = (TAU * (across * x + shift)).sin() * (TAU * (down * y + shift)).sin();
            self.level + self.contrast * wave
        })
    }
}

impl Image for DiscsFrame {
    fn pixels(&self, scaler: &mut Scaler) -> Result<Arc<[u8]>, Problem> {
        Ok(scaler.mask(self.draw(scaler.size())))
    }
}

impl DiscsFrame {
    /// RGB, `[height, width, 3]`.
    fn draw(&self, [height, width]: [usize; 2]) -> Arc<[u8]> {
        let centres: Vec<_> = self.scene.shapes.iter().map(|it| it.0.position(self.time)).collect();
        let mut pixels = Vec::with_capacity(height * width * 3);
        for row in 0..height {
            for column in 0..width {
                let at = [column, row].map(|it| it as f64 + 0.5);
                let colour = self.colour(at, [width as f64, height as f64], &centres);
                let shown = colour.map(|it| if self.inverted { 1.0 - it } else { it });
                pixels.extend(shown.map(|it| (it * 255.0).round() as u8));
            }
        }
        pixels.into()
    }

    /// Colour at a point in pixels, in a frame of this width and height.
    fn colour(&self, at: [f64; 2], size: [f64; 2], centres: &[[f64; 2]]) -> [f64; 3] {
        let mut colour = self.scene.background.colour(at[0] / size[0], at[1] / size[1]);
        let radius = RADIUS * size[0].min(size[1]);
        for (centre, (_, pattern)) in centres.iter().zip(&self.scene.shapes) {
            let [x, y] = [0, 1].map(|it| offset(at[it] / size[it] - centre[it]));
            // The edge is one pixel wide, so that motion of less than a pixel shows.
            let cover = radius + 0.5 - (x * size[0]).hypot(y * size[1]);
            if cover > 0.0 {
                let (own, cover) = (pattern.colour(x, y), cover.min(1.0));
                colour = [0, 1, 2].map(|it| colour[it] + cover * (own[it] - colour[it]));
            }
        }
        colour
    }
}

/// The shortest distance in a frame whose opposite sides meet.
fn offset(distance: f64) -> f64 {
    distance - distance.round()
}

#[cfg(test)]
mod tests;
