//! Frames of anything that GStreamer plays.

mod backlog;
mod bus;
mod camera;
mod decoders;
mod frame;
mod mp4;
mod pipeline;
mod reader;
mod teardown;

pub(crate) use frame::Decoded;
pub(crate) use pipeline::init;
pub(crate) use reader::{UriPictures, location};

pub(super) use decoders::is_decoder;
pub(super) use mp4::lacks_index;
