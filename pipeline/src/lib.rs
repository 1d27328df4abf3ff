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

mod address;
mod config;
mod memory;

mod mask;
mod picture;
mod planes;
mod scale;
mod source;

mod clip;
mod event;
mod gaps;
mod grid;
mod motion;
mod sampler;
mod scene;
mod stream;
mod tally;
mod window;

mod batch;
mod draw;
mod ingest;
mod ledger;
mod outlet;
mod pool;
mod random;
mod report;
mod standing;
mod stop;

mod error;
mod probe;
mod worker;

pub use address::Address;
pub use batch::Batch;
pub use clip::{Captured, ClipInfo, Clock, Counts};
pub use config::{
    BatchConfig, ClipConfig, Config, Decoder, Fit, Isolation, Protocol, Region, Retry, Sample,
    SourceConfig, StreamConfig, WhenFull,
};
pub use error::{Error, Problem, Result};
pub use event::{Event, State};
pub use ingest::{Ingest, resume, start};
pub use ledger::{Outcome, StreamReport};
pub use probe::{Found, items, probe};
pub use source::{MovingDigits, Sequences, Synthetic, Trajectory};
pub use standing::{Mark, Packed, Standing};
pub use worker::decode_worker;
