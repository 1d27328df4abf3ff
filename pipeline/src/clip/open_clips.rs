//! The clips that still need frames, and the frames that they share.

use std::collections::VecDeque;

use super::{
    Frame, FrameOutcome,
    grid::{Match, Reach},
    scene::{Light, SceneLimits},
};
use crate::{ClipConfig, Counts};

/// Incomplete clips, oldest first.
///
/// A frame is counted exactly once: with the first completed clip that holds it or, when no clip
/// needs it any more, with the reason for which the last one was dropped.
#[derive(Debug)]
pub(crate) struct OpenClips {
    /// Frames in a clip.
    length: usize,
    /// Seconds between them.
    interval: f64,
    limits: SceneLimits,
    open: VecDeque<OpenClip>,
    frames: VecDeque<SharedFrame>,
    /// Number of the first of `frames`.
    first: u64,
}

/// An incomplete clip, with the numbers of the frames that it has.
#[derive(Debug)]
struct OpenClip {
    start: f64,
    frames: Vec<u64>,
    /// Largest difference between neighbouring frames.
    max_difference: f64,
    /// Why its last two frames must not be in one clip.
    break_reason: Option<FrameOutcome>,
}

#[derive(Debug)]
struct SharedFrame {
    frame: Frame,
    light: Light,
    /// Incomplete clips that hold it.
    users: usize,
    /// A completed clip holds it.
    counted: bool,
}

impl OpenClips {
    pub(crate) fn new(config: &ClipConfig) -> Self {
        let (length, interval) = (config.frames, config.interval);
        let (open, frames) = (VecDeque::new(), VecDeque::new());
        Self { length, interval, limits: SceneLimits::new(config), open, frames, first: 0 }
    }

    pub(crate) fn open(&mut self, start: f64) {
        let frames = Vec::with_capacity(self.length);
        self.open.push_back(OpenClip { start, frames, max_difference: 0.0, break_reason: None });
    }

    /// Whether a clip needs the frame with this reach.
    pub(crate) fn need(&self, reach: &Reach) -> bool {
        self.open.iter().any(|it| it.compare(reach, self.interval) == Match::Nearest)
    }

    /// Drops the clips for which this frame is the nearest but not near enough. Returns whether
    /// there were any.
    pub(crate) fn drop_missed(&mut self, reach: &Reach, counts: &mut Counts) -> bool {
        let interval = self.interval;
        self.drop_where(FrameOutcome::Irregular, counts, |it| {
            it.compare(reach, interval) == Match::Missed
        })
    }

    /// Gives a frame to every clip that needs it.
    pub(crate) fn add(&mut self, frame: Frame, reach: &Reach) {
        let number = self.first + self.frames.len() as u64;
        let mut users = 0;
        for clip in &mut self.open {
            if clip.compare(reach, self.interval) == Match::Nearest {
                clip.frames.push(number);
                users += 1;
            }
        }
        debug_assert!(users > 0, "a frame that no clip needs was rendered");
        let light = self.limits.light(&frame.pixels);
        self.frames.push_back(SharedFrame { frame, light, users, counted: false });
    }

    /// Drops the clips that the newest frame does not continue, and those that it completes
    /// although nothing moves in them.
    pub(crate) fn drop_unwanted(&mut self, counts: &mut Counts) {
        self.compare_newest();
        for outcome in [FrameOutcome::SceneCut, FrameOutcome::LightChange] {
            self.drop_where(outcome, counts, |it| it.break_reason == Some(outcome));
        }
        let (length, limits) = (self.length, self.limits);
        self.drop_where(FrameOutcome::Static, counts, |it| {
            it.frames.len() == length && limits.is_static(it.max_difference)
        });
    }

    fn compare_newest(&mut self) {
        let Some(newest) = (self.first + self.frames.len() as u64).checked_sub(1) else { return };
        let mut compared = None;
        for clip in &mut self.open {
            let &[.., before, last] = clip.frames.as_slice() else { continue };
            if last != newest {
                continue;
            }
            // Clips on one grid compare the same two frames.
            let change = match compared {
                Some((number, change)) if number == before => change,
                _ => self.limits.change([before, last].map(|it| {
                    let shared = &self.frames[(it - self.first) as usize];
                    (&shared.frame.pixels[..], shared.light)
                })),
            };
            compared = Some((before, change));
            clip.max_difference = clip.max_difference.max(change.difference);
            clip.break_reason = change.break_reason;
        }
    }

    /// Drops every incomplete clip.
    pub(crate) fn clear(&mut self, outcome: FrameOutcome, counts: &mut Counts) {
        self.drop_where(outcome, counts, |_| true);
    }

    /// The frames of the oldest clip, if it has all, and how many of them no earlier clip holds.
    pub(crate) fn complete(&mut self) -> Option<(Vec<Frame>, u64)> {
        // All clips are equally long, so the first to start is the first to end.
        let clip = self.open.pop_front_if(|it| it.frames.len() == self.length)?;
        let mut new_frames = 0;
        let mut frames = Vec::with_capacity(self.length);
        for number in clip.frames {
            let shared = &mut self.frames[(number - self.first) as usize];
            new_frames += u64::from(!shared.counted);
            shared.counted = true;
            shared.users -= 1;
            frames.push(shared.frame.clone());
        }
        self.release_unused();
        Some((frames, new_frames))
    }

    fn drop_where(
        &mut self,
        outcome: FrameOutcome,
        counts: &mut Counts,
        mut unwanted: impl FnMut(&OpenClip) -> bool,
    ) -> bool {
        let (dropped, open): (VecDeque<_>, _) = self.open.drain(..).partition(|it| unwanted(it));
        self.open = open;
        for number in dropped.iter().flat_map(|it| &it.frames) {
            let shared = &mut self.frames[(number - self.first) as usize];
            shared.users -= 1;
            if shared.users == 0 && !shared.counted {
                *counts.frames_mut(outcome) += 1;
            }
        }
        self.release_unused();
        !dropped.is_empty()
    }

    fn release_unused(&mut self) {
        while self.frames.pop_front_if(|it| it.users == 0).is_some() {
            self.first += 1;
        }
    }
}

impl OpenClip {
    fn compare(&self, reach: &Reach, interval: f64) -> Match {
        reach.compare(self.start + self.frames.len() as f64 * interval, interval)
    }
}
