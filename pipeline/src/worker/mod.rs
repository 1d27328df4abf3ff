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

mod confine;
mod control;
mod filter;
mod grants;
mod group;
mod keeper;
mod link;
mod process;
mod serve;
mod stream;
mod wire;

#[cfg(test)]
mod tests;

pub use serve::decode_worker;

pub(crate) use group::{Door, Fleet};
pub(crate) use link::{Remote, open};
