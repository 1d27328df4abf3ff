//! The frames of a clip that views are taken from, and what happened between them.

use burn::tensor::{Device, Int, Tensor};

use super::views::{Actions, CAMERA, ViewSampler};
use crate::Clips;
use crate::train::random::{Draws, uniform};
use crate::views::actions::differences;

/// A camera whose mean of |shift|, |turn| and |zoom| per frame is below this is static.
const STATIC: f64 = 0.01;

impl ViewSampler {
    /// The frame of each view of each clip, in order of time. Fixations and telemetry take random
    /// frames, so that the time between them varies. Camera motion is known only between
    /// neighbouring frames, so these are taken.
    pub(super) fn frames(&self, clips: &Clips, draws: &mut Draws) -> FrameChoice {
        let (n, available) = (clips.len(), clips.frames_per_clip());
        let keys = draws.each([n, available], |rng| uniform(rng, [0.0, 1.0]));
        let frames = keys.chunks(available).flat_map(|keys| self.frames_of_clip(keys));
        FrameChoice::new(frames.collect(), [n, self.views, available], &clips.device())
    }

    /// The frames of one clip, from a random key for each there is.
    fn frames_of_clip(&self, keys: &[f32]) -> Vec<usize> {
        let available = keys.len();
        if available < self.views {
            return (0..self.views).map(|it| it * available / self.views).collect();
        }
        if self.actions == Actions::Camera {
            let starts = available - self.views + 1;
            let start = ((keys[0] * starts as f32) as usize).min(starts - 1);
            return (start..start + self.views).collect();
        }
        let mut frames: Vec<_> = (0..available).collect();
        frames.sort_by(|a, b| keys[*a].total_cmp(&keys[*b]));
        frames.truncate(self.views);
        frames.sort_unstable();
        frames
    }

    /// Time between the views, as a fraction of the clip's, `[n, views − 1, 1]`.
    pub(super) fn gaps(&self, clips: &Clips, chosen: &FrameChoice) -> Tensor<3> {
        let times = clips.times();
        let span = times.clone().narrow(1, clips.frames_per_clip() - 1, 1).clamp_min(1e-6);
        let times = chosen.select(times.unsqueeze_dim::<3>(2));
        differences(times) / span.unsqueeze_dim::<3>(2)
    }

    /// The camera's motion between the views, `[n, views − 1, 5]`, and whether it moved, `[n, 1]`.
    /// The motion of a static camera is zero.
    pub(super) fn camera_motion(
        &self,
        clips: &Clips,
        chosen: &FrameChoice,
    ) -> (Tensor<3>, Tensor<2>) {
        let (n, steps) = (clips.len(), self.views - 1);
        let Some(motion) = clips.motion().filter(|_| clips.frames_per_clip() >= self.views) else {
            let device = clips.device();
            return (Tensor::zeros([n, steps, CAMERA], &device), Tensor::zeros([n, 1], &device));
        };
        // A row for the last frame, which has no next one.
        let end = Tensor::zeros([n, 1, CAMERA], &clips.device());
        let motion = chosen.select(Tensor::cat(vec![motion, end], 1)).narrow(1, 0, steps);
        let known = motion.clone().narrow(2, CAMERA - 1, 1).min_dim(1);
        let size = motion.clone().narrow(2, 0, CAMERA - 1).abs().sum_dim(2).mean_dim(1);
        let moves = known * size.greater_scalar(STATIC).float();
        let moves: Tensor<2> = moves.reshape([n, 1]);
        (motion * moves.clone().unsqueeze_dim::<3>(2), moves)
    }

    /// Differences of telemetry, `[n, views − 1, columns + 1]`. Where it is unknown at one of the
    /// two views, they are zero, and so is the last column.
    pub(super) fn telemetry_changes(&self, clips: &Clips, chosen: &FrameChoice) -> Tensor<3> {
        let (n, k, steps) = (clips.len(), self.telemetry, self.views - 1);
        let Some(telemetry) = clips.telemetry() else {
            return Tensor::zeros([n, steps, k + 1], &clips.device());
        };
        let at = chosen.select(telemetry);
        let known = at.clone().narrow(2, k, 1);
        let known = known.clone().narrow(1, 0, steps) * known.narrow(1, 1, steps);
        let change = differences(at.narrow(2, 0, k)) * known.clone();
        Tensor::cat(vec![change, known], 2)
    }
}

/// A frame for every view of every clip, as rows of all frames of all clips.
pub(super) struct FrameChoice {
    pub(super) rows: Tensor<1, Int>,
    views: usize,
}

impl FrameChoice {
    /// From frames of clips `[n · views]`, of which each has `available`.
    fn new(frames: Vec<usize>, [n, views, available]: [usize; 3], device: &Device) -> Self {
        let clips = (0..n).flat_map(|clip| std::iter::repeat_n(clip, views));
        let rows: Vec<i64> =
            clips.zip(frames).map(|(clip, it)| (clip * available + it) as i64).collect();
        Self { rows: Tensor::from_data(rows.as_slice(), device), views }
    }

    /// The rows of the chosen frames in `[n, t, k]`, `[n, views, k]`.
    fn select(&self, x: Tensor<3>) -> Tensor<3> {
        let [n, t, k] = x.dims();
        x.reshape([n * t, k]).select(0, self.rows.clone()).reshape([n, self.views, k])
    }
}
