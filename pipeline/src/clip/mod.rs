//! Frames, clips, and the running totals of the stream that they come from.

pub(crate) mod camera_motion;
mod gaps;
mod grid;
mod sampler;
mod scene;
mod window;

use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

use serde::{Deserialize, Serialize};

pub(crate) use sampler::{Origin, Sampler, Shown};

/// One frame of the training size, `[height, width, 3]` RGB, 8 bits a channel.
///
/// The pixels are shared because overlapping clips hold the same frame.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) pixels: Arc<[u8]>,
    /// Stream time in seconds.
    pub(crate) time: f64,
    pub(crate) captured: Option<Captured>,
}

/// When a frame was captured.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Captured {
    /// UTC.
    pub time: SystemTime,
    /// Who said so.
    pub by: Clock,
}

/// Whose clock a capture time is of.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Clock {
    /// The camera's own, as its RTCP sender reports tell it.
    Camera,
    /// This machine's, when the frame came.
    Arrival,
}

impl Clock {
    /// As the tables have it.
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
    pub(crate) cut: Instant,
    /// Camera motion between neighbouring frames, `[t - 1, 5]`, where it is asked for.
    pub(crate) motion: Option<Vec<f32>>,
    /// Where it was read.
    pub(crate) place: Arc<Place>,
}

/// Where a clip comes from.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct ClipInfo {
    /// Index of its stream: its place in [`Config::stream`](crate::Config::stream), and for one
    /// that was added later the next free number.
    pub stream: usize,
    /// How many clips its stream cut before it.
    pub number: u64,
    /// The file or URI, without credentials.
    #[serde(with = "shared")]
    pub item: Arc<str>,
    /// Which reading of a looped archive, or which connection of a live stream, from 0.
    pub pass: u64,
    /// When its first frame was captured, of a live stream.
    pub captured: Option<Captured>,
    /// How often it was in a batch before.
    pub uses: u32,
    /// Frames that are counted with this clip: those that no earlier clip contained.
    pub owned: u64,
    /// Running totals of its stream when it was cut.
    pub counts: Counts,
}

/// Running totals of one stream, in frames unless said otherwise.
///
/// A frame of a clip that was never completed is counted with the last reason for which a
/// clip that wanted it was dropped.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Taken from the decoder.
    pub decoded: u64,
    /// Not the nearest frame to any time that a clip wants.
    pub off_grid: u64,
    /// In a clip that was dropped because a scene cut runs through it.
    pub cut: u64,
    /// In a clip that was dropped because time jumped, went back, or the format changed.
    pub discontinuity: u64,
    /// In a clip that was dropped because one of its times has no frame near enough or shares
    /// its nearest frame with another: missing frames, or a stream too slow for the interval.
    pub uneven: u64,
    /// In a clip that was dropped because the light changed in it: lightning, lamps, infrared.
    pub light: u64,
    /// In a clip that was dropped because nothing moves in it.
    pub still: u64,
    /// In a clip that was dropped because nobody took it before newer ones came.
    pub dropped: u64,
    /// In a clip that was incomplete when its file, the run, or what is decoded of a group of
    /// pictures ended.
    pub unfinished: u64,
    /// Clips that were cut.
    pub clips: u64,
    /// Completed readings of the source.
    pub passes: u64,
    /// Files that failed or ended early, and connections that were lost or could not be made.
    pub errors: u64,
    /// Times that a live stream played again after it had gone.
    pub reconnects: u64,
    /// Times that a live stream gave no frame for too long.
    pub stalls: u64,
    /// Coded pictures that were never decoded because decoding could not keep up.
    pub late: u64,
    /// Coded pictures that were never decoded because no clip needs them.
    pub unneeded: u64,
    /// Pipelines that could not be brought down in time and were left behind.
    pub abandoned: u64,
}

impl Counts {
    /// Frames that were decoded and are in no clip.
    pub fn skipped(&self) -> u64 {
        let broken = self.cut + self.discontinuity + self.uneven + self.light;
        self.off_grid + broken + self.still + self.dropped + self.unfinished
    }
}

/// The beginning of an item in the readings of an archive.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Place {
    /// Which reading of the source, from 0.
    pub(crate) pass: u64,
    /// Which item of the reading, from 0, and its name.
    pub(crate) item: usize,
    pub(crate) label: String,
    /// The stream's totals there.
    pub(crate) counts: Counts,
    /// Clips that the stream had cut when the reading began.
    pub(crate) before: u64,
    /// The reading before gave no clip.
    pub(crate) fruitless: bool,
    /// Items of this reading that could not be read, and what was wrong with the first.
    pub(crate) failed: usize,
    pub(crate) first_failure: Option<String>,
}

/// Why a clip was dropped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Reason {
    Cut,
    Light,
    Still,
    Discontinuity,
    Uneven,
    Unfinished,
}

impl Reason {
    pub(crate) fn count(self, counts: &mut Counts) -> &mut u64 {
        match self {
            Self::Cut => &mut counts.cut,
            Self::Light => &mut counts.light,
            Self::Still => &mut counts.still,
            Self::Discontinuity => &mut counts.discontinuity,
            Self::Uneven => &mut counts.uneven,
            Self::Unfinished => &mut counts.unfinished,
        }
    }
}

/// What is shared in memory is written out wherever it is mentioned.
pub(crate) mod shared {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<T: Serialize + ?Sized, S: Serializer>(
        it: &Arc<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        it.as_ref().serialize(serializer)
    }

    pub(crate) fn deserialize<'de, T: ?Sized, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Arc<T>, D::Error>
    where
        Box<T>: Deserialize<'de>,
    {
        Box::deserialize(deserializer).map(Arc::from)
    }
}
