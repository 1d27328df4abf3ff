//! Looks at what a stream would read, without training on it.

use std::{sync::Arc, time::Duration};

use gstreamer as gst;
use gstreamer_pbutils::{self as gst_pbutils, prelude::*};

use super::{Item, Opening, files, init, location, open};
use crate::{
    ClipConfig, Problem, Result, SourceConfig, StreamConfig, config::Revealed, stop::stop,
};

/// What one file or URI holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The file or URI, without credentials.
    pub item: String,
    /// Name of the video codec, as in "H.264 (High Profile)".
    pub codec: String,
    /// Width in pixels, as stored: before rotation. 0 for a source that is drawn at any size.
    pub width: u32,
    /// Height in pixels, as stored: before rotation. 0 for a source that is drawn at any size.
    pub height: u32,
    /// Frames a second as the file states them, which it does not always do truly.
    pub fps: Option<f64>,
    /// How long it plays; live sources do not say.
    pub duration: Option<Duration>,
    /// Degrees that pictures are turned clockwise to be shown upright: 0, 90, 180 or 270.
    pub rotation: u32,
    /// Pictures are mirrored left to right before they are turned.
    pub mirrored: bool,
    /// It plays at its own pace and cannot be read again.
    pub live: bool,
}

/// Opens every file or URI of a stream once, as far as its first frame.
///
/// One entry a file or URI, each waiting at most `timeout` (1 s or more).
///
/// # Errors
/// An entry is the error that training would fail with: nothing there, not a video, a decoder
/// that is missing, a host that does not answer.
pub fn probe(config: &StreamConfig, timeout: Duration) -> Vec<Result<Found>> {
    match files::items(&config.source) {
        Ok(items) => items.iter().map(|it| look(config, it, timeout)).collect(),
        Err(problem) => vec![Err(problem.of(&config.name, &config.source.label()))],
    }
}

/// The files and URIs of a stream, in order, as [`ClipInfo::item`](crate::ClipInfo::item) names
/// them.
///
/// # Errors
/// The error that training would fail with: nothing there, or a pattern that matches no file.
pub fn items(config: &StreamConfig) -> Result<Vec<Arc<str>>> {
    let items = files::items(&config.source);
    let items = items.map_err(|it| it.of(&config.name, &config.source.label()))?;
    Ok(items.iter().map(Item::label).collect())
}

fn look(config: &StreamConfig, item: &Item, timeout: Duration) -> Result<Found> {
    let label = item.label();
    match &config.source {
        SourceConfig::Synthetic(it) => return Ok(drawn(&label, it.fps, it.duration())),
        SourceConfig::MovingDigits(it) => {
            it.open().map_err(|it| it.of(&config.name, &label))?;
            return Ok(drawn(&label, it.fps, it.duration()));
        }
        SourceConfig::Files(_) | SourceConfig::Uri(_) => {}
    }
    let located = location(item);
    let address = located.map_err(|it| it.of(&config.name, &label))?;
    match discover(&address, timeout) {
        Ok(info) => found(&label, &info).map_err(|it| it.of(&config.name, &label)),
        // Training's own pipeline says more about a failure, as which decoder is missing.
        Err(problem) => {
            Err(first_problem(config, item).unwrap_or(problem).of(&config.name, &label))
        }
    }
}

fn drawn(label: &str, fps: f64, seconds: f64) -> Found {
    Found {
        item: label.into(),
        codec: "drawn".into(),
        width: 0,
        height: 0,
        fps: Some(fps),
        duration: Duration::try_from_secs_f64(seconds).ok(),
        rotation: 0,
        mirrored: false,
        live: false,
    }
}

fn discover(address: &Revealed, timeout: Duration) -> Result<gst_pbutils::DiscovererInfo, Problem> {
    init()?;
    let timeout = timeout.clamp(Duration::from_secs(1), Duration::from_secs(3600));
    let timeout = gst::ClockTime::from_nseconds(timeout.as_nanos() as u64);
    let discoverer = gst_pbutils::Discoverer::new(timeout);
    let discoverer = discoverer.map_err(|it| Problem::GStreamer(it.to_string()))?;
    let info = discoverer.discover_uri(address.as_str());
    let info = info.map_err(|it| Problem::Unreachable(address.redact(it.message())))?;
    match info.result() {
        gst_pbutils::DiscovererResult::Ok => Ok(info),
        gst_pbutils::DiscovererResult::Timeout => {
            Err(Problem::Unreachable(format!("no answer in {:.0} s", timeout.seconds_f64())))
        }
        other => Err(Problem::Unreachable(format!("{other:?}"))),
    }
}

/// What ends the training pipeline before its first frame.
fn first_problem(config: &StreamConfig, item: &Item) -> Option<Problem> {
    let (_stopper, stop) = stop();
    let clip = ClipConfig::new(2, 1.0);
    let opening =
        Opening { stream: Arc::new(config.clone()), clip, stop, tally: Arc::default(), door: None };
    match open(item, &opening) {
        Ok(mut pictures) => pictures.next()?.err(),
        Err(problem) => Some(problem),
    }
}

fn found(label: &str, info: &gst_pbutils::DiscovererInfo) -> Result<Found, Problem> {
    let videos = info.video_streams();
    let video = videos.first().ok_or(Problem::NoVideo)?;
    let codec = video.caps().map(|it| gst_pbutils::pb_utils_get_codec_description(&it));
    let rate = video.framerate();
    let tag = video.tags();
    let tag = tag.as_ref().and_then(|it| it.get::<gst::tags::ImageOrientation>());
    let orientation = tag.map(|it| it.get().to_owned()).unwrap_or_default();
    let degrees = orientation.rsplit('-').next().and_then(|it| it.parse().ok());
    Ok(Found {
        item: label.into(),
        codec: codec.map_or_else(|| "unknown".into(), String::from),
        width: video.width(),
        height: video.height(),
        fps: (rate.numer() > 0).then(|| f64::from(rate.numer()) / f64::from(rate.denom())),
        duration: info.duration().map(Duration::from),
        rotation: degrees.unwrap_or(0),
        mirrored: orientation.starts_with("flip"),
        live: info.is_live(),
    })
}
