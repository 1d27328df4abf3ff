//! Pulls frames out of a running pipeline.

use std::{
    mem,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use gstreamer::{self as gst, prelude::*};
use gstreamer_video as gst_video;

use super::{
    bus::BusListener,
    frame::DecodedFrame,
    pipeline::{self, DecodePipeline},
    teardown::shut_down,
};
use crate::{
    CaptureTime, Clock, Problem,
    config::Revealed,
    source::{SideCounters, SourceContext, SourceFrame},
    stop::Stop,
};

/// How often a pull looks at the bus and at the stop signal.
const POLL_INTERVAL: gst::ClockTime = gst::ClockTime::from_mseconds(50);

/// An archive fails when neither a frame nor a message came for this long.
const ARCHIVE_TIMEOUT: Duration = Duration::from_secs(15);

/// From the epoch of NTP, 1900, to that of Unix, 1970.
const NTP_TO_UNIX: Duration = Duration::from_secs(2_208_988_800);

/// What counts as a sign of life, and how long there may be none.
#[derive(Clone, Copy, Debug)]
enum FrameTimeout {
    /// Frames and messages: an archive may be slow as long as something happens.
    Archive,
    /// Frames alone: a frozen camera still sends messages.
    Live { connect: Duration, stall: Duration },
}

/// Frames of one pipeline, which stops when this is dropped.
#[derive(Debug)]
pub(crate) struct FrameReader {
    address: Revealed,
    stop: Stop,
    timeout: FrameTimeout,
    side_counters: Arc<SideCounters>,
    elements: DecodePipeline,
    bus: gst::Bus,
    bus_listener: BusListener,
    format: Option<(gst::Caps, gst_video::VideoInfo)>,
    /// Stream times of the last two frames, in seconds.
    recent: [Option<f64>; 2],
    /// Duration stated by the file, in seconds.
    duration: Option<f64>,
    ended: bool,
}

impl FrameReader {
    pub(crate) fn open(address: Revealed, context: &SourceContext) -> Result<Self, Problem> {
        let elements = pipeline::build(address.as_str(), context)?;
        let no_bus = || Problem::GStreamer("the pipeline has no bus".into());
        let mut reader = Self {
            address,
            stop: context.stop.clone(),
            timeout: FrameTimeout::of(context),
            side_counters: context.side_counters.clone(),
            bus: elements.pipeline.bus().ok_or_else(no_bus)?,
            elements,
            bus_listener: BusListener::default(),
            format: None,
            recent: [None; 2],
            duration: None,
            ended: false,
        };
        if reader.elements.pipeline.set_state(gst::State::Playing).is_err() {
            let problem = reader.listen().1;
            return Err(problem
                .unwrap_or_else(|| Problem::Unreachable("the pipeline does not start".into())));
        }
        Ok(reader)
    }

    fn pull(&mut self) -> Option<Result<SourceFrame, Problem>> {
        let (mut last_life, mut skipped) = (Instant::now(), 0);
        loop {
            if self.stop.is_set() {
                return None;
            }
            if let Some(sample) = self.elements.sink.try_pull_sample(POLL_INTERVAL) {
                return Some(self.frame(&sample));
            }
            let (any, problem) = self.listen();
            if let Some(problem) = problem {
                return Some(Err(problem));
            }
            if self.elements.sink.is_eos() {
                return self.problem_at_end().map(Err);
            }
            let limit = self.limit();
            let before = mem::replace(&mut skipped, self.elements.gop_filter.skipped());
            let responds = any && matches!(self.timeout, FrameTimeout::Archive);
            if responds || skipped > before {
                last_life = Instant::now();
            } else if last_life.elapsed() > limit {
                let seconds = limit.as_secs_f64();
                let started = self.recent[1].is_some();
                return Some(Err(if started || matches!(self.timeout, FrameTimeout::Archive) {
                    Problem::Stalled(seconds)
                } else {
                    Problem::NoFirstFrame(seconds)
                }));
            }
        }
    }

    /// How long the next frame may take.
    fn limit(&self) -> Duration {
        match self.timeout {
            FrameTimeout::Archive => ARCHIVE_TIMEOUT,
            FrameTimeout::Live { stall, .. } if self.recent[1].is_some() => stall,
            FrameTimeout::Live { connect, .. } => connect,
        }
    }

    /// Empties the bus. Returns whether there was a message, and the problem that ends the
    /// pipeline.
    fn listen(&mut self) -> (bool, Option<Problem>) {
        let (mut any, started) = (false, self.recent[1].is_some());
        while let Some(message) = self.bus.pop() {
            any = true;
            if let Some(problem) = self.bus_listener.take(&message, &self.address, started) {
                return (any, Some(problem));
            }
        }
        (any, None)
    }

    fn frame(&mut self, sample: &gst::Sample) -> Result<SourceFrame, Problem> {
        let buffer = sample.buffer_owned().ok_or_else(|| unusable("a sample holds no frame"))?;
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
        let captured = match self.timeout {
            FrameTimeout::Archive => None,
            FrameTimeout::Live { .. } => Some(captured(&buffer)),
        };
        let run_start = self.elements.gop_filter.decoded(buffer.pts());
        let image = Box::new(DecodedFrame { buffer, info });
        Ok(SourceFrame { time, discontinuity, captured, run_start, image })
    }

    /// The format of a sample, and whether it differs from that of the sample before.
    fn info(&mut self, sample: &gst::Sample) -> Result<(gst_video::VideoInfo, bool), Problem> {
        let caps = sample.caps().ok_or_else(|| unusable("a frame has no format"))?;
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

    /// The problem, if any, when the stream ends now.
    fn problem_at_end(&self) -> Option<Problem> {
        let [before, last] = self.recent;
        let Some(last) = last else { return Some(Problem::NoFrames) };
        // A live stream that ends has gone away. A playlist that states its length was never live.
        let is_live = matches!(self.timeout, FrameTimeout::Live { .. });
        let Some(duration) = self.duration else { return is_live.then_some(Problem::Disconnected) };
        let end =
            last + before.map_or(0.0, |it| last - it) + self.elements.gop_filter.skipped_tail();
        let allowed = (0.02 * duration).max(0.5);
        (end < duration - allowed).then_some(Problem::Truncated { end, duration })
    }
}

impl Iterator for FrameReader {
    type Item = Result<SourceFrame, Problem>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.pull();
        self.ended = !matches!(next, Some(Ok(_)));
        next
    }
}

impl Drop for FrameReader {
    fn drop(&mut self) {
        shut_down(&self.elements.pipeline, &self.side_counters);
    }
}

impl FrameTimeout {
    fn of(context: &SourceContext) -> Self {
        if !context.stream.is_live() {
            return Self::Archive;
        }
        let seconds = |it| Duration::try_from_secs_f64(it).unwrap_or(Duration::MAX);
        let retry = context.stream.retry;
        Self::Live { connect: seconds(retry.connect_timeout), stall: seconds(retry.stall_timeout) }
    }
}

/// When a frame was captured: by the camera's clock once its first sender report has come (RFC
/// 3550, 6.4.1), until then by this machine's clock on arrival.
fn captured(buffer: &gst::Buffer) -> CaptureTime {
    let reported = buffer.meta::<gst::ReferenceTimestampMeta>();
    let reported = reported
        .filter(|it| it.reference().structure(0).is_some_and(|it| it.name() == "timestamp/x-ntp"));
    let since_1970 = reported
        .and_then(|it| Duration::from_nanos(it.timestamp().nseconds()).checked_sub(NTP_TO_UNIX));
    match since_1970 {
        Some(it) => CaptureTime { time: UNIX_EPOCH + it, clock: Clock::Camera },
        None => CaptureTime { time: SystemTime::now(), clock: Clock::Arrival },
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
