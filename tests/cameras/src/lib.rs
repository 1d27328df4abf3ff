//! Test equipment: RTSP cameras that break on command.
//!
//! ```text
//! media::h264(..) ─▶ file ─▶ Camera (its own process) ─▶ rtsp://127.0.0.1:PORT/cam
//!                              kill, freeze, thaw, restart, lose
//! ```
//!
//! A problem here fails a test, so functions panic instead of returning errors.

mod camera;
pub mod media;
mod mute;

pub use camera::{Camera, Options};
pub use mute::{Mute, mute};
