//! Compares neighbouring frames of a clip: scene cut, change of light, nothing moves.

use crate::{ClipConfig, FrameOutcome};

/// Mean colourfulness below which a frame is grey, as a camera's is by infrared light. Chroma that
/// is one level off everywhere gives up to 0.014.
const GREY: f64 = 0.02;

/// Mean colourfulness above which a frame is coloured; the dullest of three real clips has 0.05.
/// Between the two a frame is neither, so that a dull scene does not flicker.
const COLOURED: f64 = 0.04;

/// Thresholds for neighbouring frames of a clip. A check without threshold is off.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SceneLimits {
    cut: Option<f64>,
    light: Option<f64>,
    static_below: Option<f64>,
}

/// The light of a frame, as means over its pixels, in 0..1.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Light {
    /// Mean of red, green and blue.
    brightness: f64,
    /// Mean difference between the largest and the smallest of the three.
    colourfulness: f64,
}

/// What changed between two neighbouring frames of a clip.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Change {
    /// Mean absolute difference, in 0..1. It is 0 when no check needs it.
    pub(crate) difference: f64,
    /// Why no clip may hold both.
    pub(crate) break_reason: Option<FrameOutcome>,
}

impl SceneLimits {
    pub(crate) fn new(config: &ClipConfig) -> Self {
        let on = |it: f64| (it > 0.0 && it < 1.0).then_some(it);
        Self {
            cut: on(config.cut_threshold),
            light: on(config.light_threshold),
            static_below: on(config.skip_static),
        }
    }

    /// The light of RGB pixels, if a check needs it.
    pub(crate) fn light(&self, pixels: &[u8]) -> Light {
        if self.light.is_some() { Light::of(pixels) } else { Light::default() }
    }

    pub(crate) fn change(&self, [one, other]: [(&[u8], Light); 2]) -> Change {
        let compared = self.cut.is_some() || self.static_below.is_some();
        let difference = if compared { difference([one.0, other.0]) } else { 0.0 };
        let cut = self.cut.is_some_and(|it| difference > it);
        let light = self.light.is_some_and(|it| one.1.light_changed(other.1, it));
        let break_reason =
            cut.then_some(FrameOutcome::SceneCut).or(light.then_some(FrameOutcome::LightChange));
        Change { difference, break_reason }
    }

    /// Whether nothing moves in a clip, given the largest difference between its neighbouring
    /// frames.
    pub(crate) fn is_static(&self, largest: f64) -> bool {
        self.static_below.is_some_and(|it| largest < it)
    }
}

impl Light {
    fn of(pixels: &[u8]) -> Self {
        let (mut sum, mut spread) = (0_u64, 0_u64);
        for pixel in pixels.chunks_exact(3) {
            let [red, green, blue] = [pixel[0], pixel[1], pixel[2]];
            sum += u64::from(red) + u64::from(green) + u64::from(blue);
            spread += u64::from(red.max(green).max(blue) - red.min(green).min(blue));
        }
        let most = 255.0 * pixels.len().max(1) as f64;
        Self { brightness: sum as f64 / most, colourfulness: 3.0 * spread as f64 / most }
    }

    /// Whether the light itself changed, and not the scene.
    fn light_changed(self, other: Self, threshold: f64) -> bool {
        let [less, more] =
            if self.colourfulness < other.colourfulness { [self, other] } else { [other, self] };
        let infrared = less.colourfulness < GREY && more.colourfulness > COLOURED;
        infrared || (self.brightness - other.brightness).abs() > threshold
    }
}

/// Mean absolute difference, in 0..1.
fn difference([one, other]: [&[u8]; 2]) -> f64 {
    let sum: u64 = one.iter().zip(other).map(|(&a, &b)| u64::from(a.abs_diff(b))).sum();
    sum as f64 / (255.0 * one.len().max(1) as f64)
}

#[cfg(test)]
mod tests;
