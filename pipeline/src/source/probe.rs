//! Looks at a source without training on it.

use std::{sync::Arc, time::Duration};

use gstreamer as gst;
use gstreamer_pbutils::{self as gst_pbutils, prelude::*};

use super::{Item, SourceContext, files, init, open};
use crate::{
    ClipConfig, Problem, Result, SourceConfig, StreamConfig, config::Revealed, stop::stop,
};

/// What one file or URI holds.
#[derive(Clone, Debug, PartialEq)]
pub struct MediaInfo {
    /// The file or URI, without credentials.
    pub item: String,
    /// Name of the video codec, as in "H.264 (High Profile)".
    pub codec: String,
    /// Width in pixels, as stored: before rotation. 0 for a source that is drawn at any size.
    pub width: u32,
    /// Height in pixels, as stored: before rotation. 0 for a source that is drawn at any size.
    pub height: u32,
    /// Frames per second as the file states them, which may be wrong.
    pub fps: Option<f64>,
    /// How long it plays; unknown for live sources.
    pub duration: Option<Duration>,
    /// Degrees by which frames are turned clockwise for display: 0, 90, 180 or 270.
    pub rotation: u32,
    /// Frames are mirrored left to right before they are turned.
    pub mirrored: bool,
    /// It plays at its own pace and cannot be read again.
    pub live: bool,
}

/// Opens every file or URI of a stream once, as far as its first frame.
///
/// Returns one entry per file or URI. Each waits at most `timeout`, at least 1 s.
///
/// # Errors
/// An entry is the error that training would fail with: no such file, not a video, a missing decoder, a host that does not answer.
pub fn probe(config: &StreamConfig, timeout: Duration) -> Vec<Result<MediaInfo>> {
    match files::list_items(&config.source) {
        Ok(items) => items.iter().map(|it| probe_item(config, it, timeout)).collect(),
        Err(problem) => vec![Err(problem.of(&config.name, &config.source.label()))],
    }
}

/// The files and URIs of a stream, in order, named as in [`ClipInfo::item`](crate::ClipInfo::item).
///
/// # Errors
/// The error that training would fail with: no such file, or a pattern that matches none.
pub fn items(config: &StreamConfig) -> Result<Vec<Arc<str>>> {
    let items = files::list_items(&config.source);
    let items = items.map_err(|it| it.of(&config.name, &config.source.label()))?;
    Ok(items.iter().map(Item::label).collect())
}

fn probe_item(config: &StreamConfig, item: &Item, timeout: Duration) -> Result<MediaInfo> {
    let label = item.label();
    match &config.source {
        SourceConfig::Synthetic(it) => return Ok(drawn(&label, it.fps, it.duration())),
        SourceConfig::MovingDigits(it) => {
            it.open().map_err(|it| it.of(&config.name, &label))?;
            return Ok(drawn(&label, it.fps, it.duration()));
        }
        SourceConfig::Files(_) | SourceConfig::Uri(_) => {}
    }
    let address = item.resolve().map_err(|it| it.of(&config.name, &label))?;
    match discover(&address, timeout) {
        Ok(info) => media_info(&label, &info).map_err(|it| it.of(&config.name, &label)),
        // The training pipeline's message is more precise, for example about a missing decoder.
        Err(problem) => {
            Err(first_problem(config, item).unwrap_or(problem).of(&config.name, &label))
        }
    }
}

fn drawn(label: &str, fps: f64, seconds: f64) -> MediaInfo {
    MediaInfo {
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

/// The problem that ends the training pipeline before its first frame.
fn first_problem(config: &StreamConfig, item: &Item) -> Option<Problem> {
    let (_stopper, stop) = stop();
    let clip = ClipConfig::new(2, 1.0);
    let context = SourceContext {
        stream: Arc::new(config.clone()),
        clip,
        stop,
        side_counters: Arc::default(),
    };
    match open(item, &context) {
        Ok(mut frames) => frames.next()?.err(),
        Err(problem) => Some(problem),
    }
}

fn media_info(label: &str, info: &gst_pbutils::DiscovererInfo) -> Result<MediaInfo, Problem> {
    let videos = info.video_streams();
    let video = videos.first().ok_or(Problem::NoVideo)?;
    let codec = video.caps().map(|it| gst_pbutils::pb_utils_get_codec_description(&it));
    let rate = video.framerate();
    let tag = video.tags();
    let tag = tag.as_ref().and_then(|it| it.get::<gst::tags::ImageOrientation>());
    let orientation = tag.map(|it| it.get().to_owned()).unwrap_or_default();
    let degrees = orientation.rsplit('-').next().and_then(|it| it.parse().ok());
    Ok(MediaInfo {
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
