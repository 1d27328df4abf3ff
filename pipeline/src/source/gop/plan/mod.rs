//! Which coded frames of a group of pictures (GOP) a clip needs.
//!
//! A clip that starts at a keyframe needs only the beginning of its GOP. The rest need not be
//! decoded if no frame after the next keyframe refers to it, that is, if that keyframe is an IDR.
//!
//! ```text
//! decoder ◀── I P P P P · · · · · · · · · │ I P P P P · · · · ·
//!             └ span ─┘   never decoded   └ next GOP
//! ```

use super::nal::Keyframe;
use crate::source::RunStart;

/// Seconds without an IDR after which a GOP counts as endless. Twice the longest known GOP, where
/// that is more.
const ENDLESS_AFTER: f64 = 10.0;

/// A time stamp that goes back by more than this, in seconds, is no reordering: the clock was set.
const CLOCK_JUMP: f64 = 2.0;

/// Containers round their time stamps to milliseconds; this bounds the error, in seconds.
const ROUNDING: f64 = 0.005;

/// GOPs in a row that are too short for a clip, or keyframes in a row that are not IDRs, before
/// all frames are decoded. A single one may come from a scene cut.
const IN_A_ROW: u32 = 4;

/// One coded frame on its way to the decoder, times in seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct AccessUnit {
    /// The kind of keyframe, if it is one.
    pub(super) keyframe: Option<Keyframe>,
    pub(super) pts: Option<f64>,
    pub(super) dts: Option<f64>,
}

/// What happens to an access unit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Decision {
    /// The decoder gets it.
    pub(super) decode: bool,
    /// Its frame is the first of a run.
    pub(super) run_start: Option<RunStart>,
    /// From here on all frames are decoded, and why. Given once per stream.
    pub(super) falls_back: Option<DenseReason>,
}

/// Why all frames are decoded although only GOP prefixes were asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum DenseReason {
    OpenGop,
    EndlessGop,
    ShortGop,
    NoTimestamps,
    UnknownCodec,
}

/// Follows the GOPs of one stream.
///
/// It starts by decoding everything, since the rest of an endless GOP cannot be decoded once a
/// frame of it was skipped. After a whole GOP that was long enough for a clip and ended at an IDR,
/// it decodes only the prefix of each GOP.
#[derive(Debug)]
pub(super) struct GopPlanner {
    /// Seconds from the first frame of a clip to its last.
    span: f64,
    mode: Mode,
    gop: Option<Gop>,
    /// Seconds between the frames of the previous GOP.
    gap: f64,
    /// How far, in seconds, a frame may be shown before one that was coded earlier.
    reorder: f64,
    /// Seconds of the longest GOP so far.
    longest: f64,
    /// GOPs in a row that were too short for a clip.
    short_gops: u32,
    /// Keyframes in a row that are not IDRs.
    open_keyframes: u32,
    /// Time stamp of the first access unit.
    first: Option<f64>,
    reason_given: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Mode {
    /// Everything is decoded; no GOP was long enough yet.
    Probing,
    /// Only the prefix of each GOP is decoded.
    Prefix,
    /// A GOP did not end: nothing can be decoded until the next keyframe.
    AwaitKeyframe,
    /// Everything is decoded for good. Frames shown before the given time are left out, because
    /// they refer to frames that were not decoded.
    Dense(Option<f64>),
}

/// A GOP that starts at an IDR.
#[derive(Clone, Copy, Debug)]
struct Gop {
    /// Time stamp of the IDR.
    start: f64,
    /// Largest time stamp so far.
    newest: f64,
    access_units: u32,
    /// All of its prefix was decoded.
    prefix_done: bool,
}

impl GopPlanner {
    /// For clips of `span` seconds from the first frame to the last.
    pub(super) fn new(span: f64) -> Self {
        Self {
            span,
            mode: Mode::Probing,
            gop: None,
            gap: 0.0,
            reorder: 0.0,
            longest: 0.0,
            short_gops: 0,
            open_keyframes: 0,
            first: None,
            reason_given: false,
        }
    }

    /// Decides on the next access unit, in decoding order.
    pub(super) fn decide(&mut self, unit: &AccessUnit) -> Decision {
        let long_enough = self.track(unit);
        match self.mode {
            Mode::Probing => self.probe(unit, long_enough),
            Mode::Prefix => self.prefix(unit),
            Mode::AwaitKeyframe => self.restart(unit),
            Mode::Dense(from) => Decision { decode: self.dense(unit, from), ..Decision::default() },
        }
    }

    /// Whether only the prefix of each GOP is decoded.
    pub(super) fn skips(&self) -> bool {
        self.mode == Mode::Prefix
    }

    /// Adds an access unit to its GOP. Returns whether it ends a GOP that was long enough.
    fn track(&mut self, unit: &AccessUnit) -> bool {
        let Some(pts) = unit.pts else { return false };
        self.first = self.first.or(Some(pts));
        if unit.keyframe != Some(Keyframe::Idr) {
            self.open_keyframes += u32::from(unit.keyframe.is_some());
            if let Some(gop) = &mut self.gop {
                gop.newest = gop.newest.max(pts);
                gop.access_units += 1;
                let moved = gop.newest - pts;
                if moved < CLOCK_JUMP {
                    self.reorder = self.reorder.max(moved);
                }
            }
            return false;
        }
        self.open_keyframes = 0;
        let gop = Gop { start: pts, newest: pts, access_units: 1, prefix_done: false };
        let Some(ended) = self.gop.replace(gop) else { return false };
        let length = ended.newest - ended.start;
        if ended.access_units > 1 {
            self.gap = length / f64::from(ended.access_units - 1);
        }
        self.longest = self.longest.max(length);
        let long_enough = length + ROUNDING >= self.span;
        self.short_gops = if long_enough { 0 } else { self.short_gops + 1 };
        long_enough
    }

    fn probe(&mut self, unit: &AccessUnit, long_enough: bool) -> Decision {
        if long_enough {
            self.mode = Mode::Prefix;
            let run_start = Some(RunStart::GopPrefix);
            return Decision { decode: true, run_start, falls_back: None };
        }
        let since = self.gop.map(|it| it.start).or(self.first);
        let waited = unit.pts.zip(since).map_or(0.0, |(pts, since)| pts - since);
        let reason = match unit.keyframe {
            Some(_) if unit.pts.is_none() => Some(DenseReason::NoTimestamps),
            Some(Keyframe::Unknown) => Some(DenseReason::UnknownCodec),
            _ if self.open_keyframes >= IN_A_ROW => Some(DenseReason::OpenGop),
            _ if self.short_gops >= IN_A_ROW => Some(DenseReason::ShortGop),
            _ if waited > self.endless_after() => Some(self.no_end()),
            _ => None,
        };
        let falls_back = reason.and_then(|it| self.give_once(it));
        Decision { decode: true, run_start: None, falls_back }
    }

    fn prefix(&mut self, unit: &AccessUnit) -> Decision {
        if unit.keyframe == Some(Keyframe::Idr) && unit.pts.is_some() {
            let goes_on = self.short_gops < IN_A_ROW;
            let run_start = Some(if goes_on { RunStart::GopPrefix } else { RunStart::Dense });
            if !goes_on {
                self.mode = Mode::Dense(None);
            }
            let falls_back = if goes_on { None } else { self.give_once(DenseReason::ShortGop) };
            return Decision { decode: true, run_start, falls_back };
        }
        let (endless_after, limit) = (self.endless_after(), self.span + self.gap / 2.0 + ROUNDING);
        let Some(gop) = &mut self.gop else { return Decision::default() };
        let [pts, dts] = [unit.pts, unit.dts].map(|it| it.map(|it| it - gop.start));
        // The prefix is complete at a unit that is decoded after the limit, and shown after it by
        // more than frames are ever reordered: all frames shown up to the limit were coded before.
        let after = dts.is_none_or(|it| it > limit);
        gop.prefix_done |= after && pts.or(dts).is_some_and(|it| it > limit + self.reorder);
        let decode = !gop.prefix_done;
        if dts.or(pts).is_none_or(|it| it <= endless_after) {
            return Decision { decode, ..Decision::default() };
        }
        self.mode = Mode::AwaitKeyframe;
        let reason = self.no_end();
        Decision { decode: false, run_start: None, falls_back: self.give_once(reason) }
    }

    fn restart(&mut self, unit: &AccessUnit) -> Decision {
        let Some(pts) = unit.pts.filter(|_| unit.keyframe.is_some()) else {
            return Decision::default();
        };
        self.mode = Mode::Dense(Some(pts));
        Decision { decode: true, run_start: Some(RunStart::Dense), falls_back: None }
    }

    fn dense(&mut self, unit: &AccessUnit, from: Option<f64>) -> bool {
        let leads = from.zip(unit.pts).is_some_and(|(from, pts)| pts < from);
        // Leading frames come before all others of their GOP.
        if !leads {
            self.mode = Mode::Dense(None);
        }
        !leads
    }

    fn endless_after(&self) -> f64 {
        ENDLESS_AFTER.max(2.0 * self.longest)
    }

    fn no_end(&self) -> DenseReason {
        if self.open_keyframes > 0 { DenseReason::OpenGop } else { DenseReason::EndlessGop }
    }

    fn give_once(&mut self, reason: DenseReason) -> Option<DenseReason> {
        (!std::mem::replace(&mut self.reason_given, true)).then_some(reason)
    }
}

impl DenseReason {
    /// The reason as the second half of a log line.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::OpenGop => "its GOPs are open: their frames refer to frames of the GOP before",
            Self::EndlessGop => "no keyframe came for too long",
            Self::ShortGop => "its GOPs are shorter than a clip",
            Self::NoTimestamps => "its keyframes have no time stamps",
            Self::UnknownCodec => "its codec does not tell which keyframes are IDRs",
        }
    }
}

#[cfg(test)]
mod tests;
