//! Turns many video streams into batches of clips.
//!
//! ```text
//! source ──Picture──▶ Sampler ──Clip──▶ [bounded] ──▶ batcher ──Batch──▶ [bounded] ──▶ caller
//! └───── one thread a stream ─────┘                └─ one thread ─┘
//! ```
//!
//! There is no control channel: dropping the [`Ingest`] stops every thread, and the end of
//! every stream closes the receiver of batches. Every decoded frame has exactly one fate,
//! which [`StreamReport`] accounts for.

mod error;
mod random;
mod stop;

mod config;
mod picture;
mod source;

mod isolate;

mod clip;
mod mix;
mod stream;

mod ingest;

pub use clip::{Captured, ClipInfo, Clock, Counts};
pub use config::{
    Address, BatchConfig, ClipConfig, Config, Decoder, Fit, Isolation, Protocol, Region, Retry,
    Sample, SourceConfig, StreamConfig, WhenFull,
};
pub use error::{Error, Problem, Result};
pub use ingest::{Ingest, Mark, Outcome, Packed, Standing, StreamReport, resume, start};
pub use isolate::decode_worker;
pub use mix::Batch;
pub use source::{Found, MovingDigits, Sequences, Synthetic, Trajectory, items, probe};
pub use stream::{Event, State};
