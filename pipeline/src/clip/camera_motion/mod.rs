//! Estimates how the camera moved between neighbouring frames of a clip.
//!
//! ```text
//! two frames ──▶ textured points ──▶ tracked points ──▶ the motion that most agree on
//!                   points.rs           track.rs            similarity.rs
//! ```
//!
//! The camera's motion is taken to be that of most of the frame. Objects that move by themselves
//! are outvoted as long as they cover less of the texture than the scene behind them.

mod grey;
mod points;
mod similarity;
mod track;

use super::Frame;
use crate::random;

use self::{
    grey::{Grey, Pyramid},
    similarity::{PointPair, consensus},
};

/// Numbers that describe the motion between two frames.
pub(crate) const VALUES_PER_PAIR: usize = 5;

/// Motion between neighbouring frames of the size `[height, width]`: `[t - 1, 5]`.
///
/// [`Batch::motion`](crate::Batch::motion) explains the five numbers.
pub(crate) fn estimate(frames: &[Frame], size: [usize; 2]) -> Vec<f32> {
    let mut motion = Vec::with_capacity(frames.len().saturating_sub(1) * VALUES_PER_PAIR);
    let pyramid = |it: &Frame| Pyramid::new(Grey::of_rgb(&it.pixels, size));
    let mut pyramids = frames.iter().map(pyramid);
    let Some(mut before) = pyramids.next() else { return motion };
    for after in pyramids {
        motion.extend(between(&before, &after));
        before = after;
    }
    motion
}

fn between(before: &Pyramid, after: &Pyramid) -> [f32; VALUES_PER_PAIR] {
    let (width, height) = (before.finest().width() as f64, before.finest().height() as f64);
    let middle = [(width - 1.0) / 2.0, (height - 1.0) / 2.0];
    let centred = |it: [f32; 2]| [0, 1].map(|axis| f64::from(it[axis]) - middle[axis]);
    let pairs: Vec<PointPair> = points::textured(before.finest())
        .into_iter()
        .filter_map(|from| Some([centred(from), centred(track::track(before, after, from)?)]))
        .collect();
    // Seeded for every pair of frames, so that the same frames always give the same motion.
    let Some(it) = consensus(&pairs, width.min(height), &mut random::consensus()) else {
        return [0.0; VALUES_PER_PAIR];
    };
    let [x, y] = it.shift();
    [x / width, y / height, it.angle(), it.scale().ln(), 1.0].map(|it| it as f32)
}

#[cfg(test)]
mod tests;
