//! Where frames come from.
//!
//! ```text
//! item         one file, URI or drawing that a stream reads
//! files        the items of an epoch, in order
//! frame        what a source gives: a frame with its time and an unscaled image
//! gstreamer    decodes files, cameras and playlists
//! gop          chooses the coded frames that a clip needs, for `sample = "gop-start"`
//! synthetic    draws discs and digits
//! file_frames  reads the frames of one file, scaled, for an evaluation
//! probe        looks at a source without training on it
//! ```
//!
//! A source is an iterator of frames. To add one, write such an iterator in a file of its own and
//! list it in [`SourceConfig`] and [`open`]. Only `gstreamer`, `gop` and `probe` know GStreamer.

mod file_frames;
mod files;
mod frame;
mod gop;
mod gstreamer;
mod item;
mod probe;
mod readable;
mod side_counts;
mod synthetic;

use std::sync::Arc;

use crate::{ClipConfig, Problem, SourceConfig, StreamConfig, stop::Stop};

use self::gstreamer::FrameReader;

pub use file_frames::{FileFrame, FileFrames};
pub use probe::{MediaInfo, items, probe};
pub use synthetic::{MovingDigits, Sequences, Synthetic, Trajectory};

pub(crate) use self::gstreamer::init;
pub(crate) use files::list_items;
pub(crate) use frame::{Image, RunStart, SourceFrame, SourceFrames};
pub(crate) use item::Item;
pub(crate) use readable::readable_paths;
pub(crate) use side_counts::{SideCounters, SideCounts};

/// What a source needs to know of the stream that it is opened for.
#[derive(Clone, Debug)]
pub(crate) struct SourceContext {
    pub(crate) stream: Arc<StreamConfig>,
    pub(crate) clip: ClipConfig,
    pub(crate) stop: Stop,
    pub(crate) side_counters: Arc<SideCounters>,
}

/// Opens one file, URI or drawing in this process.
///
/// # Errors
/// The [`Problem`] that keeps it from being opened. Many appear only with the first frame.
pub(crate) fn open(item: &Item, context: &SourceContext) -> Result<SourceFrames, Problem> {
    Ok(match item {
        Item::Synthetic(it) => Box::new(it.frames(context.stop.clone())),
        Item::MovingDigits(it) => Box::new(it.frames(context.stop.clone())?),
        Item::File(_) | Item::Uri(_) | Item::Revealed(_) => {
            Box::new(FrameReader::open(item.resolve()?, context)?)
        }
    })
}

impl SourceConfig {
    /// How messages name it: the path, the pattern, or the URI without credentials.
    pub(crate) fn label(&self) -> String {
        match self {
            Self::Files(path) => path.clone(),
            Self::Uri(address) => address.to_string(),
            Self::Synthetic(_) => "synthetic".into(),
            Self::MovingDigits(_) => "moving-digits".into(),
        }
    }

    /// Whether a later epoch may start its clips at other frames. Sequences of digits have fixed
    /// starts.
    pub(crate) fn allows_phase(&self) -> bool {
        !matches!(self, Self::MovingDigits(_))
    }

    /// Whether its frames are drawn, so that no decoder is needed.
    pub(crate) fn is_drawn(&self) -> bool {
        matches!(self, Self::Synthetic(_) | Self::MovingDigits(_))
    }
}

impl Item {
    /// Whether its frames are drawn, so that no decoder is needed.
    pub(crate) fn is_drawn(&self) -> bool {
        matches!(self, Self::Synthetic(_) | Self::MovingDigits(_))
    }
}
