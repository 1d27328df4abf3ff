//! A frame as a source gives it, before it is scaled.

use std::{fmt::Debug, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{CaptureTime, Problem, picture::Scaler};

/// Frames of one file or URI in display order. The last item may be an error; nothing follows it.
pub(crate) type SourceFrames = Box<dyn Iterator<Item = Result<SourceFrame, Problem>>>;

/// A frame that is not scaled yet, and when it is shown.
#[derive(Debug)]
pub(crate) struct SourceFrame {
    /// Stream time in seconds.
    pub(crate) time: f64,
    /// The frame does not continue the one before it: data was lost, or the format changed.
    pub(crate) discontinuity: bool,
    /// When a live source captured it.
    pub(crate) captured: Option<CaptureTime>,
    /// Set on the first frame of a run, in streams of which only parts are decoded.
    pub(crate) run_start: Option<RunStart>,
    pub(crate) image: Box<dyn Image>,
}

/// What kind of run a frame is the first of. No clip spans two runs.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) enum RunStart {
    /// The beginning of a group of pictures (GOP), as long as one clip needs.
    GopPrefix,
    /// Frames of which none is left out.
    Dense,
}

/// The pixels of a frame, scaled only when a clip needs them.
///
/// An image is cheap to hold, but a decoded one occupies a surface of its decoder: hold one at a
/// time.
pub(crate) trait Image: Debug {
    /// RGB of the training size, `[height, width, 3]`.
    ///
    /// # Errors
    /// [`Problem::Decode`] when the image cannot be read or scaled, [`Problem::Crashed`] when the
    /// process that holds it died.
    fn pixels(&self, scaler: &mut Scaler) -> Result<Arc<[u8]>, Problem>;
}
