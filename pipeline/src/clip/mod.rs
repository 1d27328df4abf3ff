//! Cuts frames into clips.
//!
//! ```text
//! sampler        cuts one stream into clips, frame by frame
//!   grid         when clips start, and which frame is nearest to a time
//!   gaps         how far apart the frames of the stream are
//!   open_clips   the clips that still need frames
//!   scene        compares neighbouring frames: scene cut, change of light, nothing moves
//! camera_motion  estimates how the camera moved between the frames of a clip
//! counts         the list of frame outcomes and counters, and a stream's totals
//! ```

pub(crate) mod camera_motion;
mod gaps;
mod grid;
mod open_clips;
mod outcomes;
mod sampler;
mod scene;
pub(crate) mod shared;

use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

use serde::{Deserialize, Serialize};

pub use outcomes::{Counts, FrameOutcome, NamedCount, StreamCounter};

pub(crate) use sampler::{FrameTime, Origin, Render, Sampler};

/// One frame of the training size, `[height, width, 3]` RGB, 8 bits per channel.
///
/// The pixels are shared because overlapping clips hold the same frame.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) pixels: Arc<[u8]>,
    /// Stream time in seconds.
    pub(crate) time: f64,
    pub(crate) captured: Option<CaptureTime>,
}

/// When a frame was captured.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct CaptureTime {
    /// UTC.
    pub time: SystemTime,
    /// The clock that gave the time.
    pub clock: Clock,
}

/// A clock that gives capture times.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Clock {
    /// The camera's own, known from its RTCP sender reports.
    Camera,
    /// This machine's, read when the frame arrived.
    Arrival,
}

impl Clock {
    /// The name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Camera => "camera",
            Self::Arrival => "arrival",
        }
    }
}

/// Frames of one stream, oldest first.
#[derive(Clone, Debug)]
pub(crate) struct Clip {
    pub(crate) frames: Vec<Frame>,
    pub(crate) info: ClipInfo,
    /// When it was cut.
    pub(crate) cut_at: Instant,
    /// Camera motion between neighbouring frames, `[t - 1, 5]`, if the config asks for it.
    pub(crate) motion: Option<Vec<f32>>,
    /// The item that it was cut from, to read it again when a run resumes.
    pub(crate) cursor: Arc<Cursor>,
}

/// Where a clip comes from.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct ClipInfo {
    /// Number of its stream: the index in [`Config::stream`](crate::Config::stream), and for a
    /// stream that was added later the next free number.
    pub stream: usize,
    /// Number of the clip in its stream, from 0.
    pub number: u64,
    /// The file or URI, without credentials.
    #[serde(with = "shared")]
    pub item: Arc<str>,
    /// How often its archive was read before, or its live stream connected, from 0.
    pub epoch: u64,
    /// When its first frame was captured, if the stream is live.
    pub captured: Option<CaptureTime>,
    /// How often it was in a batch before.
    pub uses: u32,
    /// Frames that no earlier clip of the stream holds. They are counted with this clip.
    pub new_frames: u64,
    /// Running totals of its stream when it was cut.
    pub counts: Counts,
}

/// A position in an archive: the beginning of one item of one epoch.
///
/// Reading from there again gives the same clips with the same numbers.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Cursor {
    /// Number of the epoch, from 0.
    pub(crate) epoch: u64,
    /// Index of the item in its epoch, from 0, and its name.
    pub(crate) item: usize,
    pub(crate) label: String,
    /// The stream's totals there.
    pub(crate) counts: Counts,
    /// Clips cut from the stream before this epoch.
    pub(crate) clips_before: u64,
    /// The previous epoch gave no clip.
    pub(crate) no_clips: bool,
    /// Items of this epoch that could not be read, and what was wrong with the first of them.
    pub(crate) failed: usize,
    pub(crate) first_failure: Option<String>,
}
