//! Cuts one stream into clips by presentation time.

use std::{sync::Arc, time::Instant};

use super::{
    Captured, Clip, ClipInfo, Frame, Place,
    gaps::Gaps,
    grid::{Grid, Match, Reach},
    window::Window,
};
use crate::{ClipConfig, Counts, Problem, clip::Reason, source::Begin};

/// A gap of more than this many intervals breaks the stream.
const BREAK: f64 = 4.0;

/// Scales a picture.
pub(crate) type Render<'a, I> = &'a mut dyn FnMut(&I) -> Result<Arc<[u8]>, Problem>;

/// Cuts a stream of pictures `I` into clips, and counts every picture that is in none.
///
/// In each unbroken run of pictures, clip `k` starts at `first + phase + k * hop`, and its
/// frames are those nearest to `start + j * interval`. A picture's fate is known when the next
/// one arrives, so exactly one is held, unscaled; it is scaled only when a clip wants it.
#[derive(Debug)]
pub(crate) struct Sampler<I> {
    config: ClipConfig,
    stream: usize,
    origin: Origin,
    pub(crate) counts: Counts,
    held: Option<(Shown, I)>,
    gaps: Gaps,
    grid: Grid,
    window: Window,
    run_start: f64,
    longest: f64,
    mode: Mode,
}

/// How many clips the next run gives.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Mode {
    /// One after the other.
    Dense,
    /// One, from its first picture on: it is a prefix of a group of pictures.
    One,
    /// None: the prefix had its run, and what follows a break in it starts at no key frame.
    Begun,
}

/// When a picture is shown, and what is known beside that.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown {
    /// Stream time in seconds.
    pub(crate) time: f64,
    /// It does not continue the picture before it.
    pub(crate) discontinuity: bool,
    pub(crate) captured: Option<Captured>,
}

/// Which reading of which file is being cut.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) item: Arc<str>,
    pub(crate) pass: u64,
    /// Seconds between the first frame and the first clip.
    pub(crate) phase: f64,
    /// Where that reading begins.
    pub(crate) place: Arc<Place>,
}

impl<I> Sampler<I> {
    pub(crate) fn new(config: ClipConfig, stream: usize) -> Self {
        let grid = Grid::new(0.0, config.hop_seconds());
        let window = Window::new(&config);
        Self {
            config,
            stream,
            origin: Origin { item: "".into(), pass: 0, phase: 0.0, place: Arc::default() },
            counts: Counts::default(),
            held: None,
            gaps: Gaps::default(),
            grid,
            window,
            run_start: 0.0,
            longest: 0.0,
            mode: Mode::Dense,
        }
    }

    /// Seconds of the longest run without a discontinuity.
    pub(crate) fn longest(&self) -> f64 {
        self.longest
    }

    /// Typical gap between frames, in seconds; 0 when unknown.
    pub(crate) fn gap(&self) -> f64 {
        self.gaps.typical()
    }

    /// Whether the frames lie too far apart for the interval.
    pub(crate) fn is_too_slow(&self) -> bool {
        self.gaps.is_settled() && self.gaps.typical() > 1.05 * self.config.interval
    }

    /// Starts on another file or reading; the one before must have been ended.
    pub(crate) fn begin(&mut self, origin: Origin) {
        debug_assert!(self.held.is_none());
        self.origin = origin;
        self.gaps = Gaps::default();
        self.mode = Mode::Dense;
    }

    /// Ends the run without a fault, because the next picture begins another. The time between
    /// them is no gap of the stream.
    ///
    /// # Errors
    /// As [`Sampler::end`].
    pub(crate) fn turn(
        &mut self,
        begin: Begin,
        render: Render<'_, I>,
    ) -> Result<Vec<Clip>, Problem> {
        self.mode = match begin {
            Begin::Prefix => Mode::One,
            Begin::Dense => Mode::Dense,
        };
        self.end(render)
    }

    /// Takes the next picture, and returns the clips that the one before it completes.
    ///
    /// # Errors
    /// What `render` says; the picture before is then counted as unfinished.
    pub(crate) fn push(
        &mut self,
        shown: Shown,
        image: I,
        render: Render<'_, I>,
    ) -> Result<Vec<Clip>, Problem> {
        self.counts.decoded += 1;
        let Shown { time, discontinuity, .. } = shown;
        let gap = self.held.as_ref().map(|it| time - it.0.time);
        if gap == Some(0.0) && !discontinuity {
            // Some files repeat a frame; no clip may hold the same moment twice.
            self.counts.off_grid += 1;
            return Ok(Vec::new());
        }
        if let Some(gap) = gap.filter(|&it| it > 0.0 && !discontinuity) {
            self.gaps.push(gap);
        }
        let far = BREAK * self.config.interval;
        let continues = gap.filter(|it| !discontinuity && (0.0..=far).contains(it));
        let clips = match continues {
            Some(gap) => self.settle(time - gap / 2.0 - self.beyond(gap), render),
            None => self.settle_last(render),
        };
        if continues.is_none() {
            self.window.clear(Reason::Discontinuity, &mut self.counts);
            self.run_start = time;
            self.grid = self.grid_from(time);
        }
        self.longest = self.longest.max(time - self.run_start);
        self.held = Some((shown, image));
        clips
    }

    /// Ends the file: settles the last picture and drops the clips that it left incomplete.
    ///
    /// # Errors
    /// What `render` says; every picture is counted nevertheless.
    pub(crate) fn end(&mut self, render: Render<'_, I>) -> Result<Vec<Clip>, Problem> {
        let clips = self.settle_last(render);
        self.window.clear(Reason::Unfinished, &mut self.counts);
        clips
    }

    /// Ends because the source went away: settles the last picture and drops the clips that it
    /// left incomplete.
    ///
    /// # Errors
    /// What `render` says; every picture is counted nevertheless.
    pub(crate) fn lose(&mut self, render: Render<'_, I>) -> Result<Vec<Clip>, Problem> {
        let clips = self.settle_last(render);
        self.window.clear(Reason::Discontinuity, &mut self.counts);
        clips
    }

    /// Ends without another clip, because nobody wants one.
    pub(crate) fn abandon(&mut self) {
        self.counts.unfinished += u64::from(self.held.take().is_some());
        self.window.clear(Reason::Unfinished, &mut self.counts);
    }

    /// How much less than half of `gap` a picture reaches: beyond the needed end of a prefix
    /// pictures are missing that the stream has.
    fn beyond(&self, gap: f64) -> f64 {
        let dense = self.mode == Mode::Dense;
        if dense { 0.0 } else { (gap - self.gaps.typical()).max(0.0) / 2.0 }
    }

    fn grid_from(&mut self, time: f64) -> Grid {
        let hop = self.config.hop_seconds();
        match self.mode {
            Mode::Dense => Grid::new(time + self.origin.phase, hop),
            Mode::One => {
                self.mode = Mode::Begun;
                Grid::new(time, hop).limited(1)
            }
            Mode::Begun => Grid::new(time, hop).limited(0),
        }
    }

    fn settle_last(&mut self, render: Render<'_, I>) -> Result<Vec<Clip>, Problem> {
        let Some((shown, _)) = &self.held else { return Ok(Vec::new()) };
        self.settle(shown.time + self.gaps.typical() / 2.0, render)
    }

    /// Decides on the held picture, which is the nearest to every time up to `until`.
    fn settle(&mut self, until: f64, render: Render<'_, I>) -> Result<Vec<Clip>, Problem> {
        let Some((shown, image)) = self.held.take() else { return Ok(Vec::new()) };
        let Shown { time, captured, .. } = shown;
        let reach = Reach::new(time, until, self.gaps.typical());
        let mut missed = self.window.drop_missed(&reach, &mut self.counts);
        if let Some(start) = self.grid.start(&reach) {
            match reach.compare(start, self.config.interval) {
                Match::Nearest => self.window.open(start),
                Match::Missed | Match::Later => missed = true,
            }
        }
        if !self.window.wants(&reach) {
            let count = if missed { &mut self.counts.uneven } else { &mut self.counts.off_grid };
            *count += 1;
            return Ok(Vec::new());
        }
        let pixels = render(&image).inspect_err(|_| self.counts.unfinished += 1)?;
        self.window.add(Frame { pixels, time, captured }, &reach);
        self.window.judge(&mut self.counts);
        Ok(self.complete())
    }

    fn complete(&mut self) -> Vec<Clip> {
        let mut clips = Vec::new();
        while let Some((frames, owned)) = self.window.complete() {
            let number = self.counts.clips;
            self.counts.clips += 1;
            let info = ClipInfo {
                stream: self.stream,
                number,
                item: self.origin.item.clone(),
                pass: self.origin.pass,
                captured: frames.first().and_then(|it| it.captured),
                uses: 0,
                owned,
                counts: self.counts,
            };
            let place = self.origin.place.clone();
            clips.push(Clip { frames, info, cut: Instant::now(), motion: None, place });
        }
        clips
    }
}

#[cfg(test)]
mod tests;
