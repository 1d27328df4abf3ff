//! The clips that are being filled, and the frames that they share.

use std::collections::VecDeque;

use super::{
    Frame, Reason,
    grid::{Match, Reach},
    scene::{Light, Limits},
};
use crate::{ClipConfig, Counts};

/// Open clips, oldest first.
///
/// A frame is counted exactly once: with the first clip that is completed with it, or, when no
/// clip wants it any more, with the reason for which the last one was dropped.
#[derive(Debug)]
pub(crate) struct Window {
    /// Frames in a clip.
    length: usize,
    /// Seconds between them.
    interval: f64,
    limits: Limits,
    open: VecDeque<Open>,
    kept: VecDeque<Kept>,
    /// Number of the first kept frame.
    first: u64,
}

/// A clip that still wants frames: the numbers of those that it has.
#[derive(Debug)]
struct Open {
    start: f64,
    frames: Vec<u64>,
    /// Largest difference of its neighbouring frames.
    liveliest: f64,
    /// Why its last two frames cannot be in one clip.
    breaks: Option<Reason>,
}

#[derive(Debug)]
struct Kept {
    frame: Frame,
    light: Light,
    /// Open clips that hold it.
    claims: usize,
    /// A completed clip has it.
    counted: bool,
}

impl Window {
    pub(crate) fn new(config: &ClipConfig) -> Self {
        let (length, interval) = (config.frames, config.interval);
        let (open, kept) = (VecDeque::new(), VecDeque::new());
        Self { length, interval, limits: Limits::new(config), open, kept, first: 0 }
    }

    pub(crate) fn open(&mut self, start: f64) {
        let frames = Vec::with_capacity(self.length);
        self.open.push_back(Open { start, frames, liveliest: 0.0, breaks: None });
    }

    /// Whether a clip wants the frame of this reach.
    pub(crate) fn wants(&self, reach: &Reach) -> bool {
        self.open.iter().any(|it| it.compare(reach, self.interval) == Match::Nearest)
    }

    /// Drops the clips that this frame should serve and cannot. Returns whether there were any.
    pub(crate) fn drop_missed(&mut self, reach: &Reach, counts: &mut Counts) -> bool {
        let interval = self.interval;
        self.drop_where(Reason::Uneven, counts, |it| it.compare(reach, interval) == Match::Missed)
    }

    /// Gives a frame to every clip that wants it.
    pub(crate) fn add(&mut self, frame: Frame, reach: &Reach) {
        let number = self.first + self.kept.len() as u64;
        let mut claims = 0;
        for clip in &mut self.open {
            if clip.compare(reach, self.interval) == Match::Nearest {
                clip.frames.push(number);
                claims += 1;
            }
        }
        debug_assert!(claims > 0, "a frame that nobody wants is not kept");
        let light = self.limits.light(&frame.pixels);
        self.kept.push_back(Kept { frame, light, claims, counted: false });
    }

    /// Drops the clips that the newest frame does not continue, and those that it completes
    /// without anything having moved.
    pub(crate) fn judge(&mut self, counts: &mut Counts) {
        self.compare_newest();
        for reason in [Reason::Cut, Reason::Light] {
            self.drop_where(reason, counts, |it| it.breaks == Some(reason));
        }
        let (length, limits) = (self.length, self.limits);
        self.drop_where(Reason::Still, counts, |it| {
            it.frames.len() == length && limits.is_still(it.liveliest)
        });
    }

    fn compare_newest(&mut self) {
        let Some(newest) = (self.first + self.kept.len() as u64).checked_sub(1) else { return };
        let mut seen = None;
        for clip in &mut self.open {
            let &[.., before, last] = clip.frames.as_slice() else { continue };
            if last != newest {
                continue;
            }
            // Clips on one grid compare the same two frames.
            let change = match seen {
                Some((number, change)) if number == before => change,
                _ => self.limits.change([before, last].map(|it| {
                    let kept = &self.kept[(it - self.first) as usize];
                    (&kept.frame.pixels[..], kept.light)
                })),
            };
            seen = Some((before, change));
            clip.liveliest = clip.liveliest.max(change.difference);
            clip.breaks = change.breaks;
        }
    }

    /// Drops every open clip.
    pub(crate) fn clear(&mut self, reason: Reason, counts: &mut Counts) {
        self.drop_where(reason, counts, |_| true);
    }

    /// The oldest clip, if it has all its frames, and how many of them it owns.
    pub(crate) fn complete(&mut self) -> Option<(Vec<Frame>, u64)> {
        // All clips are equally long, so that the first to start is the first to end.
        let clip = self.open.pop_front_if(|it| it.frames.len() == self.length)?;
        let mut owned = 0;
        let mut frames = Vec::with_capacity(self.length);
        for number in clip.frames {
            let kept = &mut self.kept[(number - self.first) as usize];
            owned += u64::from(!kept.counted);
            kept.counted = true;
            kept.claims -= 1;
            frames.push(kept.frame.clone());
        }
        self.forget();
        Some((frames, owned))
    }

    fn drop_where(
        &mut self,
        reason: Reason,
        counts: &mut Counts,
        mut unwanted: impl FnMut(&Open) -> bool,
    ) -> bool {
        let (dropped, open): (VecDeque<_>, _) = self.open.drain(..).partition(|it| unwanted(it));
        self.open = open;
        for number in dropped.iter().flat_map(|it| &it.frames) {
            let kept = &mut self.kept[(number - self.first) as usize];
            kept.claims -= 1;
            if kept.claims == 0 && !kept.counted {
                *reason.count(counts) += 1;
            }
        }
        self.forget();
        !dropped.is_empty()
    }

    fn forget(&mut self) {
        while self.kept.pop_front_if(|it| it.claims == 0).is_some() {
            self.first += 1;
        }
    }
}

impl Open {
    fn compare(&self, reach: &Reach, interval: f64) -> Match {
        reach.compare(self.start + self.frames.len() as f64 * interval, interval)
    }
}
