//! Writes pictures as a video file, for benchmarks that are drawn and not recorded.

use std::{path::Path, time::Duration};

use gstreamer::{self as gst, prelude::*};
use gstreamer_app::AppSrc;
use gstreamer_video as gst_video;

use crate::{Problem, Result, source::init};

/// How long the encoder may take for what it still holds at the end.
const LAST_FRAMES: gst::ClockTime = gst::ClockTime::from_seconds(60);

/// Constant quality of x264: visually without loss.
const QUANTIZER: u32 = 18;

/// Writes frames as H.264 in an MP4.
#[derive(Debug)]
pub struct VideoFile {
    pipeline: gst::Pipeline,
    source: AppSrc,
    label: String,
    height: usize,
    frame_bytes: usize,
    frame: Duration,
    written: u32,
}

impl VideoFile {
    /// Creates the file, for frames of `[height, width]` pixels, both even.
    ///
    /// # Errors
    /// GStreamer has no encoder, or the file cannot be created.
    pub fn create(path: &Path, [height, width]: [usize; 2], fps: u32) -> Result<Self> {
        let label = path.display().to_string();
        let problem = |problem: Problem| problem.of_file(&label);
        init().map_err(problem)?;
        let make = |name: &str| {
            let element = gst::ElementFactory::make(name).build();
            element.map_err(|_| problem(Problem::MissingDecoder(format!("the element {name}"))))
        };
        let info =
            gst_video::VideoInfo::builder(gst_video::VideoFormat::Rgb, width as u32, height as u32)
                .fps(gst::Fraction::new(fps as i32, 1));
        let info = info.build().map_err(|it| problem(Problem::GStreamer(it.to_string())))?;
        let caps = info.to_caps().map_err(|it| problem(Problem::GStreamer(it.to_string())))?;
        let source = AppSrc::builder().caps(&caps).format(gst::Format::Time).block(true).build();
        let [convert, encode, mux, sink] =
            ["videoconvert", "x264enc", "mp4mux", "filesink"].map(make);
        let [convert, encode, mux, sink] = [convert?, encode?, mux?, sink?];
        encode.set_property_from_str("pass", "quant");
        encode.set_property("quantizer", QUANTIZER);
        encode.set_property_from_str("speed-preset", "veryfast");
        encode.set_property("threads", 1_u32);
        sink.set_property("location", &label);
        let pipeline = gst::Pipeline::new();
        let elements = [source.upcast_ref(), &convert, &encode, &mux, &sink];
        let failed = |it: gst::glib::BoolError| problem(Problem::GStreamer(it.to_string()));
        pipeline.add_many(elements).map_err(failed)?;
        gst::Element::link_many(elements).map_err(failed)?;
        let started = pipeline.set_state(gst::State::Playing);
        let file = Self {
            pipeline,
            source,
            height,
            frame_bytes: 3 * height * width,
            frame: Duration::from_secs(1) / fps,
            written: 0,
            label,
        };
        match started {
            Ok(_) => Ok(file),
            Err(_) => Err(file.problem()),
        }
    }

    /// Appends a frame, RGB `[height, width, 3]`.
    ///
    /// # Errors
    /// The file cannot be written.
    ///
    /// # Panics
    /// If the frame has another size.
    pub fn write(&mut self, rgb: &[u8]) -> Result<()> {
        assert_eq!(rgb.len(), self.frame_bytes, "frames of one size");
        let pts = self.frame * self.written;
        let row = rgb.len() / self.height;
        // GStreamer's rows begin at multiples of four bytes.
        let stride = row.next_multiple_of(4);
        let mut padded = vec![0; stride * self.height];
        for (to, from) in padded.chunks_exact_mut(stride).zip(rgb.chunks_exact(row)) {
            to[..row].copy_from_slice(from);
        }
        let mut buffer = gst::Buffer::from_slice(padded);
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(gst::ClockTime::try_from(pts).ok());
            buffer.set_duration(gst::ClockTime::try_from(self.frame).ok());
        }
        self.written += 1;
        self.source.push_buffer(buffer).map(|_| ()).map_err(|_| self.problem())
    }

    /// Writes the rest and closes the file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn finish(self) -> Result<()> {
        self.source.end_of_stream().map_err(|_| self.problem())?;
        let bus = self.pipeline.bus().expect("a pipeline has a bus");
        let wanted = [gst::MessageType::Eos, gst::MessageType::Error];
        let ended = bus.timed_pop_filtered(LAST_FRAMES, &wanted);
        match ended.as_ref().map(|it| it.view()) {
            Some(gst::MessageView::Eos(_)) => Ok(()),
            Some(gst::MessageView::Error(error)) => Err(self.error(error.error().message())),
            _ => Err(self.error("the encoder did not end")),
        }
    }

    /// What the bus says went wrong.
    fn problem(&self) -> crate::Error {
        let bus = self.pipeline.bus().expect("a pipeline has a bus");
        match bus.pop_filtered(&[gst::MessageType::Error]).as_ref().map(|it| it.view()) {
            Some(gst::MessageView::Error(error)) => self.error(error.error().message()),
            _ => self.error("it could not be started"),
        }
    }

    fn error(&self, message: &str) -> crate::Error {
        let message = message.to_owned();
        Problem::Encode(message).of_file(&self.label)
    }
}

impl Drop for VideoFile {
    fn drop(&mut self) {
        // It fails only when the pipeline has failed before, which was reported.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}
