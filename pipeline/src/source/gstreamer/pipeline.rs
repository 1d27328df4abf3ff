//! Builds a GStreamer pipeline element by element. A URI is user input and must not become part of
//! a launch string.
//!
//! ```text
//! a camera's chain (camera.rs), or
//! uridecodebin (video only) ─▶ videoconvert ─▶ videoflip (by metadata) ─▶ appsink (I420)
//! ```
//!
//! It uses uridecodebin because uridecodebin3 of GStreamer 1.22 sometimes waits for ever at the
//! start of a small file.

use std::sync::{Arc, LazyLock};

use gio::prelude::SocketExt;
use gstreamer::{self as gst, prelude::*};
use gstreamer_app::AppSink;
use gstreamer_video as gst_video;

use super::{camera, decoders::is_unwanted};
use crate::{
    Decoder, Problem,
    source::{SourceContext, gop::GopFilter},
};

/// Name of the message posted when all streams are known and none is video.
pub(super) const NO_VIDEO: &str = "no-video";

/// A pipeline that is not started yet, and its end.
#[derive(Debug)]
pub(super) struct DecodePipeline {
    pub(super) pipeline: gst::Pipeline,
    pub(super) sink: AppSink,
    pub(super) gop_filter: Arc<GopFilter>,
}

/// Initialises GStreamer once.
pub(crate) fn init() -> Result<(), Problem> {
    static INIT: LazyLock<Result<(), String>> = LazyLock::new(|| {
        gst::init().map_err(|it| it.to_string())?;
        register_socket_types();
        Ok(())
    });
    INIT.clone().map_err(Problem::GStreamer)
}

/// Registers GLib's types for connections, from one thread. In GLib 2.74, streams that connect for
/// the first time at the same moment block each other for ever: one initialises the class of
/// `GSocketClient`, under a lock, and waits for the type `GSocketAddress`; another, which loads the
/// HTTP plugin, is registering that type and waits for the lock.
fn register_socket_types() {
    let loopback = gio::InetSocketAddress::from_string("127.0.0.1", 0);
    let client = gio::SocketClient::new();
    let resolver = (gio::Resolver::default(), gio::ProxyResolver::default());
    let (family, kind) = (gio::SocketFamily::Ipv4, gio::SocketType::Stream);
    let socket = gio::Socket::new(family, kind, gio::SocketProtocol::Tcp);
    let connection = socket.map(|it| it.connection_factory_create_connection());
    // Created only to register their types.
    drop((loopback, client, resolver, connection));
}

pub(super) fn build(uri: &str, context: &SourceContext) -> Result<DecodePipeline, Problem> {
    init()?;
    let pipeline = gst::Pipeline::new();
    let convert = make("videoconvert")?;
    let flip = make("videoflip")?;
    flip.set_property_from_str("video-direction", "auto");
    let sink = sink();
    let failed = |it: gst::glib::BoolError| Problem::GStreamer(it.to_string());
    pipeline.add_many([&convert, &flip, sink.upcast_ref()]).map_err(failed)?;
    gst::Element::link_many([&convert, &flip, sink.upcast_ref()]).map_err(failed)?;
    use_one_thread_per_decoder(&pipeline);
    let gop_filter = GopFilter::for_pipeline(&pipeline, context);
    if !camera::add(&pipeline, uri, &convert, context)? {
        let decode = make("uridecodebin")?;
        decode.set_property("uri", uri);
        decode_only_video(&decode);
        skip_unwanted_decoders(&decode, context.stream.decoder);
        link_to(&decode, &convert);
        pipeline.add(&decode).map_err(failed)?;
    }
    Ok(DecodePipeline { pipeline, sink, gop_filter })
}

pub(super) fn make(factory: &str) -> Result<gst::Element, Problem> {
    gst::ElementFactory::make(factory).build().map_err(|it| Problem::GStreamer(it.to_string()))
}

fn sink() -> AppSink {
    let caps = gst_video::VideoCapsBuilder::new().format(gst_video::VideoFormat::I420).build();
    let sink = AppSink::builder()
        .caps(&caps)
        .sync(false)
        // The default is unlimited. A full sink makes the decoder wait.
        .max_buffers(2)
        .enable_last_sample(false)
        .build();
    // Unless the sink says that it accepts padded rows, the decoder copies every frame.
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

/// Does not decode audio and subtitles.
fn decode_only_video(decode: &gst::Element) {
    decode.connect("autoplug-continue", false, |values| {
        let caps = values.get(2).and_then(|it| it.get::<gst::Caps>().ok());
        let kind = caps.as_ref().and_then(|it| it.structure(0)).map(|it| it.name().as_str());
        let others = ["audio/", "text/", "subpicture/", "closedcaption/"];
        let other = kind.is_some_and(|kind| others.iter().any(|it| kind.starts_with(it)));
        Some((!other).to_value())
    });
}

/// Links the first video stream; posts [`NO_VIDEO`] on the bus when there is none.
pub(super) fn link_to(decode: &gst::Element, convert: &gst::Element) {
    let target = convert.downgrade();
    decode.connect_pad_added(move |_, pad| {
        let target = target.upgrade().and_then(|it| it.static_pad("sink"));
        if let Some(target) = target
            && !target.is_linked()
            && is_video(pad)
        {
            // A pad that does not fit stays unlinked, and its decoder reports that on the bus.
            let _ = pad.link(&target);
        }
    });
    decode.connect_no_more_pads(|decode| {
        if !decode.src_pads().iter().any(is_video) {
            let structure = gst::Structure::new_empty(NO_VIDEO);
            let message = gst::message::Application::builder(structure).src(decode).build();
            // A pipeline without a bus is being torn down.
            let _ = decode.post_message(message);
        }
    });
}

fn is_video(pad: &gst::Pad) -> bool {
    let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
    caps.structure(0).is_some_and(|it| it.name() == "video/x-raw")
}

/// Gives each decoder one thread. There are as many streams as the machine can take, and each
/// further thread of a decoder holds further surfaces.
fn use_one_thread_per_decoder(pipeline: &gst::Pipeline) {
    pipeline.connect_deep_element_added(|_, _, element| {
        let libav = element.factory().is_some_and(|it| it.name().starts_with("avdec_"));
        if libav && element.find_property("max-threads").is_some() {
            element.set_property_from_str("max-threads", "1");
        }
    });
}

/// Skips decoders of a kind that the stream does not ask for.
fn skip_unwanted_decoders(decode: &gst::Element, wanted: Decoder) {
    let Some(kind) = gst::glib::Type::from_name("GstAutoplugSelectResult") else { return };
    let Some(class) = gst::glib::EnumClass::with_type(kind) else { return };
    decode.connect("autoplug-select", false, move |values| {
        let factory = values.get(3)?.get::<gst::ElementFactory>().ok()?;
        let skip = is_unwanted(&factory, wanted);
        class.to_value_by_nick(if skip { "skip" } else { "try" })
    });
}
