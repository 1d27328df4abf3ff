//! The library from outside: real threads, real files, real decoders.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod bad_input;
mod config;
mod file_frames;
mod files;
mod gop;
mod media;
mod mixing;
mod motion;
mod moving_digits;
mod picture;
mod resume;
mod scene;
