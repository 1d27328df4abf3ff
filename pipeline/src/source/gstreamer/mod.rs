//! Decodes anything that GStreamer plays: files, RTSP, HLS.
//!
//! ```text
//! pipeline  builds the elements: a camera's own chain (camera) or uridecodebin
//! decoders  orders hardware and software decoders
//! backlog   drops coded frames of a camera when decoding is too slow
//! reader    pulls frames out of a running pipeline, and notices when none come
//! bus       turns GStreamer's messages into problems
//! frame     an image in a buffer of the decoder
//! teardown  stops a pipeline without waiting for it for ever
//! mp4       checks that an mp4 file has its index
//! ```

mod backlog;
mod bus;
mod camera;
mod decoders;
mod frame;
mod mp4;
mod pipeline;
mod reader;
mod teardown;

pub(crate) use pipeline::init;

pub(super) use decoders::is_decoder;
pub(super) use mp4::lacks_index;
pub(super) use reader::FrameReader;
