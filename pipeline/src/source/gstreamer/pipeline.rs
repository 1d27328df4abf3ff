//! The GStreamer pipeline, built element by element: a URI is user input and has no place in
//! a launch string.
//!
//! ```text
//! a camera's chain (camera.rs), or
//! uridecodebin (video only) ─▶ videoconvert ─▶ videoflip (by metadata) ─▶ appsink (I420)
//! ```
//!
//! It is uridecodebin and not uridecodebin3, because the latter, in GStreamer 1.22, now and then
//! waits for ever at the start of a small file.

use std::sync::{Arc, LazyLock};

use gio::prelude::SocketExt;
use gstreamer::{self as gst, prelude::*};
use gstreamer_app::AppSink;
use gstreamer_video as gst_video;

use super::{camera, decoders::is_unwanted};
use crate::{
    Decoder, Problem,
    source::{Opening, gop::Prefixes},
};

/// Name of the message that says that every stream is known and none of them is video.
pub(super) const NO_VIDEO: &str = "no-video";

/// A pipeline that was not started, and where its frames come out.
#[derive(Debug)]
pub(super) struct Elements {
    pub(super) pipeline: gst::Pipeline,
    pub(super) sink: AppSink,
    pub(super) prefixes: Arc<Prefixes>,
}

/// Initialises GStreamer once.
pub(crate) fn init() -> Result<(), Problem> {
    static INIT: LazyLock<Result<(), String>> = LazyLock::new(|| {
        gst::init().map_err(|it| it.to_string())?;
        know_sockets();
        Ok(())
    });
    INIT.clone().map_err(Problem::GStreamer)
}

/// Makes GLib know all that a connection is made of, in one thread. Streams that connect for the
/// first time at the same moment block each other for ever in GLib 2.74: one initialises the class
/// of `GSocketClient`, under a lock, and waits for the type `GSocketAddress`; another one, which
/// loads the HTTP plugin, is making that type known and waits for the lock.
fn know_sockets() {
    let loopback = gio::InetSocketAddress::from_string("127.0.0.1", 0);
    let client = gio::SocketClient::new();
    let resolver = (gio::Resolver::default(), gio::ProxyResolver::default());
    let (family, kind) = (gio::SocketFamily::Ipv4, gio::SocketType::Stream);
    let socket = gio::Socket::new(family, kind, gio::SocketProtocol::Tcp);
    let connection = socket.map(|it| it.connection_factory_create_connection());
    // They were worth being made, and nothing else.
    drop((loopback, client, resolver, connection));
}

pub(super) fn build(uri: &str, opening: &Opening) -> Result<Elements, Problem> {
    init()?;
    let pipeline = gst::Pipeline::new();
    let convert = make("videoconvert")?;
    let flip = make("videoflip")?;
    flip.set_property_from_str("video-direction", "auto");
    let sink = sink();
    let failed = |it: gst::glib::BoolError| Problem::GStreamer(it.to_string());
    pipeline.add_many([&convert, &flip, sink.upcast_ref()]).map_err(failed)?;
    gst::Element::link_many([&convert, &flip, sink.upcast_ref()]).map_err(failed)?;
    one_thread(&pipeline);
    let prefixes = Prefixes::watch(&pipeline, opening);
    if !camera::add(&pipeline, uri, &convert, opening)? {
        let decode = make("uridecodebin")?;
        decode.set_property("uri", uri);
        only_video(&decode);
        pass_over(&decode, opening.stream.decoder);
        link_to(&decode, &convert);
        pipeline.add(&decode).map_err(failed)?;
    }
    Ok(Elements { pipeline, sink, prefixes })
}

pub(super) fn make(factory: &str) -> Result<gst::Element, Problem> {
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

/// Leaves sound and subtitles as they are, so that they are not decoded.
fn only_video(decode: &gst::Element) {
    decode.connect("autoplug-continue", false, |values| {
        let caps = values.get(2).and_then(|it| it.get::<gst::Caps>().ok());
        let kind = caps.as_ref().and_then(|it| it.structure(0)).map(|it| it.name().as_str());
        let others = ["audio/", "text/", "subpicture/", "closedcaption/"];
        let other = kind.is_some_and(|kind| others.iter().any(|it| kind.starts_with(it)));
        Some((!other).to_value())
    });
}

/// Links the first video stream; says [`NO_VIDEO`] on the bus when there is none.
pub(super) fn link_to(decode: &gst::Element, convert: &gst::Element) {
    let target = convert.downgrade();
    decode.connect_pad_added(move |_, pad| {
        let target = target.upgrade().and_then(|it| it.static_pad("sink"));
        if let Some(target) = target
            && !target.is_linked()
            && is_video(pad)
        {
            // A pad that does not fit stays unlinked, and its decoder says so on the bus.
            let _ = pad.link(&target);
        }
    });
    decode.connect_no_more_pads(|decode| {
        if !decode.src_pads().iter().any(is_video) {
            let said = gst::Structure::new_empty(NO_VIDEO);
            let message = gst::message::Application::builder(said).src(decode).build();
            // A pipeline without a bus is being taken down.
            let _ = decode.post_message(message);
        }
    });
}

fn is_video(pad: &gst::Pad) -> bool {
    let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
    caps.structure(0).is_some_and(|it| it.name() == "video/x-raw")
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

/// Leaves out decoders that the stream does not want.
fn pass_over(decode: &gst::Element, wanted: Decoder) {
    let Some(kind) = gst::glib::Type::from_name("GstAutoplugSelectResult") else { return };
    let Some(class) = gst::glib::EnumClass::with_type(kind) else { return };
    decode.connect("autoplug-select", false, move |values| {
        let factory = values.get(3)?.get::<gst::ElementFactory>().ok()?;
        let skip = is_unwanted(&factory, wanted);
        class.to_value_by_nick(if skip { "skip" } else { "try" })
    });
}
