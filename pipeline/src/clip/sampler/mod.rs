//! Cuts one stream into clips by presentation time.

use std::{sync::Arc, time::Instant};

use super::{
    CaptureTime, Clip, ClipInfo, Cursor, Frame,
    gaps::FrameGaps,
    grid::{Grid, Match, Reach},
    open_clips::OpenClips,
};
use crate::{ClipConfig, Counts, FrameOutcome, Problem, source::RunStart};

/// A gap of more than this many intervals breaks the stream.
const MAX_GAP: f64 = 4.0;

/// Scales an image.
pub(crate) type Render<'a, I> = &'a mut dyn FnMut(&I) -> Result<Arc<[u8]>, Problem>;

/// Cuts a stream of frames with images `I` into clips, and counts every frame that is in none.
///
/// In each unbroken run of frames, clip `k` starts at `first + phase + k * hop`, and its frames are
/// those nearest to `start + j * interval`. The outcome of a frame is known only when the next one
/// arrives, so one frame is held, unscaled. It is scaled only if a clip needs it.
#[derive(Debug)]
pub(crate) struct Sampler<I> {
    config: ClipConfig,
    stream: usize,
    origin: Origin,
    pub(crate) counts: Counts,
    held: Option<(FrameTime, I)>,
    gaps: FrameGaps,
    grid: Grid,
    open_clips: OpenClips,
    run_start: f64,
    longest_run: f64,
    mode: Mode,
}

/// How many clips a run gives.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Mode {
    /// One after the other.
    Dense,
    /// One, from the first frame on: the run is a GOP prefix.
    OneClip,
    /// None until the next keyframe: the prefix gave its clip, or was broken.
    NoClip,
}

/// When a frame is shown, and what else is known of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrameTime {
    /// Stream time in seconds.
    pub(crate) time: f64,
    /// It does not continue the frame before it.
    pub(crate) discontinuity: bool,
    pub(crate) captured: Option<CaptureTime>,
}

/// Which epoch of which item is cut.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) item: Arc<str>,
    pub(crate) epoch: u64,
    /// Seconds between the first frame and the first clip.
    pub(crate) phase: f64,
    /// The beginning of the item.
    pub(crate) cursor: Arc<Cursor>,
}

impl<I> Sampler<I> {
    pub(crate) fn new(config: ClipConfig, stream: usize) -> Self {
        let grid = Grid::new(0.0, config.hop_seconds());
        let open_clips = OpenClips::new(&config);
        Self {
            config,
            stream,
            origin: Origin { item: "".into(), epoch: 0, phase: 0.0, cursor: Arc::default() },
            counts: Counts::default(),
            held: None,
            gaps: FrameGaps::default(),
            grid,
            open_clips,
            run_start: 0.0,
            longest_run: 0.0,
            mode: Mode::Dense,
        }
    }

    /// Seconds of the longest run without a discontinuity.
    pub(crate) fn longest_run(&self) -> f64 {
        self.longest_run
    }

    /// Median gap between frames, in seconds; 0 when unknown.
    pub(crate) fn gap(&self) -> f64 {
        self.gaps.median()
    }

    /// Whether the frames are too far apart for the interval.
    pub(crate) fn is_too_slow(&self) -> bool {
        self.gaps.is_settled() && self.gaps.median() > 1.05 * self.config.interval
    }

    /// Starts on another file or epoch. The one before must have been ended.
    pub(crate) fn begin(&mut self, origin: Origin) {
        debug_assert!(self.held.is_none());
        self.origin = origin;
        self.gaps = FrameGaps::default();
        self.mode = Mode::Dense;
    }

    /// Ends the run because the next frame starts another. The time between the two is not a gap of
    /// the stream.
    ///
    /// # Errors
    /// As [`Sampler::end`].
    pub(crate) fn start_run(
        &mut self,
        start: RunStart,
        render: Render<'_, I>,
    ) -> Result<Vec<Clip>, Problem> {
        self.mode = match start {
            RunStart::GopPrefix => Mode::OneClip,
            RunStart::Dense => Mode::Dense,
        };
        self.end(render)
    }

    /// Takes the next frame, and returns the clips that the frame before it completes.
    ///
    /// # Errors
    /// The error of `render`; the frame before is then counted as unfinished.
    pub(crate) fn push(
        &mut self,
        frame: FrameTime,
        image: I,
        render: Render<'_, I>,
    ) -> Result<Vec<Clip>, Problem> {
        self.counts.decoded += 1;
        let FrameTime { time, discontinuity, .. } = frame;
        let gap = self.held.as_ref().map(|it| time - it.0.time);
        if gap == Some(0.0) && !discontinuity {
            // Some files repeat a frame. No clip may hold the same moment twice.
            self.counts.off_grid += 1;
            return Ok(Vec::new());
        }
        if let Some(gap) = gap.filter(|&it| it > 0.0 && !discontinuity) {
            self.gaps.push(gap);
        }
        let far = MAX_GAP * self.config.interval;
        let continues = gap.filter(|it| !discontinuity && (0.0..=far).contains(it));
        let clips = match continues {
            Some(gap) => self.decide(time - gap / 2.0 - self.reach_correction(gap), render),
            None => self.decide_last(render),
        };
        if continues.is_none() {
            self.open_clips.clear(FrameOutcome::Discontinuity, &mut self.counts);
            self.run_start = time;
            self.grid = self.grid_from(time);
        }
        self.longest_run = self.longest_run.max(time - self.run_start);
        self.held = Some((frame, image));
        clips
    }

    /// Ends the file: decides on the last frame and drops incomplete clips.
    ///
    /// # Errors
    /// The error of `render`; every frame is counted nevertheless.
    pub(crate) fn end(&mut self, render: Render<'_, I>) -> Result<Vec<Clip>, Problem> {
        let clips = self.decide_last(render);
        self.open_clips.clear(FrameOutcome::Unfinished, &mut self.counts);
        clips
    }

    /// Ends because the source was lost: decides on the last frame and drops incomplete clips.
    ///
    /// # Errors
    /// The error of `render`; every frame is counted nevertheless.
    pub(crate) fn end_lost(&mut self, render: Render<'_, I>) -> Result<Vec<Clip>, Problem> {
        let clips = self.decide_last(render);
        self.open_clips.clear(FrameOutcome::Discontinuity, &mut self.counts);
        clips
    }

    /// Ends without another clip, because none is needed.
    pub(crate) fn abandon(&mut self) {
        self.counts.unfinished += u64::from(self.held.take().is_some());
        self.open_clips.clear(FrameOutcome::Unfinished, &mut self.counts);
    }

    /// Seconds by which the reach of a frame is less than half of `gap`. After the end of a GOP
    /// prefix, frames are missing that the stream has.
    fn reach_correction(&self, gap: f64) -> f64 {
        let dense = self.mode == Mode::Dense;
        if dense { 0.0 } else { (gap - self.gaps.median()).max(0.0) / 2.0 }
    }

    fn grid_from(&mut self, time: f64) -> Grid {
        let hop = self.config.hop_seconds();
        match self.mode {
            Mode::Dense => Grid::new(time + self.origin.phase, hop),
            Mode::OneClip => {
                self.mode = Mode::NoClip;
                Grid::new(time, hop).limited(1)
            }
            Mode::NoClip => Grid::new(time, hop).limited(0),
        }
    }

    fn decide_last(&mut self, render: Render<'_, I>) -> Result<Vec<Clip>, Problem> {
        let Some((frame, _)) = &self.held else { return Ok(Vec::new()) };
        self.decide(frame.time + self.gaps.median() / 2.0, render)
    }

    /// Decides on the held frame, which is the nearest one to every time up to `until`.
    fn decide(&mut self, until: f64, render: Render<'_, I>) -> Result<Vec<Clip>, Problem> {
        let Some((frame, image)) = self.held.take() else { return Ok(Vec::new()) };
        let FrameTime { time, captured, .. } = frame;
        let reach = Reach::new(time, until, self.gaps.median());
        let mut missed = self.open_clips.drop_missed(&reach, &mut self.counts);
        if let Some(start) = self.grid.start(&reach) {
            match reach.compare(start, self.config.interval) {
                Match::Nearest => self.open_clips.open(start),
                Match::Missed | Match::Later => missed = true,
            }
        }
        if !self.open_clips.need(&reach) {
            let count = if missed { &mut self.counts.irregular } else { &mut self.counts.off_grid };
            *count += 1;
            return Ok(Vec::new());
        }
        let pixels = render(&image).inspect_err(|_| self.counts.unfinished += 1)?;
        self.open_clips.add(Frame { pixels, time, captured }, &reach);
        self.open_clips.drop_unwanted(&mut self.counts);
        Ok(self.complete())
    }

    fn complete(&mut self) -> Vec<Clip> {
        let mut clips = Vec::new();
        while let Some((frames, new_frames)) = self.open_clips.complete() {
            let number = self.counts.clips;
            self.counts.clips += 1;
            let info = ClipInfo {
                stream: self.stream,
                number,
                item: self.origin.item.clone(),
                epoch: self.origin.epoch,
                captured: frames.first().and_then(|it| it.captured),
                uses: 0,
                new_frames,
                counts: self.counts,
            };
            let cursor = self.origin.cursor.clone();
            clips.push(Clip { frames, info, cut_at: Instant::now(), motion: None, cursor });
        }
        clips
    }
}

#[cfg(test)]
mod tests;
