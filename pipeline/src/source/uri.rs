//! Frames of anything that GStreamer plays: files, RTSP, HLS.

use std::{
    path,
    time::{Duration, Instant},
};

use gstreamer::{self as gst, prelude::*};
use gstreamer_video as gst_video;

use super::{
    Decoded, Item, Opening,
    elements::{self, Elements},
    items::inspect,
    messages::Heard,
};
use crate::{
    Problem,
    picture::{Image, Picture},
    stop::Stop,
};

/// How long a pull waits before it looks at the bus and at the stop signal.
const SLICE: gst::ClockTime = gst::ClockTime::from_mseconds(50);

/// How long neither a frame nor a message may come.
const STALL: Duration = Duration::from_secs(15);

/// Pulls frames out of a running pipeline, and stops it when dropped.
#[derive(Debug)]
pub(super) struct UriPictures {
    uri: String,
    stop: Stop,
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
pub(crate) fn location(item: &Item) -> Result<String, Problem> {
    match item {
        Item::File(path) => {
            inspect(path)?;
            let path = path::absolute(path).map_err(Problem::Unreadable)?;
            let uri = gst::glib::filename_to_uri(path, None);
            uri.map(String::from).map_err(|it| Problem::Unreachable(it.to_string()))
        }
        Item::Uri(uri) => Ok(uri.clone()),
        Item::Synthetic(_) | Item::MovingDigits(_) => Err(Problem::NotFound),
    }
}

impl UriPictures {
    pub(super) fn open(uri: &str, opening: &Opening) -> Result<Self, Problem> {
        let elements = elements::build(uri, opening)?;
        let no_bus = || Problem::GStreamer("a pipeline without a bus".into());
        let mut pictures = Self {
            uri: uri.into(),
            stop: opening.stop.clone(),
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
        let mut last_sign = Instant::now();
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
            if spoke {
                last_sign = Instant::now();
            } else if last_sign.elapsed() > STALL {
                return Some(Err(Problem::Stalled(STALL.as_secs())));
            }
        }
    }

    /// Empties the bus: whether there was a message, and the problem that ends the pipeline.
    fn listen(&mut self) -> (bool, Option<Problem>) {
        let (mut spoke, started) = (false, self.recent[1].is_some());
        while let Some(message) = self.bus.pop() {
            spoke = true;
            if let Some(problem) = self.heard.take(&message, &self.uri, started) {
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
        Ok(Picture { time, discontinuity, image: Image::Decoded(Decoded { buffer, info }) })
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
        let duration = self.duration?;
        let end = last + before.map_or(0.0, |it| last - it);
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
        // This is the stream's own thread, never one of GStreamer's: those would wait for
        // themselves here.
        if self.elements.pipeline.set_state(gst::State::Null).is_err() {
            tracing::warn!("a GStreamer pipeline did not stop cleanly");
        }
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
