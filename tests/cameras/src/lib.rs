//! Test equipment: cameras that break on command.
//!
//! ```text
//! media::h264(..) ─▶ file ─▶ Camera (a process of its own) ─▶ rtsp://127.0.0.1:PORT/cam
//!                              kill, freeze, thaw, restart, lose
//! ```
//!
//! What goes wrong here is a test that fails, so everything panics instead of giving errors.

mod camera;
pub mod media;
mod mute;

pub use camera::{Camera, Options};
pub use mute::{Mute, mute};
