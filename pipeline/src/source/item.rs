//! One file, URI or drawing that a stream reads.

use std::{
    fs::{self, File},
    path::{self, Path, PathBuf},
    sync::Arc,
};

use gstreamer::glib;

use super::{MovingDigits, Synthetic, files::unreadable, gstreamer::lacks_index};
use crate::{Address, Problem, config::Revealed};

/// One thing to open.
#[derive(Clone, Debug)]
pub(crate) enum Item {
    File(PathBuf),
    Uri(Address),
    /// A URI whose secrets another process has resolved.
    Revealed(Revealed),
    Synthetic(Synthetic),
    MovingDigits(MovingDigits),
}

impl Item {
    /// The URI to open, after a check if it is a file.
    ///
    /// # Errors
    /// What [`check_file`] finds, and [`Problem::Address`] when a secret has no value.
    pub(crate) fn resolve(&self) -> Result<Revealed, Problem> {
        match self {
            Self::File(path) => {
                check_file(path)?;
                let path = path::absolute(path).map_err(Problem::Unreadable)?;
                let uri = glib::filename_to_uri(path, None);
                let uri = uri.map_err(|it| Problem::Unreachable(it.to_string()))?;
                Ok(Revealed::public(uri.into()))
            }
            Self::Uri(address) => address.reveal(),
            Self::Revealed(revealed) => Ok(revealed.clone()),
            Self::Synthetic(_) | Self::MovingDigits(_) => Err(Problem::NotFound),
        }
    }

    /// How messages name it, without credentials.
    pub(crate) fn label(&self) -> Arc<str> {
        match self {
            Self::File(path) => path.display().to_string().into(),
            Self::Uri(address) => address.to_string().into(),
            Self::Revealed(revealed) => revealed.redact(revealed.as_str()).into(),
            Self::Synthetic(_) => "synthetic".into(),
            Self::MovingDigits(_) => "moving-digits".into(),
        }
    }
}

/// Finds what is wrong with a file where GStreamer's own message would be less clear.
fn check_file(path: &Path) -> Result<(), Problem> {
    let metadata = fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() {
        return Ok(());
    }
    let mut file = File::open(path).map_err(unreadable)?;
    match metadata.len() {
        0 => Err(Problem::Empty),
        _ if lacks_index(&mut file).map_err(unreadable)? => Err(Problem::NoIndex),
        _ => Ok(()),
    }
}
