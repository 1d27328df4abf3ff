//! A plain RTSP client.

use std::time::{Duration, Instant};

use gstreamer::{self as gst, prelude::*};
use gstreamer_app::AppSink;

/// How long a test waits before it fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a client received.
#[derive(Debug, PartialEq)]
pub(crate) enum Arrival {
    Packet(Packet),
    /// The end of the stream, or an error in GStreamer's words.
    End(String),
    /// Nothing came in time.
    Nothing,
}

/// Header of an RTP packet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Packet {
    pub(crate) number: u16,
    pub(crate) timestamp: u32,
}

/// A client; dropping it disconnects.
pub(crate) struct Client {
    pipeline: gst::Pipeline,
    sink: AppSink,
}

impl Client {
    /// Connects for RTP packets.
    pub(crate) fn of_packets(url: &str) -> Self {
        Self::new(url, "tcp", "identity")
    }

    /// Connects for decoded frames.
    pub(crate) fn of_frames(url: &str, codec: &str, transport: &str) -> Self {
        let decode = format!("rtp{codec}depay ! {codec}parse ! avdec_{codec} max-threads=1");
        Self::new(url, transport, &decode)
    }

    fn new(url: &str, transport: &str, chain: &str) -> Self {
        gst::init().unwrap();
        let launch = format!(
            "rtspsrc name=camera protocols={transport} latency=100 ! {chain} \
             ! appsink name=sink sync=false"
        );
        let pipeline = gst::parse::launch(&launch).unwrap().downcast::<gst::Pipeline>().unwrap();
        pipeline.by_name("camera").unwrap().set_property("location", url);
        let sink = pipeline.by_name("sink").unwrap().downcast::<AppSink>().unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        Self { pipeline, sink }
    }

    /// The next sample, or the end as an error; `None` when neither comes in this time.
    fn sample(&self, patience: Duration) -> Result<Option<gst::Sample>, String> {
        let (start, bus) = (Instant::now(), self.pipeline.bus().unwrap());
        loop {
            if let Some(sample) = self.sink.try_pull_sample(gst::ClockTime::from_mseconds(20)) {
                return Ok(Some(sample));
            }
            let error = bus.pop_filtered(&[gst::MessageType::Error]);
            if let Some(gst::MessageView::Error(it)) = error.as_ref().map(|it| it.view()) {
                return Err(format!("{}: {}", it.error(), it.debug().unwrap_or_default()));
            }
            if self.sink.is_eos() {
                return Err("end of stream".into());
            }
            if start.elapsed() >= patience {
                return Ok(None);
            }
        }
    }

    /// The next RTP packet.
    pub(crate) fn arrival(&self, patience: Duration) -> Arrival {
        let sample = match self.sample(patience) {
            Ok(Some(sample)) => sample,
            Ok(None) => return Arrival::Nothing,
            Err(said) => return Arrival::End(said),
        };
        let map = sample.buffer().unwrap().map_readable().unwrap();
        Arrival::Packet(Packet {
            number: u16::from_be_bytes(map[2..4].try_into().unwrap()),
            timestamp: u32::from_be_bytes(map[4..8].try_into().unwrap()),
        })
    }

    /// The next RTP packet, which must come.
    pub(crate) fn packet(&self) -> Packet {
        match self.arrival(PATIENCE) {
            Arrival::Packet(packet) => packet,
            other => panic!("{other:?} instead of a packet"),
        }
    }

    /// Receives packets until none comes for so long, and returns what came instead.
    pub(crate) fn after_packets(&self, patience: Duration) -> Arrival {
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "packets do not stop");
            match self.arrival(patience) {
                Arrival::Packet(_) => {}
                other => return other,
            }
        }
    }

    /// Width, height and presentation time of the next frame, which must come.
    pub(crate) fn frame(&self) -> ([i32; 2], gst::ClockTime) {
        let sample = self.sample(PATIENCE).unwrap().expect("a frame");
        let format = sample.caps().unwrap().structure(0).unwrap();
        let size = ["width", "height"].map(|it| format.get(it).unwrap());
        (size, sample.buffer().unwrap().pts().unwrap())
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.pipeline.set_state(gst::State::Null).unwrap();
    }
}
