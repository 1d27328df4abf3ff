//! Decodes in worker processes, so that a codec that crashes ends only its own streams, and can
//! read only its own files.
//!
//! ```text
//! thread of a stream ◀── Next, Pixels / frame header, bytes ──▶ thread of the same stream
//!   client.rs                 one socket per stream                 server.rs
//!      │ WorkerRequest (channel)
//! supervisor, one per worker ── Grant, Confine, Open + socket ──▶ worker.rs, the process
//! ```
//!
//! The parent asks for every frame, and for the pixels of those that a clip needs. So it knows of
//! every decoded frame even if the process dies, and frames that no clip needs never cross.
//!
//! - `pool`: which streams share a process
//! - `grants`, `sandbox`, `seccomp`: what a process may do
//! - `control`, `protocol`: the messages of the supervisor, and of a stream

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

pub(crate) use client::open;
pub(crate) use pool::{WorkerHandle, WorkerPool};
