//! The clips that are being filled, and the frames that they share.

use std::collections::VecDeque;

use crate::{
    Counts,
    clip::Frame,
    grid::{Match, Reach},
};

/// Why a clip was dropped.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reason {
    Cut,
    Discontinuity,
    Uneven,
    Unfinished,
}

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
}

#[derive(Debug)]
struct Kept {
    frame: Frame,
    /// Open clips that hold it.
    claims: usize,
    /// A completed clip has it.
    counted: bool,
}

impl Window {
    pub(crate) fn new(length: usize, interval: f64) -> Self {
        let (open, kept) = (VecDeque::new(), VecDeque::new());
        Self { length, interval, open, kept, first: 0 }
    }

    pub(crate) fn open(&mut self, start: f64) {
        self.open.push_back(Open { start, frames: Vec::with_capacity(self.length) });
    }

    /// Whether a clip wants the frame of this reach.
    pub(crate) fn wants(&self, reach: &Reach) -> bool {
        self.open.iter().any(|it| it.compare(reach, self.interval) == Match::Nearest)
    }

    /// Drops the clips that this frame should serve and cannot. Returns whether there were any.
    pub(crate) fn drop_missed(&mut self, reach: &Reach, counts: &mut Counts) -> bool {
        let interval = self.interval;
        self.drop_where(Reason::Uneven, counts, |it, _| {
            it.compare(reach, interval) == Match::Missed
        })
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
        self.kept.push_back(Kept { frame, claims, counted: false });
    }

    /// Drops the clips in which the newest frame differs from the one before it by more than
    /// `threshold`.
    pub(crate) fn drop_cut(&mut self, threshold: f64, counts: &mut Counts) {
        let Some(newest) = (self.first + self.kept.len() as u64).checked_sub(1) else { return };
        let mut seen = (newest, false);
        self.drop_where(Reason::Cut, counts, |clip, window| {
            let &[.., before, last] = clip.frames.as_slice() else { return false };
            if last != newest {
                return false;
            }
            // Clips on one grid compare the same two frames.
            if seen.0 != before {
                let frames = [before, last].map(|it| &window[it].frame.pixels[..]);
                seen = (before, difference(frames) > threshold);
            }
            seen.1
        });
    }

    /// Drops every open clip.
    pub(crate) fn clear(&mut self, reason: Reason, counts: &mut Counts) {
        self.drop_where(reason, counts, |_, _| true);
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
        mut unwanted: impl FnMut(&Open, &Numbered<'_>) -> bool,
    ) -> bool {
        let kept = Numbered { kept: &self.kept, first: self.first };
        let (dropped, open): (VecDeque<_>, _) =
            self.open.drain(..).partition(|it| unwanted(it, &kept));
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

impl Reason {
    fn count(self, counts: &mut Counts) -> &mut u64 {
        match self {
            Self::Cut => &mut counts.cut,
            Self::Discontinuity => &mut counts.discontinuity,
            Self::Uneven => &mut counts.uneven,
            Self::Unfinished => &mut counts.unfinished,
        }
    }
}

/// Kept frames by number.
struct Numbered<'a> {
    kept: &'a VecDeque<Kept>,
    first: u64,
}

impl std::ops::Index<u64> for Numbered<'_> {
    type Output = Kept;

    fn index(&self, number: u64) -> &Kept {
        &self.kept[(number - self.first) as usize]
    }
}

/// Mean absolute difference, in 0..1.
fn difference([one, other]: [&[u8]; 2]) -> f64 {
    let sum: u64 = one.iter().zip(other).map(|(&a, &b)| u64::from(a.abs_diff(b))).sum();
    sum as f64 / (255.0 * one.len().max(1) as f64)
}
