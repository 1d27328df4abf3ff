//! Which coded pictures of a group a clip needs.
//!
//! A clip that starts at a key frame needs the beginning of its group of pictures, and the rest
//! need not be decoded, if nothing after the next key refers to it: if that key is closed.
//!
//! ```text
//! decoder ◀── I P P P P · · · · · · · · · │ I P P P P · · · · ·
//!             └ span ─┘   never decoded   └ next group
//! ```

use super::nal::Key;
use crate::source::Begin;

/// Seconds without a closed key after which a group counts as endless; twice the longest known
/// group, where that is more.
const PATIENCE: f64 = 10.0;

/// What lies further back than this, in seconds, was not reordered: the clock was set.
const MOVED: f64 = 2.0;

/// Containers round their time stamps to milliseconds.
const ROUNDING: f64 = 0.005;

/// So many groups in a row that are too short for a clip, or keys that are not closed, decide:
/// one may be a cut between scenes.
const IN_A_ROW: u32 = 4;

/// One coded picture on its way to the decoder, times in seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unit {
    /// What kind of key it is, if it is one.
    pub(super) key: Option<Key>,
    pub(super) pts: Option<f64>,
    pub(super) dts: Option<f64>,
}

/// What becomes of a unit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Verdict {
    /// The decoder gets it.
    pub(super) feed: bool,
    /// Its picture is the first of a run.
    pub(super) begins: Option<Begin>,
    /// Why all pictures are decoded after all; said once.
    pub(super) said: Option<Why>,
}

/// Why all pictures are decoded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Why {
    Open,
    Endless,
    Short,
    Untimed,
    Unknown,
}

/// Follows the groups of one stream.
///
/// It begins with everything, since a group that does not end must not be left. Where a closed
/// group has ended that was long enough for a clip, only prefixes are fed from then on.
#[derive(Debug)]
pub(super) struct Groups {
    span: f64,
    mode: Mode,
    group: Option<Group>,
    /// Seconds between pictures of the group before.
    gap: f64,
    /// How far, in seconds, a picture may be shown before one that was coded earlier.
    reorder: f64,
    longest: f64,
    short: u32,
    open: u32,
    first: Option<f64>,
    said: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Mode {
    /// Everything is fed, and no group was long enough yet.
    Watching,
    /// Prefixes are fed.
    Prefix,
    /// A group did not end: nothing can be decoded up to the next key.
    Lost,
    /// Everything is fed for good, but for pictures that are shown before the given time and
    /// refer to what was not fed.
    Dense(Option<f64>),
}

/// A group whose key is closed.
#[derive(Clone, Copy, Debug)]
struct Group {
    key: f64,
    /// When the last of its pictures so far is shown.
    newest: f64,
    units: u32,
    /// Its prefix was fed.
    over: bool,
}

impl Groups {
    /// For clips of `span` seconds from the first frame to the last.
    pub(super) fn new(span: f64) -> Self {
        Self {
            span,
            mode: Mode::Watching,
            group: None,
            gap: 0.0,
            reorder: 0.0,
            longest: 0.0,
            short: 0,
            open: 0,
            first: None,
            said: false,
        }
    }

    /// Takes the next unit, in the order of decoding.
    pub(super) fn take(&mut self, unit: &Unit) -> Verdict {
        let fits = self.learn(unit);
        match self.mode {
            Mode::Watching => self.watch(unit, fits),
            Mode::Prefix => self.prefix(unit),
            Mode::Lost => self.resume(unit),
            Mode::Dense(from) => Verdict { feed: self.dense(unit, from), ..Verdict::default() },
        }
    }

    /// Whether only prefixes are fed.
    pub(super) fn skips(&self) -> bool {
        self.mode == Mode::Prefix
    }

    /// Adds a unit to its group; whether it ends one that was long enough.
    fn learn(&mut self, unit: &Unit) -> bool {
        let Some(pts) = unit.pts else { return false };
        self.first = self.first.or(Some(pts));
        if unit.key != Some(Key::Closed) {
            self.open += u32::from(unit.key.is_some());
            if let Some(group) = &mut self.group {
                group.newest = group.newest.max(pts);
                group.units += 1;
                let moved = group.newest - pts;
                if moved < MOVED {
                    self.reorder = self.reorder.max(moved);
                }
            }
            return false;
        }
        self.open = 0;
        let group = Group { key: pts, newest: pts, units: 1, over: false };
        let Some(ended) = self.group.replace(group) else { return false };
        let reach = ended.newest - ended.key;
        if ended.units > 1 {
            self.gap = reach / f64::from(ended.units - 1);
        }
        self.longest = self.longest.max(reach);
        let fits = reach + ROUNDING >= self.span;
        self.short = if fits { 0 } else { self.short + 1 };
        fits
    }

    fn watch(&mut self, unit: &Unit, fits: bool) -> Verdict {
        if fits {
            self.mode = Mode::Prefix;
            return Verdict { feed: true, begins: Some(Begin::Prefix), said: None };
        }
        let since = self.group.map(|it| it.key).or(self.first);
        let waited = unit.pts.zip(since).map_or(0.0, |(pts, since)| pts - since);
        let why = match unit.key {
            Some(_) if unit.pts.is_none() => Some(Why::Untimed),
            Some(Key::Unknown) => Some(Why::Unknown),
            _ if self.open >= IN_A_ROW => Some(Why::Open),
            _ if self.short >= IN_A_ROW => Some(Why::Short),
            _ if waited > self.patience() => Some(self.no_end()),
            _ => None,
        };
        Verdict { feed: true, begins: None, said: why.and_then(|it| self.say(it)) }
    }

    fn prefix(&mut self, unit: &Unit) -> Verdict {
        if unit.key == Some(Key::Closed) && unit.pts.is_some() {
            let enough = self.short < IN_A_ROW;
            let begins = Some(if enough { Begin::Prefix } else { Begin::Dense });
            if !enough {
                self.mode = Mode::Dense(None);
            }
            let said = if enough { None } else { self.say(Why::Short) };
            return Verdict { feed: true, begins, said };
        }
        let (patience, limit) = (self.patience(), self.span + self.gap / 2.0 + ROUNDING);
        let Some(group) = &mut self.group else { return Verdict::default() };
        let [pts, dts] = [unit.pts, unit.dts].map(|it| it.map(|it| it - group.key));
        // Every picture that is shown up to the limit was coded before one that is both decoded
        // after it and shown after it by more than pictures are ever moved.
        let after = dts.is_none_or(|it| it > limit);
        group.over |= after && pts.or(dts).is_some_and(|it| it > limit + self.reorder);
        let feed = !group.over;
        if dts.or(pts).is_none_or(|it| it <= patience) {
            return Verdict { feed, ..Verdict::default() };
        }
        self.mode = Mode::Lost;
        let why = self.no_end();
        Verdict { feed: false, begins: None, said: self.say(why) }
    }

    fn resume(&mut self, unit: &Unit) -> Verdict {
        let Some(pts) = unit.pts.filter(|_| unit.key.is_some()) else { return Verdict::default() };
        self.mode = Mode::Dense(Some(pts));
        Verdict { feed: true, begins: Some(Begin::Dense), said: None }
    }

    fn dense(&mut self, unit: &Unit, from: Option<f64>) -> bool {
        let leads = from.zip(unit.pts).is_some_and(|(from, pts)| pts < from);
        // Leading pictures come before all others of their group.
        if !leads {
            self.mode = Mode::Dense(None);
        }
        !leads
    }

    fn patience(&self) -> f64 {
        PATIENCE.max(2.0 * self.longest)
    }

    fn no_end(&self) -> Why {
        if self.open > 0 { Why::Open } else { Why::Endless }
    }

    fn say(&mut self, why: Why) -> Option<Why> {
        (!std::mem::replace(&mut self.said, true)).then_some(why)
    }
}

impl Why {
    /// In words.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Open => "its groups of pictures are open: their pictures need those before them",
            Self::Endless => "it has no key frame for too long",
            Self::Short => "its groups of pictures are shorter than a clip",
            Self::Untimed => "its key frames have no time stamps",
            Self::Unknown => "its coding does not tell where groups of pictures are closed",
        }
    }
}

#[cfg(test)]
mod tests;
