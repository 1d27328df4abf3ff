//! The GStreamer pipeline, built element by element: a URI is user input and has no place in
//! a launch string.
//!
//! ```text
//! uridecodebin3 (video only) ─▶ videoconvert ─▶ videoflip (by metadata) ─▶ appsink (I420)
//! ```

use std::sync::LazyLock;

use gstreamer::{self as gst, prelude::*};
use gstreamer_app::AppSink;
use gstreamer_video as gst_video;

use crate::Problem;

/// A pipeline that was not started, and where its frames come out.
#[derive(Debug)]
pub(super) struct Elements {
    pub(super) pipeline: gst::Pipeline,
    pub(super) sink: AppSink,
}

/// Initialises GStreamer once.
pub(crate) fn init() -> Result<(), Problem> {
    static INIT: LazyLock<Result<(), String>> =
        LazyLock::new(|| gst::init().map_err(|it| it.to_string()));
    INIT.clone().map_err(Problem::GStreamer)
}

pub(super) fn build(uri: &str) -> Result<Elements, Problem> {
    init()?;
    let pipeline = gst::Pipeline::new();
    let decode = make("uridecodebin3")?;
    decode.set_property("uri", uri);
    let convert = make("videoconvert")?;
    let flip = make("videoflip")?;
    flip.set_property_from_str("video-direction", "auto");
    let sink = sink();
    let failed = |it: gst::glib::BoolError| Problem::GStreamer(it.to_string());
    pipeline.add_many([&decode, &convert, &flip, sink.upcast_ref()]).map_err(failed)?;
    gst::Element::link_many([&convert, &flip, sink.upcast_ref()]).map_err(failed)?;
    select_video(&decode);
    link_to(&decode, &convert);
    one_thread(&pipeline);
    over_tcp(&decode);
    Ok(Elements { pipeline, sink })
}

fn make(factory: &str) -> Result<gst::Element, Problem> {
    gst::ElementFactory::make(factory).build().map_err(|it| Problem::GStreamer(it.to_string()))
}

fn sink() -> AppSink {
    let caps = gst_video::VideoCapsBuilder::new().format(gst_video::VideoFormat::I420).build();
    let sink = AppSink::builder()
        .caps(&caps)
        .sync(false)
        // Unlimited by default; a full sink makes the decoder wait.
        .max_buffers(2)
        .enable_last_sample(false)
        .build();
    // Without an answer that padded rows are welcome, the decoder copies every frame.
    if let Some(pad) = sink.static_pad("sink") {
        pad.add_probe(gst::PadProbeType::QUERY_DOWNSTREAM, |_, info| {
            if let Some(query) = info.query_mut()
                && let gst::QueryViewMut::Allocation(allocation) = query.view_mut()
            {
                allocation.add_allocation_meta::<gst_video::VideoMeta>(None);
                return gst::PadProbeReturn::Handled;
            }
            gst::PadProbeReturn::Ok
        });
    }
    sink
}

/// Selects the first video stream, so that sound and subtitles are not decoded.
fn select_video(decode: &gst::Element) {
    decode.connect("select-stream", false, |values| {
        let collection = values.get(1)?.get::<gst::StreamCollection>().ok()?;
        let stream = values.get(2)?.get::<gst::Stream>().ok()?;
        let mut videos = collection.iter().filter(is_video);
        let first = videos.next().and_then(|it| it.stream_id());
        Some(i32::from(is_video(&stream) && stream.stream_id() == first).to_value())
    });
}

pub(super) fn is_video(stream: &gst::Stream) -> bool {
    stream.stream_type().contains(gst::StreamType::VIDEO)
}

fn link_to(decode: &gst::Element, convert: &gst::Element) {
    let convert = convert.downgrade();
    decode.connect_pad_added(move |_, pad| {
        let target = convert.upgrade().and_then(|it| it.static_pad("sink"));
        if let Some(target) = target
            && !target.is_linked()
            && pad.name().starts_with("video")
        {
            // A pad that does not fit stays unlinked, and its decoder says so on the bus.
            let _ = pad.link(&target);
        }
    });
}

/// Gives each decoder one thread: there are as many streams as the machine can take, and each
/// further thread of a decoder holds further surfaces.
fn one_thread(pipeline: &gst::Pipeline) {
    pipeline.connect_deep_element_added(|_, _, element| {
        let libav = element.factory().is_some_and(|it| it.name().starts_with("avdec_"));
        if libav && element.find_property("max-threads").is_some() {
            element.set_property_from_str("max-threads", "1");
        }
    });
}

/// Reads cameras over TCP: a datagram that is lost gives a damaged picture without a message.
fn over_tcp(decode: &gst::Element) {
    decode.connect("source-setup", false, |values| {
        let source = values.get(1)?.get::<gst::Element>().ok()?;
        if source.factory().is_some_and(|it| it.name() == "rtspsrc") {
            source.set_property_from_str("protocols", "tcp");
        }
        None
    });
}
