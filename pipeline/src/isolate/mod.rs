//! Decoding in processes of its own, so that a codec that crashes takes only its own streams
//! with it, and sees only its own files.
//!
//! ```text
//! stream's thread ◀── Next, Pixels / Picture, bytes ──▶ thread of the same stream
//!   Remote ─ link                socket a stream                 stream.rs
//!      │ Ask (channel)
//! keeper, one a group ── Grant, Confine, Open + socket ──▶ serve.rs, one a process
//! ```
//!
//! The parent asks for every picture, and for the pixels of those that a clip wants. So it knows
//! of every decoded picture whenever the process dies, and pictures that no clip wants never
//! cross.

mod client;
mod control;
mod grants;
mod pool;
mod process;
mod protocol;
mod sandbox;
mod seccomp;
mod server;
mod supervisor;
mod worker;

#[cfg(test)]
mod tests;

pub use worker::decode_worker;

pub(crate) use client::{Remote, open};
pub(crate) use pool::{Door, Fleet};
