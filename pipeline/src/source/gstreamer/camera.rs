//! The elements of cameras, chained by hand so that the backlog is bounded before the decoder.
//!
//! ```text
//! rtspsrc ──▶ depay ──┐
//! udpsrc ──▶ tsdemux ─┼─▶ parse ─▶ queue (backlog.rs) ─▶ decoder ─▶ the tail in pipeline.rs
//! srtsrc ──▶ tsdemux ─┘
//! ```

use std::time::Duration;

use gstreamer::{self as gst, prelude::*};

use super::{
    backlog,
    decoders::decoders,
    pipeline::{link_to, make},
};
use crate::{Problem, Protocol, source::SourceContext};

/// A codec with a chain of its own: its names in RTP and in caps, its depayloader and parser.
struct Codec {
    encoding: &'static str,
    caps: &'static str,
    depay: &'static str,
    parse: &'static str,
}

/// What cameras send. Other codecs are left to decodebin, without a bound on the backlog.
const CODECS: [Codec; 2] = [
    Codec { encoding: "H264", caps: "video/x-h264", depay: "rtph264depay", parse: "h264parse" },
    Codec { encoding: "H265", caps: "video/x-h265", depay: "rtph265depay", parse: "h265parse" },
];

/// Adds the source of a camera to `pipeline`, linked to `tail`. Returns false when `uri` is not a
/// camera's.
pub(super) fn add(
    pipeline: &gst::Pipeline,
    uri: &str,
    tail: &gst::Element,
    context: &SourceContext,
) -> Result<bool, Problem> {
    match uri.split("://").next().unwrap_or_default() {
        "rtsp" | "rtsps" | "rtspt" | "rtspu" => rtsp(pipeline, uri, tail, context)?,
        "udp" => transport_stream(pipeline, "udpsrc", uri, tail, context)?,
        "srt" => transport_stream(pipeline, "srtsrc", uri, tail, context)?,
        _ => return Ok(false),
    }
    Ok(true)
}

fn rtsp(
    pipeline: &gst::Pipeline,
    uri: &str,
    tail: &gst::Element,
    context: &SourceContext,
) -> Result<(), Problem> {
    let source = make("rtspsrc")?;
    let latency = Duration::try_from_secs_f64(context.stream.latency).unwrap_or_default();
    source.set_property("location", uri);
    source.set_property("latency", latency.as_millis().min(60_000) as u32);
    source.set_property("drop-on-latency", true);
    source.set_property("add-reference-timestamp-meta", true);
    let protocol = match context.stream.protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    };
    source.set_property_from_str("protocols", protocol);
    let connect =
        Duration::try_from_secs_f64(context.stream.retry.connect_timeout).unwrap_or_default();
    source.set_property("tcp-timeout", connect.as_micros().min(u64::MAX.into()) as u64);
    // Do not set up audio.
    source.connect("select-stream", false, |values| {
        let caps = values.get(2)?.get::<gst::Caps>().ok()?;
        Some((media(&caps) != Some("audio")).to_value())
    });
    pipeline.add(&source).map_err(failed)?;
    let link = PadLinker::new(pipeline, tail, context);
    source.connect_pad_added(move |_, pad| link.rtp(pad));
    Ok(())
}

fn transport_stream(
    pipeline: &gst::Pipeline,
    source: &str,
    uri: &str,
    tail: &gst::Element,
    context: &SourceContext,
) -> Result<(), Problem> {
    let source = make(source)?;
    source.set_property("uri", uri);
    let demux = make("tsdemux")?;
    if source.find_property("caps").is_some() {
        let caps = gst::Caps::builder("video/mpegts").field("systemstream", true).build();
        source.set_property("caps", caps);
    }
    pipeline.add_many([&source, &demux]).map_err(failed)?;
    source.link(&demux).map_err(failed)?;
    let link = PadLinker::new(pipeline, tail, context);
    demux.connect_pad_added(move |_, pad| link.coded(pad));
    Ok(())
}

/// Links pads that appear later. It holds the pipeline weakly, because a pipeline that its own
/// elements hold is never freed.
struct PadLinker {
    pipeline: gst::glib::WeakRef<gst::Pipeline>,
    tail: gst::glib::WeakRef<gst::Element>,
    context: SourceContext,
}

impl PadLinker {
    fn new(pipeline: &gst::Pipeline, tail: &gst::Element, context: &SourceContext) -> Self {
        Self { pipeline: pipeline.downgrade(), tail: tail.downgrade(), context: context.clone() }
    }

    /// Links a pad of RTP packets.
    fn rtp(&self, pad: &gst::Pad) {
        let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
        let name = caps.structure(0).and_then(|it| it.get::<&str>("encoding-name").ok());
        match CODECS.iter().find(|it| Some(it.encoding) == name) {
            Some(codec) => self.chain(pad, &[codec.depay, codec.parse], codec.caps),
            None if media(&caps) == Some("video") => self.chain(pad, &[], ""),
            None => {}
        }
    }

    /// Links a pad of coded video; other pads are ignored.
    fn coded(&self, pad: &gst::Pad) {
        let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
        let name = caps.structure(0).map(|it| it.name().to_string()).unwrap_or_default();
        match CODECS.iter().find(|it| it.caps == name) {
            Some(codec) => self.chain(pad, &[codec.parse], codec.caps),
            None if name.starts_with("video/") => self.chain(pad, &[], ""),
            None => {}
        }
    }

    /// Links `pad` to the tail through `elements`, a bounded queue and a decoder. A failure becomes
    /// an error on the bus, where the reader finds it.
    fn chain(&self, pad: &gst::Pad, elements: &[&str], coded: &str) {
        let (Some(pipeline), Some(tail)) = (self.pipeline.upgrade(), self.tail.upgrade()) else {
            return;
        };
        if tail.static_pad("sink").is_none_or(|it| it.is_linked()) {
            return;
        }
        if let Err(problem) = self.build(&pipeline, pad, &tail, elements, coded) {
            gst::element_error!(pipeline, gst::CoreError::Negotiation, ("{problem}"));
        }
    }

    fn build(
        &self,
        pipeline: &gst::Pipeline,
        pad: &gst::Pad,
        tail: &gst::Element,
        elements: &[&str],
        coded: &str,
    ) -> Result<(), Problem> {
        if elements.is_empty() {
            return link_decodebin(pipeline, pad, tail);
        }
        let mut chain = elements.iter().map(|it| make(it)).collect::<Result<Vec<_>, _>>()?;
        chain.push(backlog::queue(&self.context.side_counters).map_err(failed)?);
        chain.push(self.decoder(coded)?);
        pipeline.add_many(&chain).map_err(failed)?;
        let whole: Vec<_> = chain.iter().chain([tail]).collect();
        gst::Element::link_many(whole).map_err(failed)?;
        // From the end, so that nothing arrives at an element that does not run yet.
        for element in chain.iter().rev() {
            element.sync_state_with_parent().map_err(failed)?;
        }
        link_sink(pad, &chain[0])
    }

    /// The first decoder that starts.
    fn decoder(&self, coded: &str) -> Result<gst::Element, Problem> {
        let caps = gst::Caps::builder(coded).build();
        for factory in decoders(&caps, self.context.stream.decoder) {
            let Ok(element) = factory.create().build() else { continue };
            // This opens the device of a hardware decoder.
            if element.set_state(gst::State::Ready).is_ok() {
                return Ok(element);
            }
            let _ = element.set_state(gst::State::Null);
            tracing::warn!("decoder {} does not start; trying the next one", factory.name());
        }
        Err(Problem::MissingDecoder(coded.into()))
    }
}

/// Links a pad of any codec through decodebin.
fn link_decodebin(
    pipeline: &gst::Pipeline,
    pad: &gst::Pad,
    tail: &gst::Element,
) -> Result<(), Problem> {
    let decode = make("decodebin")?;
    link_to(&decode, tail);
    pipeline.add(&decode).map_err(failed)?;
    decode.sync_state_with_parent().map_err(failed)?;
    link_sink(pad, &decode)
}

fn link_sink(pad: &gst::Pad, first: &gst::Element) -> Result<(), Problem> {
    let sink = first.static_pad("sink").ok_or(Problem::NoVideo)?;
    pad.link(&sink).map(|_| ()).map_err(|it| Problem::GStreamer(it.to_string()))
}

/// The kind of media in RTP packets: `video` or `audio`.
fn media(caps: &gst::Caps) -> Option<&str> {
    caps.structure(0)?.get::<&str>("media").ok()
}

fn failed(error: gst::glib::BoolError) -> Problem {
    Problem::GStreamer(error.to_string())
}
