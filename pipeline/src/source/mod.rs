//! Where frames come from.
//!
//! A source is an iterator of pictures; to add one, write such an iterator in a file of its
//! own and list it in [`SourceConfig`] and [`open`]. Only `elements`, `messages`, `prefix`, `uri`
//! and `decoded` know the GStreamer pipeline.

mod files;
mod gop;
mod gstreamer;
mod picture;
mod probe;
mod readable;
mod side_counts;
mod synthetic;

pub use probe::{Found, items, probe};
pub use synthetic::{MovingDigits, Sequences, Synthetic, Trajectory};

pub(crate) use files::{Item, items as items_of};
pub(crate) use gstreamer::{init, location};
pub(crate) use picture::{Begin, Image, Picture};
pub(crate) use readable::reach;
pub(crate) use side_counts::{Tally, add_some};

use std::sync::Arc;

use crate::{
    ClipConfig, Problem, SourceConfig, StreamConfig,
    isolate::{self, Door},
    stop::Stop,
};

/// Pictures of one file or URI, in the order in which they are shown. The last item may be an
/// error; after it there is nothing.
pub(crate) type Pictures = Box<dyn Iterator<Item = Result<Picture, Problem>>>;

/// What a source must know of the stream that it is opened for.
#[derive(Clone, Debug)]
pub(crate) struct Opening {
    pub(crate) stream: Arc<StreamConfig>,
    pub(crate) clip: ClipConfig,
    pub(crate) stop: Stop,
    pub(crate) tally: Arc<Tally>,
    /// Where a process is found that decodes; none when this one does.
    pub(crate) door: Option<Arc<Door>>,
}

/// Opens one file, URI or drawing.
pub(crate) fn open(item: &Item, opening: &Opening) -> Result<Pictures, Problem> {
    match item {
        Item::Synthetic(it) => Ok(Box::new(it.pictures(opening.stop.clone()))),
        Item::MovingDigits(it) => Ok(Box::new(it.pictures(opening.stop.clone())?)),
        Item::File(_) | Item::Uri(_) | Item::Revealed(_) => match &opening.door {
            Some(door) => isolate::open(item, opening, door),
            None => Ok(Box::new(gstreamer::UriPictures::open(location(item)?, opening)?)),
        },
    }
}

impl SourceConfig {
    /// What a person calls it: the path, the pattern, or the URI without credentials.
    pub(crate) fn label(&self) -> String {
        match self {
            Self::Files(path) => path.clone(),
            Self::Uri(address) => address.to_string(),
            Self::Synthetic(_) => "synthetic".into(),
            Self::MovingDigits(_) => "moving-digits".into(),
        }
    }

    /// Whether a later reading may begin its clips at other frames: sequences begin where they
    /// do.
    pub(crate) fn begins_anywhere(&self) -> bool {
        !matches!(self, Self::MovingDigits(_))
    }

    /// Whether its pictures are drawn, so that no decoder is needed.
    pub(crate) fn is_drawn(&self) -> bool {
        matches!(self, Self::Synthetic(_) | Self::MovingDigits(_))
    }
}
