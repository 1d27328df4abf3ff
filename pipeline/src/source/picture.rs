//! A decoded picture that is scaled only when a clip wants it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    gstreamer::Decoded,
    synthetic::{Digit, Drawn},
};
use crate::{Captured, Problem, isolate::Remote, picture::Scaler};

/// What a source yields: a picture and when it is shown.
#[derive(Debug)]
pub(crate) struct Picture {
    /// Stream time in seconds.
    pub(crate) time: f64,
    /// The picture does not continue the one before it: data was lost, or the format changed.
    pub(crate) discontinuity: bool,
    /// When it was captured, of a live source.
    pub(crate) captured: Option<Captured>,
    /// It is the first of a run that is cut for itself, of a stream that is not decoded whole.
    pub(crate) begins: Option<Begin>,
    pub(crate) image: Image,
}

/// What a picture is the first of.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) enum Begin {
    /// The beginning of a group of pictures that one clip needs, and no more of it.
    Prefix,
    /// Pictures without an omission.
    Dense,
}

/// A picture that was not scaled yet. It is cheap to hold, but a decoded one occupies a surface
/// of its decoder: hold one at a time.
#[derive(Debug)]
pub(crate) enum Image {
    Decoded(Decoded),
    Drawn(Drawn),
    Digit(Digit),
    /// Held by a process of its own, which scales it too.
    Remote(Remote),
}

impl Image {
    /// RGB of the training size, `[height, width, 3]`.
    pub(crate) fn pixels(&self, scaler: &mut Scaler) -> Result<Arc<[u8]>, Problem> {
        match self {
            Self::Decoded(it) => it.pixels(scaler),
            Self::Drawn(it) => Ok(scaler.mask(it.pixels(scaler.size()))),
            Self::Digit(it) => Ok(scaler.mask(it.pixels(scaler.size()))),
            Self::Remote(it) => it.pixels(scaler.size()),
        }
    }
}
