//! The views of a clip, and the actions between them.
//!
//! ```text
//! fixation    crops at fixations               Δrow, Δcolumn, ln scale ratio, Δt
//! camera      whole frames while it moves,     the same, and shift, turn and zoom of the
//!             fixations while it does not      camera, and whether it moved
//! telemetry   whole frames                     Δt, differences of the measurements, and whether
//!                                              there are any
//! augment     augmented views of one frame     differences of crop, colours and blur
//! ```

use burn::tensor::{Tensor, TensorData};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::frames::FrameChoice;
use crate::Clips;
use crate::train::random::{Draws, Stage};
use crate::views::actions::{augmentation_actions, differences};
use crate::views::augment::AugmentConfig;
use crate::views::fixation::{Inhibition, IorShape, fixate};
use crate::views::resample::{Boxes, resample};
use crate::views::saliency::saliency;
use crate::views::view::{View, apply};

/// What leads from a view to the next.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Actions {
    /// Saccades: from fixation to fixation, within and across frames.
    #[default]
    Fixation,
    /// The camera's motion; for a static camera, saccades.
    Camera,
    /// Differences of telemetry.
    Telemetry,
    /// Augmentations of the first frame: the paper's setting on images.
    Augment,
}

/// Columns of camera motion; the last says whether it is known.
pub(super) const CAMERA: usize = 5;
const FIXATION: usize = 4;
const AUGMENT: usize = 9;

/// Samples the views of clips.
#[derive(Clone, Debug)]
pub(super) struct ViewSampler {
    pub(super) actions: Actions,
    /// Number of views with the target.
    pub(super) views: usize,
    /// Height and width of a view, pixels.
    pub(super) size: [usize; 2],
    /// Smallest and largest side of a fixation, as a fraction of the frame's.
    pub(super) side: [f64; 2],
    /// Whether fixations are drawn from the saliency map; otherwise uniformly.
    pub(super) saliency: bool,
    pub(super) shape: IorShape,
    /// Reach of the inhibition of return, as a fraction of the frame's shorter side.
    pub(super) radius: f64,
    /// Columns of telemetry.
    pub(super) telemetry: usize,
    /// Augmentation of views, with [`Actions::Augment`].
    pub(super) augment: AugmentConfig,
    pub(super) seed: u64,
}

/// A sequence of views of every clip.
#[derive(Clone, Debug)]
pub(super) struct ViewSequence {
    /// `[n, views, 3, h, w]`.
    pub(super) views: Tensor<5>,
    /// `[n, views − 1, a]`.
    pub(super) actions: Tensor<3>,
}

impl ViewSampler {
    /// Width of an action.
    pub(super) fn width(&self) -> usize {
        match self.actions {
            Actions::Fixation => FIXATION,
            Actions::Camera => FIXATION + CAMERA,
            Actions::Telemetry => self.telemetry + 2,
            Actions::Augment => AUGMENT,
        }
    }

    /// Columns of an action that add up along a sequence; the others say whether the rest is known.
    pub(super) fn changes(&self) -> Vec<usize> {
        match self.actions {
            Actions::Fixation => (0..FIXATION).collect(),
            Actions::Camera => (0..FIXATION + CAMERA - 1).collect(),
            Actions::Telemetry => (0..=self.telemetry).collect(),
            Actions::Augment => (0..AUGMENT).collect(),
        }
    }

    /// The views of every clip, drawn from the seed and `number`.
    pub(super) fn sample(&self, clips: &Clips, number: u64) -> ViewSequence {
        if self.actions == Actions::Augment {
            return self.augmented(clips, number);
        }
        let mut draws = Draws::at(self.seed, number, Stage::Fixate, &clips.device());
        let frames = self.frames(clips, &mut draws);
        let gaps = self.gaps(clips, &frames);
        if self.actions == Actions::Telemetry {
            let whole = Boxes::whole(clips.len() * self.views, &clips.device());
            let changes = self.telemetry_changes(clips, &frames);
            let actions = Tensor::cat(vec![gaps, changes], 2);
            return ViewSequence { views: self.crop(clips, &frames, &whole), actions };
        }
        let Fixations { positions, sides } = self.fixations(clips, &mut draws);
        let moved = (self.actions == Actions::Camera).then(|| self.camera_motion(clips, &frames));
        // With a moving camera the views are whole frames: fixations at the centre of side 1.
        let (positions, sides) = match &moved {
            None => (positions, sides),
            Some((_, moves)) => {
                let is_static = moves.clone().neg() + 1.0;
                let centres = moves.clone().unsqueeze_dim::<3>(2) * 0.5;
                let positions = positions * is_static.clone().unsqueeze_dim::<3>(2) + centres;
                (positions, sides * is_static + moves.clone())
            }
        };
        let saccades = differences(positions.clone());
        let zooms = differences(sides.clone().log().unsqueeze_dim::<3>(2));
        let mut parts = vec![saccades, zooms, gaps];
        parts.extend(moved.map(|it| it.0));
        let boxes = Boxes::around(positions.flatten(0, 1), sides.flatten(0, 1));
        ViewSequence { views: self.crop(clips, &frames, &boxes), actions: Tensor::cat(parts, 2) }
    }

    /// Augmented views of the first frame.
    fn augmented(&self, clips: &Clips, number: u64) -> ViewSequence {
        let (n, device) = (clips.len(), clips.device());
        let mut draws = Draws::at(self.seed, number, Stage::Augment, &device);
        let frames = clips.all().narrow(1, 0, 1).repeat_dim(1, self.views);
        let views = self.augment.draw(frames.dims(), &mut draws, false);
        let actions = views.chunks(self.views).flat_map(|clip| {
            let parameters: Vec<_> = clip.iter().map(View::parameters).collect();
            augmentation_actions(&parameters)
        });
        let actions: Vec<f32> = actions.flatten().map(|it| it as f32).collect();
        let shape = [n, self.views - 1, AUGMENT];
        let actions = Tensor::from_data(TensorData::new::<f32, _>(actions, shape), &device);
        let views: Tensor<4> = apply(frames, &views).flatten(0, 1);
        let whole = Boxes::whole(n * self.views, &device);
        let [h, w] = self.size;
        let views = resample(views, &whole, self.size).reshape([n, self.views, 3, h, w]);
        ViewSequence { views, actions }
    }

    /// Positions and sides of the fixations.
    fn fixations(&self, clips: &Clips, draws: &mut Draws) -> Fixations {
        let frames = clips.all();
        let [n, _, _, h, w] = frames.dims();
        let map =
            if self.saliency { saliency(frames) } else { Tensor::ones([n, h, w], &clips.device()) };
        let radius = (self.radius * h.min(w) as f64).round() as usize;
        let inhibition = Inhibition { shape: self.shape, radius };
        let positions = fixate(map, self.views, inhibition, draws);
        let sides = draws.log_uniform([n, self.views], self.side.map(|it| it as f32));
        Fixations { positions, sides }
    }

    /// The boxes of the chosen frames as views, `[n, views, 3, h, w]`.
    fn crop(&self, clips: &Clips, chosen: &FrameChoice, boxes: &Boxes) -> Tensor<5> {
        let [h, w] = self.size;
        let frames = clips.all();
        let [n, t, c, height, width] = frames.dims();
        let images = frames.reshape([n * t, c, height, width]).select(0, chosen.rows.clone());
        resample(images, boxes, self.size).reshape([n, self.views, 3, h, w])
    }
}

struct Fixations {
    /// Row and column as fractions of the frame, `[n, views, 2]`.
    positions: Tensor<3>,
    /// As fractions of the frame, `[n, views]`.
    sides: Tensor<2>,
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution};

    use super::*;

    fn sampler(actions: Actions) -> ViewSampler {
        ViewSampler {
            actions,
            views: 3,
            size: [8, 8],
            side: [0.25, 0.5],
            saliency: true,
            shape: IorShape::Square,
            radius: 0.2,
            telemetry: 2,
            augment: AugmentConfig::default(),
            seed: 7,
        }
    }

    fn clips(frames: usize) -> Clips {
        let shape = [2, frames, 3, 16, 16];
        let device = Device::flex();
        Clips::normalised(Tensor::random(shape, Distribution::Normal(0.0, 1.0), &device))
    }

    fn floats<const D: usize>(x: Tensor<D>) -> Vec<f32> {
        x.into_data().try_to_vec().unwrap()
    }

    #[test]
    fn fixations_are_seeded_and_their_actions_are_differences() {
        let (sampler, clips) = (sampler(Actions::Fixation), clips(6));
        let one = sampler.sample(&clips, 1);
        assert_eq!((one.views.dims(), one.actions.dims()), ([2, 3, 3, 8, 8], [2, 2, 4]));
        assert_eq!(floats(one.views.clone()), floats(sampler.sample(&clips, 1).views));
        assert_ne!(floats(one.actions.clone()), floats(sampler.sample(&clips, 2).actions));
        let time: Vec<f32> = floats(one.actions.narrow(2, 3, 1));
        assert!(time.iter().all(|it| *it > 0.0), "{time:?}");
        assert!(time.chunks(2).all(|clip| clip.iter().sum::<f32>() <= 1.0 + 1e-6));
    }

    #[test]
    fn the_time_between_views_varies_where_frames_are_left_over() {
        let (sampler, clips) = (sampler(Actions::Fixation), clips(6));
        let times: Vec<_> = (0..20)
            .map(|it| floats(sampler.sample(&clips, it).actions.narrow(2, 3, 1))[0])
            .collect();
        assert!(times.iter().any(|it| *it != times[0]), "{times:?}");
    }

    #[test]
    fn views_of_a_moving_camera_are_whole_frames_and_of_a_static_one_fixations() {
        let moving = [0.1, 0.0, 0.02, 0.0, 1.0];
        let fixed = [0.0, 0.001, 0.0, 0.0, 1.0];
        let motion = [moving, moving, fixed, fixed].concat();
        let clips = clips(3).with_motion(motion);
        let ViewSequence { views, actions } = sampler(Actions::Camera).sample(&clips, 0);
        let actions: Vec<_> = floats(actions).chunks(9).map(<[f32]>::to_vec).collect();
        for action in &actions[..2] {
            assert_eq!(action[..3], [0.0; 3], "a saccade");
            assert_eq!(action[4..], moving);
        }
        for action in &actions[2..] {
            assert!(action[0].abs() + action[1].abs() > 0.0, "{action:?}");
            assert_eq!(action[4..], [0.0; 5]);
        }
        // A whole frame of 16 x 16 in 8 x 8: its mean is the frame's.
        let mean = |x: Tensor<5>| -> f32 { x.mean().into_scalar() };
        let frame = mean(clips.all().narrow(0, 0, 1).narrow(1, 0, 1));
        let view = mean(views.narrow(0, 0, 1).narrow(1, 0, 1));
        assert!((frame - view).abs() < 0.05, "{frame} and {view}");
    }

    #[test]
    fn augmented_views_have_their_differences_as_actions() {
        let ViewSequence { views, actions } = sampler(Actions::Augment).sample(&clips(2), 4);
        assert_eq!((views.dims(), actions.dims()), ([2, 3, 3, 8, 8], [2, 2, 9]));
        let actions = floats(actions);
        assert!(actions.iter().all(|it| it.is_finite() && it.abs() <= 2.0), "{actions:?}");
        assert!(actions.iter().any(|it| it.abs() > 0.01), "{actions:?}");
    }

    #[test]
    fn telemetry_is_differenced_where_it_is_known() {
        let known = [1.0, 10.0, 1.0, 3.0, 20.0, 1.0, 6.0, 40.0, 1.0];
        let unknown = [1.0, 10.0, 1.0, 0.0, 0.0, 0.0, 6.0, 40.0, 1.0];
        let clips = clips(3).with_telemetry([known, unknown].concat());
        let actions = floats(sampler(Actions::Telemetry).sample(&clips, 0).actions);
        let wanted = [
            [0.5, 2.0, 10.0, 1.0],
            [0.5, 3.0, 20.0, 1.0],
            [0.5, 0.0, 0.0, 0.0],
            [0.5, 0.0, 0.0, 0.0],
        ];
        for (got, wanted) in actions.iter().zip(wanted.as_flattened()) {
            assert!((got - wanted).abs() < 1e-5, "{actions:?}");
        }
    }
}
