//! The thread of one stream: reads its source, cuts clips and sends them.

use std::sync::Arc;

use crossbeam_channel::{Sender, select};

use crate::{
    ClipConfig, Config, Counts, Error, Outcome, Problem, Result, StreamConfig,
    clip::Clip,
    ledger::StreamEnd,
    motion,
    picture::Image,
    random::phase,
    sampler::{Origin, Sampler},
    scale::{Scaler, View},
    source::{self, Item, Opening, Pictures},
    stop::Stop,
};

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
}

/// Why reading came to an end without an error.
#[derive(Debug, Eq, PartialEq)]
enum End {
    Exhausted,
    Stopped,
}

/// A stream that is being read.
struct Reader<'a> {
    idx: usize,
    seed: u64,
    config: StreamConfig,
    clip: ClipConfig,
    opening: Opening,
    scaler: Scaler,
    sampler: Sampler<Image>,
    clips: &'a Sender<Clip>,
    stop: &'a Stop,
    unsent: u64,
    problems: Vec<String>,
    warned: bool,
}

impl Task {
    pub(crate) fn new(config: &Config, idx: usize, seed: u64) -> Self {
        let scaler = Scaler::new(config.size, View::new(config.fit, &config.stream[idx]));
        Self { idx, seed, config: config.stream[idx].clone(), clip: config.clip.clone(), scaler }
    }

    /// Follows the stream to its end, or until the run is stopped.
    pub(crate) fn follow(self, clips: &Sender<Clip>, stop: &Stop) -> StreamEnd {
        let Self { idx, seed, config, clip, scaler } = self;
        let sampler = Sampler::new(clip.clone(), idx);
        let (unsent, problems, warned) = (0, Vec::new(), false);
        let opening = Opening {
            stream: Arc::new(config.clone()),
            clip: clip.clone(),
            stop: stop.clone(),
            tally: Arc::default(),
        };
        let mut reader = Reader {
            idx,
            seed,
            config,
            clip,
            opening,
            scaler,
            sampler,
            clips,
            stop,
            unsent,
            problems,
            warned,
        };
        let outcome = match reader.read_all() {
            Ok(End::Exhausted) => Outcome::Ended,
            Ok(End::Stopped) => Outcome::Stopped,
            Err(error) => {
                tracing::error!("{error}");
                Outcome::Failed(error.to_string())
            }
        };
        StreamEnd {
            outcome,
            counts: reader.sampler.counts,
            unsent: reader.unsent,
            problems: reader.problems,
        }
    }
}

impl Reader<'_> {
    fn read_all(&mut self) -> Result<End> {
        let mut fruitless = false;
        for pass in 0.. {
            // After a reading that gave no clip, begin where the first reading did.
            let first = fruitless || !self.config.source.begins_anywhere();
            let phase = if first { 0.0 } else { phase(self.seed, self.idx, pass) };
            let before = self.sampler.counts.clips;
            if self.read_once(pass, phase * self.clip.hop_seconds())? == End::Stopped {
                return Ok(End::Stopped);
            }
            fruitless = self.sampler.counts.clips == before;
            if fruitless && phase == 0.0 {
                return Err(self.no_clip());
            }
            self.sampler.counts.passes += 1;
            if !self.config.repeat {
                break;
            }
        }
        Ok(End::Exhausted)
    }

    /// Reads every file once. One that fails is reported and skipped, unless all of them do.
    fn read_once(&mut self, pass: u64, phase: f64) -> Result<End> {
        let source = &self.config.source;
        let wrong = |it: Problem| it.of(&self.config.name, &source.label());
        let items = source::items(source).map_err(wrong)?;
        let mut failed = Vec::new();
        for item in &items {
            let label = item.label();
            let origin = Origin { item: label.clone(), pass, phase };
            match self.read_item(item, origin) {
                Ok(End::Stopped) => return Ok(End::Stopped),
                Ok(End::Exhausted) => {}
                Err(problem) if items.len() == 1 => {
                    self.sampler.counts.errors += 1;
                    return Err(problem.of(&self.config.name, &label));
                }
                Err(problem) => {
                    failed.push(format!("{label}: {problem}"));
                    self.report(&label, &problem);
                }
            }
        }
        match failed.first() {
            Some(first) if failed.len() == items.len() => Err(Error::EveryFile {
                stream: self.config.name.clone(),
                count: items.len(),
                first: first.clone(),
            }),
            _ => Ok(End::Exhausted),
        }
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
                    let Self { sampler, scaler, .. } = self;
                    let render = &mut |image: &Image| image.pixels(scaler);
                    let shown = (picture.time, picture.discontinuity);
                    let clips = sampler.push(shown, picture.image, render)?;
                    if self.send(clips) == End::Stopped {
                        return Ok(End::Stopped);
                    }
                    self.warn_if_too_slow();
                }
                // What came before the end is good.
                Err(problem @ Problem::Truncated { .. }) => self.report(label, &problem),
                Err(problem) => failure = Some(problem),
            }
        }
        if self.stop.is_set() {
            return Ok(End::Stopped);
        }
        let Self { sampler, scaler, .. } = self;
        let clips = sampler.end(&mut |image: &Image| image.pixels(scaler))?;
        let end = self.send(clips);
        failure.map_or(Ok(end), Err)
    }

    fn send(&mut self, clips: Vec<Clip>) -> End {
        let mut end = End::Exhausted;
        for mut clip in clips {
            if self.clip.camera_motion {
                clip.motion = Some(motion::estimate(&clip.frames, self.scaler.size()));
            }
            let owned = clip.info.owned;
            let sent = end == End::Exhausted
                && select! {
                    send(self.clips, clip) -> sent => sent.is_ok(),
                    recv(self.stop.signal()) -> _ => false,
                };
            if !sent {
                self.unsent += owned;
                end = End::Stopped;
            }
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
