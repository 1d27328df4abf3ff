//! Makes small media files with GStreamer itself, and reads them.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use gstreamer::{self as gst, prelude::*};
use pipeline::{
    Batch, BatchConfig, ClipConfig, Config, SourceConfig, StreamConfig, StreamReport, start,
};

/// Runs a pipeline to its end; `path` replaces `OUT`.
pub(crate) fn make(launch: &str, path: &Path) -> PathBuf {
    make_with(launch, path, |_| {})
}

/// The same, after `prepare` has changed the pipeline.
pub(crate) fn make_with(
    launch: &str,
    path: &Path,
    prepare: impl FnOnce(&gst::Pipeline),
) -> PathBuf {
    gst::init().unwrap();
    let launch = launch.replace("OUT", &format!("filesink location=\"{}\"", path.display()));
    let pipeline = gst::parse::launch(&launch).unwrap().downcast::<gst::Pipeline>().unwrap();
    prepare(&pipeline);
    pipeline.set_state(gst::State::Playing).unwrap();
    let end = [gst::MessageType::Eos, gst::MessageType::Error];
    let message = pipeline.bus().unwrap().timed_pop_filtered(gst::ClockTime::NONE, &end).unwrap();
    pipeline.set_state(gst::State::Null).unwrap();
    assert_eq!(message.type_(), gst::MessageType::Eos, "{launch}: {message:?}");
    path.into()
}

/// Calls `change` with the element named `it` and the number of the frame that it gets next.
pub(crate) fn at_each_frame(
    pipeline: &gst::Pipeline,
    pad: &str,
    change: impl Fn(&gst::Element, u64) + Send + Sync + 'static,
) {
    let element = pipeline.by_name("it").unwrap();
    let (number, weak) = (AtomicU64::new(0), element.downgrade());
    element.static_pad(pad).unwrap().add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        change(&weak.upgrade().unwrap(), number.fetch_add(1, Ordering::Relaxed));
        gst::PadProbeReturn::Ok
    });
}

/// H.264 at 25 frames per second.
pub(crate) fn h264(frames: usize, [width, height]: [usize; 2], pattern: &str) -> String {
    format!(
        "videotestsrc num-buffers={frames} pattern={pattern} ! \
         video/x-raw,format=I420,width={width},height={height},framerate=25/1 ! \
         x264enc speed-preset=ultrafast tune=zerolatency key-int-max=10 ! h264parse"
    )
}

/// An mp4 file of a moving ball at 25 frames per second, with its index in front.
pub(crate) fn ball(folder: &Path, name: &str, frames: usize) -> PathBuf {
    let launch = format!("{} ! mp4mux faststart=true ! OUT", h264(frames, [96, 64], "ball"));
    make(&launch, &folder.join(name))
}

/// A real clip of the repository.
pub(crate) fn real(name: &str) -> String {
    format!("{}/../tests/media/{name}", env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn files(name: &str, path: impl AsRef<Path>) -> StreamConfig {
    let path = path.as_ref().to_str().unwrap().to_owned();
    stream(name, SourceConfig::Files(path))
}

pub(crate) fn stream(name: &str, source: SourceConfig) -> StreamConfig {
    StreamConfig::new(name, source)
}

/// Clips of 2 frames, 0.2 s apart, back to back, one per batch, not mixed.
pub(crate) fn config(stream: Vec<StreamConfig>) -> Config {
    Config::new([32, 32], ClipConfig::new(2, 0.2), BatchConfig::new(1, 1), stream)
}

/// Trains on up to `most` batches and stops. Every frame must have an outcome.
pub(crate) fn train(config: &Config, seed: u64, most: usize) -> (Vec<Batch>, Vec<StreamReport>) {
    let mut ingest = start(config, seed).unwrap();
    let mut batches = Vec::new();
    while batches.len() < most {
        let Ok(batch) = ingest.batches().recv() else { break };
        ingest.trained(&batch);
        batches.push(batch);
    }
    let reports = ingest.finish();
    for report in &reports {
        assert!(report.is_balanced(), "{report:?}");
    }
    (batches, reports)
}
