//! Elementary streams of real frames: up to a minute of a street at 25 frames per second.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use gstreamer::{self as gst, prelude::*};

/// Frames per second of all media.
pub const FPS: u32 = 25;

/// H.264 of this `[width, height]` with an IDR frame, and a closed group of pictures, every
/// `key_interval` frames; no B-frames. The file is made once and kept in `folder`.
///
/// # Panics
///
/// When GStreamer cannot make it.
pub fn h264(folder: &Path, size: [u32; 2], seconds: u32, key_interval: u32) -> PathBuf {
    let encoder = format!(
        "x264enc threads=1 speed-preset=ultrafast tune=zerolatency bitrate=1500 bframes=0 \
         key-int-max={key_interval} option-string=scenecut=0:open-gop=0:keyint-min={key_interval}"
    );
    made(folder, "h264", &encoder, size, seconds, key_interval)
}

/// The same as [`h264`] in H.265.
///
/// # Panics
///
/// When GStreamer cannot make it.
pub fn h265(folder: &Path, size: [u32; 2], seconds: u32, key_interval: u32) -> PathBuf {
    let encoder = format!(
        "x265enc speed-preset=ultrafast tune=zerolatency bitrate=1500 key-int-max={key_interval} \
         option-string=bframes=0:scenecut=0:open-gop=0:min-keyint={key_interval}"
    );
    made(folder, "h265", &encoder, size, seconds, key_interval)
}

fn made(
    folder: &Path,
    codec: &str,
    encoder: &str,
    [width, height]: [u32; 2],
    seconds: u32,
    key_interval: u32,
) -> PathBuf {
    let path = folder.join(format!("street-{width}x{height}-{seconds}s-{key_interval}.{codec}"));
    if path.exists() {
        return path;
    }
    assert!((1..=60).contains(&seconds), "the street is a minute long, not {seconds} s");
    fs::create_dir_all(folder).expect("a folder for media");
    // Tests that need the same file at the same time each make it, and the last one stays.
    let unfinished = tempfile::NamedTempFile::new_in(folder).expect("a file for media");
    let frames = seconds * FPS;
    encode(
        &format!(
            "filesrc name=street ! qtdemux ! h264parse ! avdec_h264 ! videoconvert \
             ! videoscale add-borders=false ! videorate \
             ! video/x-raw,format=I420,width={width},height={height},framerate={FPS}/1,\
               pixel-aspect-ratio=1/1 \
             ! identity name=cut eos-after={frames} ! {encoder} ! {codec}parse config-interval=-1 \
             ! video/x-{codec},stream-format=byte-stream,alignment=au ! filesink name=file"
        ),
        unfinished.path(),
        frames,
    );
    unfinished.persist(&path).expect("a file for media");
    path
}

/// Runs a pipeline that encodes this many frames to a file.
fn encode(launch: &str, to: &Path, frames: u32) {
    gst::init().expect("GStreamer");
    let pipeline = gst::parse::launch(launch).expect("elements of GStreamer");
    let pipeline = pipeline.downcast::<gst::Pipeline>().expect("a pipeline");
    let street = Path::new(env!("CARGO_MANIFEST_DIR")).join("../media/street.mp4");
    for (element, location) in [("street", street.as_path()), ("file", to)] {
        let element = pipeline.by_name(element).expect("an element with a location");
        element.set_property("location", location);
    }
    // When `identity` ends the stream, the decoder still holds frames, which it would pass on.
    let cut = pipeline.by_name("cut").and_then(|it| it.static_pad("src")).expect("a cut");
    let passed = AtomicU32::new(0);
    cut.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        if passed.fetch_add(1, Ordering::Relaxed) < frames {
            gst::PadProbeReturn::Ok
        } else {
            gst::PadProbeReturn::Handled
        }
    });
    let bus = pipeline.bus().expect("a bus");
    pipeline.set_state(gst::State::Playing).expect("a pipeline that starts");
    let ends = [gst::MessageType::Eos, gst::MessageType::Error];
    let end = bus.timed_pop_filtered(gst::ClockTime::from_seconds(120), &ends);
    let stopped = pipeline.set_state(gst::State::Null);
    match end.as_ref().map(|it| it.view()) {
        Some(gst::MessageView::Eos(_)) => {}
        Some(gst::MessageView::Error(it)) => panic!("{}: {:?}", it.error(), it.debug()),
        _ => panic!("no media after two minutes"),
    }
    stopped.expect("a pipeline that stops");
}
