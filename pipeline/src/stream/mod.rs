//! The thread of one stream: reads its source, cuts clips and hands them out.

mod archive;
mod backoff;
mod event;
mod live;
mod outlet;
mod reporter;

use std::sync::Arc;

use crate::{
    ClipConfig, Config, Counts, Error, Outcome, Problem, StreamConfig,
    clip::{Clip, Origin, Place, Sampler, Shown, camera_motion},
    ingest::StreamEnd,
    isolate::Door,
    picture::{Scaler, View},
    source::{self, Image, Item, Opening, Picture, Pictures, Tally},
    stop::Stop,
};

pub use event::{Event, State};

pub(crate) use outlet::Outlet;
pub(crate) use reporter::{Pulses, Reporter};

/// Problems that are kept for the report.
const PROBLEMS: usize = 10;

/// What the thread needs to begin.
#[derive(Debug)]
pub(crate) struct Task {
    idx: usize,
    seed: u64,
    config: StreamConfig,
    clip: ClipConfig,
    scaler: Scaler,
    stop: Stop,
    door: Option<Arc<Door>>,
    start: Start,
}

/// What a stream goes on from.
#[derive(Debug, Default)]
pub(crate) struct Start {
    /// Its totals.
    pub(crate) counts: Counts,
    /// Where an archive is read from.
    pub(crate) from: Arc<Place>,
    /// Clips that were drawn before: they are cut again and left out.
    pub(crate) drawn: u64,
    /// Its totals if they cannot be cut again.
    pub(crate) otherwise: Counts,
}

/// Why reading came to an end without an error.
#[derive(Debug, Eq, PartialEq)]
enum End {
    Exhausted,
    Stopped,
}

/// A stream that is being read.
struct Reader {
    idx: usize,
    seed: u64,
    config: Arc<StreamConfig>,
    clip: ClipConfig,
    opening: Opening,
    scaler: Scaler,
    sampler: Sampler<Image>,
    outlet: Outlet,
    reporter: Reporter,
    unsent: u64,
    problems: Vec<String>,
    from: Arc<Place>,
    drawn: u64,
    otherwise: Counts,
    /// The last crash of the decoder in this reading.
    crash: Option<Problem>,
    warned: bool,
}

impl Task {
    /// Reads `stream` as number `idx`, until `stop`.
    pub(crate) fn new(
        config: &Config,
        stream: &StreamConfig,
        idx: usize,
        (seed, stop): (u64, Stop),
    ) -> Self {
        let scaler = Scaler::new(config.size, View::new(config.fit, stream));
        let (config, clip) = (stream.clone(), config.clip.clone());
        Self { idx, seed, config, clip, scaler, stop, door: None, start: Start::default() }
    }

    /// Goes on from there.
    pub(crate) fn from(self, start: Start) -> Self {
        Self { start, ..self }
    }

    /// Has a process of its own decode, if there is a way to one.
    pub(crate) fn through(self, door: Option<Arc<Door>>) -> Self {
        Self { door, ..self }
    }

    /// Follows the stream to its end, or until it is stopped.
    pub(crate) fn follow(self, outlet: Outlet, reporter: Reporter) -> StreamEnd {
        let mut reader = Reader::new(self, outlet, reporter);
        let live = reader.config.is_live();
        let end = if live { reader.stay_connected() } else { reader.read_all() };
        let given_up = matches!(&end, Err(Error::Item { problem: Problem::GivenUp { .. }, .. }));
        let outcome = match end {
            Ok(End::Exhausted) => Outcome::Ended,
            Ok(End::Stopped) => Outcome::Stopped,
            Err(error) => {
                tracing::error!("{error}");
                Outcome::Failed(error.to_string())
            }
        };
        let (state, reason) = match &outcome {
            Outcome::Ended => (State::Ended, "read to its end"),
            Outcome::Stopped => (State::Stopped, "stopped"),
            Outcome::Failed(_) if given_up => (State::GivenUp, ""),
            Outcome::Failed(_) => (State::Failed, ""),
        };
        let reason = if let Outcome::Failed(why) = &outcome { why } else { reason };
        let counts = reader.counts();
        if live {
            reader.reporter.pulse(counts);
        }
        reader.reporter.last(state, reason, counts);
        StreamEnd { outcome, counts, unsent: reader.unsent, problems: reader.problems }
    }
}

impl Reader {
    fn new(task: Task, outlet: Outlet, reporter: Reporter) -> Self {
        let Task { idx, seed, config, clip, scaler, stop, door, start } = task;
        let Start { counts, from, drawn, otherwise } = start;
        let config = Arc::new(config);
        let (stream, tally) = (config.clone(), Arc::new(Tally::of(&counts)));
        let mut sampler = Sampler::new(clip.clone(), idx);
        sampler.counts = counts;
        let opening = Opening { stream, clip: clip.clone(), stop, tally, door };
        Self {
            idx,
            seed,
            config,
            sampler,
            clip,
            opening,
            scaler,
            outlet,
            reporter,
            unsent: 0,
            problems: Vec::new(),
            from,
            drawn,
            otherwise,
            crash: None,
            warned: false,
        }
    }

    /// The stream's totals, with what was counted beside its pictures.
    fn counts(&mut self) -> Counts {
        self.opening.tally.write(&mut self.sampler.counts);
        self.sampler.counts
    }

    fn read_item(&mut self, item: &Item, origin: Origin) -> Result<End, Problem> {
        let label = origin.item.clone();
        let pictures = source::open(item, &self.opening)?;
        self.sampler.begin(origin);
        let end = self.cut(pictures, &label);
        // Whatever ended the file, the picture that waits for its successor is counted.
        self.sampler.abandon();
        end
    }

    fn cut(&mut self, pictures: Pictures, label: &Arc<str>) -> Result<End, Problem> {
        let mut failure = None;
        for picture in pictures {
            match picture {
                Ok(picture) => {
                    self.note_frame();
                    if self.take(picture)? == End::Stopped {
                        return Ok(End::Stopped);
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
        if self.opening.stop.is_set() {
            return Ok(End::Stopped);
        }
        let Self { sampler, scaler, .. } = self;
        let render = &mut |image: &Image| image.pixels(scaler);
        let clips = match &failure {
            Some(_) if self.config.is_live() => sampler.lose(render)?,
            _ => sampler.end(render)?,
        };
        let end = self.send(clips);
        failure.map_or(Ok(end), Err)
    }

    /// Cuts with one more picture, and hands out the clips that are complete.
    fn take(&mut self, picture: Picture) -> Result<End, Problem> {
        let Self { sampler, scaler, .. } = self;
        let Picture { time, discontinuity, captured, begins, image } = picture;
        let render = &mut |image: &Image| image.pixels(scaler);
        let mut clips = begins.map_or(Ok(Vec::new()), |it| sampler.turn(it, render))?;
        clips.extend(sampler.push(Shown { time, discontinuity, captured }, image, render)?);
        let end = self.send(clips);
        self.warn_if_too_slow();
        if self.config.is_live() && self.reporter.is_due() {
            let counts = self.counts();
            self.reporter.pulse(counts);
        }
        Ok(end)
    }

    fn send(&mut self, clips: Vec<Clip>) -> End {
        let mut end = End::Exhausted;
        for mut clip in clips {
            if clip.info.number < self.drawn {
                continue;
            }
            if self.clip.camera_motion {
                clip.motion = Some(camera_motion::estimate(&clip.frames, self.scaler.size()));
            }
            let owned = clip.info.owned;
            if end == End::Exhausted && self.outlet.send(clip, &mut self.sampler.counts) {
                continue;
            }
            self.unsent += owned;
            end = End::Stopped;
        }
        end
    }

    /// Logs a problem that does not end the stream, and keeps it for the report.
    fn report(&mut self, label: &str, problem: &Problem) {
        self.sampler.counts.errors += 1;
        self.keep(format!("{label}: {problem}"));
    }

    fn keep(&mut self, text: String) {
        // A looped archive meets the same problem in every reading.
        if self.problems.contains(&text) {
            return;
        }
        tracing::warn!("stream {:?}: {text}", self.config.name);
        if self.problems.len() < PROBLEMS {
            self.problems.push(text);
        }
    }

    fn warn_if_too_slow(&mut self) {
        if self.warned || !self.sampler.is_too_slow() {
            return;
        }
        self.warned = true;
        let (gap, interval) = (self.sampler.gap(), self.clip.interval);
        self.keep(format!(
            "too slow: its frames are {gap:.3} s apart and clip.interval is {interval} s, so \
             that few or no clips can be cut"
        ));
    }

    fn no_clip(&self) -> Error {
        let Counts { still, cut, light, uneven, discontinuity, .. } = self.sampler.counts;
        if still + cut + light > uneven + discontinuity {
            return Error::NothingKept { stream: self.config.name.clone(), still, cut, light };
        }
        Error::NoClip {
            stream: self.config.name.clone(),
            frames: self.clip.frames,
            interval: self.clip.interval,
            span: self.clip.span_seconds(),
            longest: self.sampler.longest(),
            gap: self.sampler.gap(),
            decoded: self.sampler.counts.decoded,
        }
    }
}
