//! An image in a buffer of the decoder.

use std::sync::Arc;

use gstreamer as gst;
use gstreamer_video::{self as gst_video, VideoColorMatrix, VideoColorRange, prelude::*};
use yuv::{YuvRange, YuvStandardMatrix};

use crate::{
    Problem,
    picture::{Colour, Plane, Planes, Scaler},
    source::Image,
};

/// An I420 buffer and its format. Holding it occupies a surface of the decoder.
#[derive(Debug)]
pub(crate) struct DecodedFrame {
    pub(super) buffer: gst::Buffer,
    pub(super) info: gst_video::VideoInfo,
}

impl Image for DecodedFrame {
    fn pixels(&self, scaler: &mut Scaler) -> Result<Arc<[u8]>, Problem> {
        let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(&self.buffer, &self.info)
            .map_err(|_| unusable("a buffer cannot be mapped"))?;
        let plane = |idx: u32| {
            let data =
                frame.plane_data(idx).map_err(|_| unusable("a plane of a frame is missing"))?;
            let stride = usize::try_from(frame.plane_stride()[idx as usize])
                .map_err(|_| unusable("rows of a frame run bottom to top"))?;
            Ok::<_, Problem>(Plane { data, stride })
        };
        let aspect = self.info.par();
        scaler.scale(&Planes {
            luma: plane(0)?,
            chroma: [plane(1)?, plane(2)?],
            width: self.info.width() as usize,
            height: self.info.height() as usize,
            pixel_aspect: f64::from(aspect.numer()) / f64::from(aspect.denom()),
            colour: colour(&self.info),
        })
    }
}

fn colour(info: &gst_video::VideoInfo) -> Colour {
    let stated = info.colorimetry();
    let matrix = match stated.matrix() {
        VideoColorMatrix::Bt601 => YuvStandardMatrix::Bt601,
        VideoColorMatrix::Bt709 => YuvStandardMatrix::Bt709,
        VideoColorMatrix::Bt2020 => YuvStandardMatrix::Bt2020,
        VideoColorMatrix::Fcc => YuvStandardMatrix::Fcc,
        VideoColorMatrix::Smpte240m => YuvStandardMatrix::Smpte240,
        // The convention for video that does not state its matrix.
        _ if info.height() > 576 => YuvStandardMatrix::Bt709,
        _ => YuvStandardMatrix::Bt601,
    };
    let range = match stated.range() {
        VideoColorRange::Range0_255 => YuvRange::Full,
        _ => YuvRange::Limited,
    };
    Colour { matrix, range }
}

fn unusable(message: &str) -> Problem {
    Problem::Decode { element: "appsink".into(), message: message.into() }
}
