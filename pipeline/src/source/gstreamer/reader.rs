//! Frames of anything that GStreamer plays: files, RTSP, HLS.

use std::{
    mem, path,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use gstreamer::{self as gst, prelude::*};
use gstreamer_video as gst_video;

use super::{
    Decoded,
    bus::Heard,
    pipeline::{self, Elements},
    teardown::bring_down,
};
use crate::{
    Captured, Clock, Problem,
    config::Revealed,
    source::{Image, Item, Opening, Picture, Tally, files::inspect},
    stop::Stop,
};

/// How long a pull waits before it looks at the bus and at the stop signal.
const SLICE: gst::ClockTime = gst::ClockTime::from_mseconds(50);

/// How long neither a frame nor a message may come from an archive.
const STALL: Duration = Duration::from_secs(15);

/// Seconds from the epoch of NTP, 1900, to that of Unix.
const NTP_TO_UNIX: Duration = Duration::from_secs(2_208_988_800);

/// When a source that gives no frame counts as gone.
#[derive(Clone, Copy, Debug)]
enum Patience {
    /// An archive may be slow as long as something happens.
    Archive,
    /// A camera talks while it is frozen: frames alone count.
    Live { connect: Duration, stall: Duration },
}

/// Pulls frames out of a running pipeline, and stops it when dropped.
#[derive(Debug)]
pub(crate) struct UriPictures {
    address: Revealed,
    stop: Stop,
    patience: Patience,
    tally: Arc<Tally>,
    elements: Elements,
    bus: gst::Bus,
    heard: Heard,
    format: Option<(gst::Caps, gst_video::VideoInfo)>,
    /// Stream times of the last two frames, in seconds.
    recent: [Option<f64>; 2],
    /// Duration stated by the file, in seconds.
    duration: Option<f64>,
    ended: bool,
}

/// The URI of a file, after a look at it, or of a URI.
pub(crate) fn location(item: &Item) -> Result<Revealed, Problem> {
    match item {
        Item::File(path) => {
            inspect(path)?;
            let path = path::absolute(path).map_err(Problem::Unreadable)?;
            let uri = gst::glib::filename_to_uri(path, None);
            let uri = uri.map_err(|it| Problem::Unreachable(it.to_string()))?;
            Ok(Revealed::public(uri.into()))
        }
        Item::Uri(address) => address.reveal(),
        Item::Revealed(revealed) => Ok(revealed.clone()),
        Item::Synthetic(_) | Item::MovingDigits(_) => Err(Problem::NotFound),
    }
}

impl UriPictures {
    pub(crate) fn open(address: Revealed, opening: &Opening) -> Result<Self, Problem> {
        let elements = pipeline::build(address.as_str(), opening)?;
        let no_bus = || Problem::GStreamer("a pipeline without a bus".into());
        let mut pictures = Self {
            address,
            stop: opening.stop.clone(),
            patience: Patience::of(opening),
            tally: opening.tally.clone(),
            bus: elements.pipeline.bus().ok_or_else(no_bus)?,
            elements,
            heard: Heard::default(),
            format: None,
            recent: [None; 2],
            duration: None,
            ended: false,
        };
        if pictures.elements.pipeline.set_state(gst::State::Playing).is_err() {
            let said = pictures.listen().1;
            return Err(said.unwrap_or_else(|| Problem::Unreachable("it does not start".into())));
        }
        Ok(pictures)
    }

    fn pull(&mut self) -> Option<Result<Picture, Problem>> {
        let (mut last_sign, mut skipped) = (Instant::now(), 0);
        loop {
            if self.stop.is_set() {
                return None;
            }
            if let Some(sample) = self.elements.sink.try_pull_sample(SLICE) {
                return Some(self.picture(&sample));
            }
            let (spoke, problem) = self.listen();
            if let Some(problem) = problem {
                return Some(Err(problem));
            }
            if self.elements.sink.is_eos() {
                return self.wrong_end().map(Err);
            }
            let limit = self.limit();
            let before = mem::replace(&mut skipped, self.elements.prefixes.skipped());
            let talks = spoke && matches!(self.patience, Patience::Archive);
            if talks || skipped > before {
                last_sign = Instant::now();
            } else if last_sign.elapsed() > limit {
                let seconds = limit.as_secs_f64();
                let started = self.recent[1].is_some();
                return Some(Err(if started || matches!(self.patience, Patience::Archive) {
                    Problem::Stalled(seconds)
                } else {
                    Problem::Silent(seconds)
                }));
            }
        }
    }

    /// How long the next frame may take.
    fn limit(&self) -> Duration {
        match self.patience {
            Patience::Archive => STALL,
            Patience::Live { stall, .. } if self.recent[1].is_some() => stall,
            Patience::Live { connect, .. } => connect,
        }
    }

    /// Empties the bus: whether there was a message, and the problem that ends the pipeline.
    fn listen(&mut self) -> (bool, Option<Problem>) {
        let (mut spoke, started) = (false, self.recent[1].is_some());
        while let Some(message) = self.bus.pop() {
            spoke = true;
            if let Some(problem) = self.heard.take(&message, &self.address, started) {
                return (spoke, Some(problem));
            }
        }
        (spoke, None)
    }

    fn picture(&mut self, sample: &gst::Sample) -> Result<Picture, Problem> {
        let buffer = sample.buffer_owned().ok_or_else(|| unusable("a sample without a frame"))?;
        let (info, changed) = self.info(sample)?;
        let time = stream_time(sample, &buffer)
            .ok_or_else(|| unusable("frames have no time stamps: put them into a container"))?;
        let is_first = self.recent[1].is_none();
        if is_first {
            let duration = self.elements.pipeline.query_duration::<gst::ClockTime>();
            self.duration = duration.map(gst::ClockTime::seconds_f64);
        }
        self.recent = [self.recent[1], Some(time)];
        let lost = buffer.flags().contains(gst::BufferFlags::DISCONT);
        let discontinuity = !is_first && (lost || changed);
        let captured = match self.patience {
            Patience::Archive => None,
            Patience::Live { .. } => Some(captured(&buffer)),
        };
        let begins = self.elements.prefixes.shown(buffer.pts());
        let image = Image::Decoded(Decoded { buffer, info });
        Ok(Picture { time, discontinuity, captured, begins, image })
    }

    /// The format of a sample, and whether it differs from that of the one before.
    fn info(&mut self, sample: &gst::Sample) -> Result<(gst_video::VideoInfo, bool), Problem> {
        let caps = sample.caps().ok_or_else(|| unusable("a frame without a format"))?;
        if let Some((known, info)) = &self.format
            && known.as_ref() == caps
        {
            return Ok((info.clone(), false));
        }
        let info = gst_video::VideoInfo::from_caps(caps);
        let info = info.map_err(|it| unusable(&it.to_string()))?;
        let changed = self.format.replace((caps.to_owned(), info.clone())).is_some();
        Ok((info, changed))
    }

    /// What is wrong when the end is reached now.
    fn wrong_end(&self) -> Option<Problem> {
        let [before, last] = self.recent;
        let Some(last) = last else { return Some(Problem::NoFrames) };
        // The end of something live means that it went away; a playlist that states its length
        // was never live.
        let is_live = matches!(self.patience, Patience::Live { .. });
        let Some(duration) = self.duration else { return is_live.then_some(Problem::WentAway) };
        let end = last + before.map_or(0.0, |it| last - it) + self.elements.prefixes.unshown();
        let allowed = (0.02 * duration).max(0.5);
        (end < duration - allowed).then_some(Problem::Truncated { end, duration })
    }
}

impl Iterator for UriPictures {
    type Item = Result<Picture, Problem>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.pull();
        self.ended = !matches!(next, Some(Ok(_)));
        next
    }
}

impl Drop for UriPictures {
    fn drop(&mut self) {
        bring_down(&self.elements.pipeline, &self.tally);
    }
}

impl Patience {
    fn of(opening: &Opening) -> Self {
        if !opening.stream.is_live() {
            return Self::Archive;
        }
        let seconds = |it| Duration::try_from_secs_f64(it).unwrap_or(Duration::MAX);
        let retry = opening.stream.retry;
        Self::Live { connect: seconds(retry.connect), stall: seconds(retry.stall) }
    }
}

/// When a frame was captured: as the camera's sender reports (RFC 3550, 6.4.1) tell it, once the
/// first has come, and when it came to this machine until then.
fn captured(buffer: &gst::Buffer) -> Captured {
    let reported = buffer.meta::<gst::ReferenceTimestampMeta>();
    let reported = reported
        .filter(|it| it.reference().structure(0).is_some_and(|it| it.name() == "timestamp/x-ntp"));
    let since_1970 = reported
        .and_then(|it| Duration::from_nanos(it.timestamp().nseconds()).checked_sub(NTP_TO_UNIX));
    match since_1970 {
        Some(it) => Captured { time: UNIX_EPOCH + it, by: Clock::Camera },
        None => Captured { time: SystemTime::now(), by: Clock::Arrival },
    }
}

fn stream_time(sample: &gst::Sample, buffer: &gst::Buffer) -> Option<f64> {
    let segment = sample.segment()?.downcast_ref::<gst::ClockTime>()?;
    match segment.to_stream_time_full(buffer.pts()?)? {
        gst::Signed::Positive(it) => Some(it.seconds_f64()),
        gst::Signed::Negative(it) => Some(-it.seconds_f64()),
    }
}

fn unusable(message: &str) -> Problem {
    Problem::Decode { element: "appsink".into(), message: message.into() }
}
