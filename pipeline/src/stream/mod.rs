//! Runs one stream on a thread of its own: opens its source, cuts clips and sends them.
//!
//! ```text
//! archive   reads files to their end, and again if the stream loops
//! live      stays connected to a camera
//! backoff   how long to wait before the next attempt
//! outlet    sends clips, and drops old ones when the channel is full
//! reporter  publishes changes of state and the stream's totals
//! event     what is published
//! ```

mod archive;
mod backoff;
mod event;
mod live;
mod outlet;
mod reporter;

use std::sync::Arc;

use serde::Serialize;

use crate::{
    ClipConfig, Config, Counts, Error, Problem, StreamConfig,
    clip::{Clip, Cursor, FrameTime, Origin, Sampler, camera_motion},
    isolate::{self, WorkerHandle},
    picture::{PictureConfig, Scaler},
    source::{
        self, Image, Item, SideCounters, SideCounts, SourceContext, SourceFrame, SourceFrames,
    },
    stop::Stop,
};

pub use event::{StreamEvent, StreamState};

pub(crate) use outlet::ClipSender;
pub(crate) use reporter::{LatestCounts, Reporter};

/// Problems that are kept for the report.
const MAX_PROBLEMS: usize = 10;

/// What the thread of a stream needs to start.
#[derive(Debug)]
pub(crate) struct StreamTask {
    idx: usize,
    seed: u64,
    config: StreamConfig,
    clip: ClipConfig,
    scaler: Scaler,
    stop: Stop,
    worker: Option<Arc<WorkerHandle>>,
    start: StartPoint,
}

/// How a stream came to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StreamEnd {
    /// Its source was read to the end.
    Ended,
    /// The run, or a removal of the stream, stopped it.
    Stopped,
    /// It failed; the text says why and what to do.
    Failed(String),
}

/// What the thread of a stream returns when it ends.
#[derive(Debug)]
pub(crate) struct ThreadReport {
    pub(crate) end: StreamEnd,
    pub(crate) counts: Counts,
    /// New frames of clips that were cut and could not be sent.
    pub(crate) unsent: u64,
    pub(crate) problems: Vec<String>,
}

/// Where a stream starts or resumes.
#[derive(Debug, Default)]
pub(crate) struct StartPoint {
    /// The totals so far.
    pub(crate) counts: Counts,
    /// Where an archive is read from.
    pub(crate) from: Arc<Cursor>,
    /// Clips that were already drawn: they are cut again and left out.
    pub(crate) drawn: u64,
    /// The totals to use if those clips cannot be cut again.
    pub(crate) fallback_counts: Counts,
}

/// How reading ended without an error.
#[derive(Debug, Eq, PartialEq)]
enum ReadEnd {
    Exhausted,
    Stopped,
}

/// Scales the image of a frame.
type Render<'a> = crate::clip::Render<'a, Box<dyn Image>>;

/// A stream that is being read.
struct StreamReader {
    idx: usize,
    seed: u64,
    config: Arc<StreamConfig>,
    clip: ClipConfig,
    context: SourceContext,
    scaler: Scaler,
    worker: Option<Arc<WorkerHandle>>,
    sampler: Sampler<Box<dyn Image>>,
    clips: ClipSender,
    reporter: Reporter,
    unsent: u64,
    problems: Vec<String>,
    from: Arc<Cursor>,
    drawn: u64,
    fallback_counts: Counts,
    /// The last crash of the decoder in this epoch.
    crash: Option<Problem>,
    warned: bool,
}

impl StreamTask {
    /// Reads `stream` as number `idx`, until `stop`.
    pub(crate) fn new(
        config: &Config,
        stream: &StreamConfig,
        idx: usize,
        (seed, stop): (u64, Stop),
    ) -> Self {
        let scaler = Scaler::new(config.size, PictureConfig::new(config.fit, stream));
        let (config, clip) = (stream.clone(), config.clip.clone());
        Self { idx, seed, config, clip, scaler, stop, worker: None, start: StartPoint::default() }
    }

    /// Starts there.
    pub(crate) fn starting_at(self, start: StartPoint) -> Self {
        Self { start, ..self }
    }

    /// Decodes in a worker process, if there is one.
    pub(crate) fn decoded_by(self, worker: Option<Arc<WorkerHandle>>) -> Self {
        Self { worker, ..self }
    }

    /// Reads the stream to its end, or until it is stopped.
    pub(crate) fn run(self, clips: ClipSender, reporter: Reporter) -> ThreadReport {
        let mut reader = StreamReader::new(self, clips, reporter);
        let live = reader.config.is_live();
        let end = if live { reader.stay_connected() } else { reader.read_all() };
        let given_up = matches!(&end, Err(Error::Item { problem: Problem::GivenUp { .. }, .. }));
        let end = match end {
            Ok(ReadEnd::Exhausted) => StreamEnd::Ended,
            Ok(ReadEnd::Stopped) => StreamEnd::Stopped,
            Err(error) => {
                tracing::error!("{error}");
                StreamEnd::Failed(error.to_string())
            }
        };
        let (state, reason) = match &end {
            StreamEnd::Ended => (StreamState::Ended, "read to its end"),
            StreamEnd::Stopped => (StreamState::Stopped, "stopped"),
            StreamEnd::Failed(_) if given_up => (StreamState::GivenUp, ""),
            StreamEnd::Failed(_) => (StreamState::Failed, ""),
        };
        let reason = if let StreamEnd::Failed(why) = &end { why } else { reason };
        let counts = reader.last_counts();
        if live {
            reader.reporter.publish_counts(counts);
        }
        reader.reporter.report_last(state, reason, counts);
        ThreadReport { end, counts, unsent: reader.unsent, problems: reader.problems }
    }
}

impl StreamReader {
    fn new(task: StreamTask, clips: ClipSender, reporter: Reporter) -> Self {
        let StreamTask { idx, seed, config, clip, scaler, stop, worker, start } = task;
        let StartPoint { counts, from, drawn, fallback_counts } = start;
        let config = Arc::new(config);
        let (stream, side_counters) =
            (config.clone(), Arc::new(SideCounters::starting_at(side_counts(&counts))));
        let mut sampler = Sampler::new(clip.clone(), idx);
        sampler.counts = counts;
        let context = SourceContext { stream, clip: clip.clone(), stop, side_counters };
        Self {
            idx,
            seed,
            config,
            sampler,
            clip,
            context,
            worker,
            scaler,
            clips,
            reporter,
            unsent: 0,
            problems: Vec::new(),
            from,
            drawn,
            fallback_counts,
            crash: None,
            warned: false,
        }
    }

    /// The stream's totals, including the side counts of its source.
    fn counts(&mut self) -> Counts {
        let SideCounts { dropped_backlog, skipped_gop, abandoned_pipelines } =
            self.context.side_counters.totals();
        let counts = self.sampler.counts;
        self.sampler.counts =
            Counts { dropped_backlog, skipped_gop, abandoned_pipelines, ..counts };
        self.sampler.counts
    }

    /// The totals at the end. A resumed stream that was stopped before it had cut the clips of the
    /// run before again ends with the totals that it resumed from.
    fn last_counts(&mut self) -> Counts {
        let counts = self.counts();
        if counts.clips < self.drawn { self.fallback_counts } else { counts }
    }

    fn read_item(&mut self, item: &Item, origin: Origin) -> Result<ReadEnd, Problem> {
        let label = origin.item.clone();
        let frames = match &self.worker {
            Some(worker) if !item.is_drawn() => isolate::open(item, &self.context, worker)?,
            _ => source::open(item, &self.context)?,
        };
        self.sampler.begin(origin);
        let end = self.cut(frames, &label);
        // Whatever ended the item, the frame that waits for its successor is counted.
        self.sampler.abandon();
        end
    }

    fn cut(&mut self, frames: SourceFrames, label: &Arc<str>) -> Result<ReadEnd, Problem> {
        let mut failure = None;
        for frame in frames {
            match frame {
                Ok(frame) => {
                    self.note_frame();
                    if self.take(frame)? == ReadEnd::Stopped {
                        return Ok(ReadEnd::Stopped);
                    }
                }
                // What came before the end is good.
                Err(problem @ Problem::Truncated { .. }) => self.report(label, &problem),
                Err(problem) => {
                    if matches!(problem, Problem::Stalled(_)) {
                        self.note_stall(&problem);
                    }
                    failure = Some(problem);
                }
            }
        }
        if self.context.stop.is_set() {
            return Ok(ReadEnd::Stopped);
        }
        let Self { sampler, scaler, .. } = self;
        let render: Render<'_> = &mut |image| image.pixels(scaler);
        let clips = match &failure {
            Some(_) if self.config.is_live() => sampler.end_lost(render)?,
            _ => sampler.end(render)?,
        };
        let end = self.send(clips);
        failure.map_or(Ok(end), Err)
    }

    /// Takes one more frame, and sends the clips that are complete.
    fn take(&mut self, frame: SourceFrame) -> Result<ReadEnd, Problem> {
        let Self { sampler, scaler, .. } = self;
        let SourceFrame { time, discontinuity, captured, run_start, image } = frame;
        let render: Render<'_> = &mut |image| image.pixels(scaler);
        let mut clips = run_start.map_or(Ok(Vec::new()), |it| sampler.start_run(it, render))?;
        clips.extend(sampler.push(FrameTime { time, discontinuity, captured }, image, render)?);
        let end = self.send(clips);
        self.warn_if_too_slow();
        if self.config.is_live() && self.reporter.counts_due() {
            let counts = self.counts();
            self.reporter.publish_counts(counts);
        }
        Ok(end)
    }

    fn send(&mut self, clips: Vec<Clip>) -> ReadEnd {
        let mut end = ReadEnd::Exhausted;
        for mut clip in clips {
            if clip.info.number < self.drawn {
                continue;
            }
            if self.clip.camera_motion {
                clip.motion = Some(camera_motion::estimate(&clip.frames, self.scaler.size()));
            }
            let new_frames = clip.info.new_frames;
            if end == ReadEnd::Exhausted && self.clips.send(clip, &mut self.sampler.counts) {
                continue;
            }
            self.unsent += new_frames;
            end = ReadEnd::Stopped;
        }
        end
    }

    /// Logs a problem that does not end the stream, and keeps it for the report.
    fn report(&mut self, label: &str, problem: &Problem) {
        self.sampler.counts.errors += 1;
        self.keep_problem(format!("{label}: {problem}"));
    }

    fn keep_problem(&mut self, text: String) {
        // A looped archive meets the same problem in every epoch.
        if self.problems.contains(&text) {
            return;
        }
        tracing::warn!("stream {:?}: {text}", self.config.name);
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(text);
        }
    }

    fn warn_if_too_slow(&mut self) {
        if self.warned || !self.sampler.is_too_slow() {
            return;
        }
        self.warned = true;
        let (gap, interval) = (self.sampler.gap(), self.clip.interval);
        self.keep_problem(format!(
            "too slow: frames are {gap:.3} s apart and clip.interval is {interval} s, so few or no \
             clips can be cut; raise clip.interval"
        ));
    }

    fn no_clip(&self) -> Error {
        let counts = self.sampler.counts;
        let dropped = counts.r#static + counts.scene_cut + counts.light_change;
        if dropped > counts.irregular + counts.discontinuity {
            return Error::AllClipsDropped {
                stream: self.config.name.clone(),
                no_motion: counts.r#static,
                scene_cut: counts.scene_cut,
                light_change: counts.light_change,
            };
        }
        Error::NoClip {
            stream: self.config.name.clone(),
            frames: self.clip.frames,
            interval: self.clip.interval,
            span: self.clip.span_seconds(),
            longest: self.sampler.longest_run(),
            gap: self.sampler.gap(),
            decoded: self.sampler.counts.decoded,
        }
    }
}

fn side_counts(counts: &Counts) -> SideCounts {
    let Counts { dropped_backlog, skipped_gop, abandoned_pipelines, .. } = *counts;
    SideCounts { dropped_backlog, skipped_gop, abandoned_pipelines }
}
