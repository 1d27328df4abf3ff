//! Turns many video streams into batches of clips.
//!
//! ```text
//! source ──frame──▶ sampler ──clip──▶ [bounded] ──▶ batcher ──batch──▶ [bounded] ──▶ caller
//! └──── one thread per stream ────┘              └ one thread ┘
//! ```
//!
//! There is no control channel: dropping the [`Ingest`] stops every thread, and the end of every
//! stream closes the receiver of batches. Every decoded frame has exactly one [`FrameOutcome`],
//! and [`StreamReport`] accounts for all of them.
//!
//! The modules, in reading order:
//!
//! ```text
//! config       what a user writes
//!   address    URIs whose printed forms hold no secrets
//! source       where frames come from
//!   gstreamer  files, cameras and playlists
//!   gop        chooses the coded frames that a clip needs
//!   synthetic  discs and digits that are drawn
//! picture      scales, crops and masks a frame
//! isolate      decodes in worker processes with few rights
//! clip         cuts frames into clips, and counts what becomes of every frame
//!   camera_motion  estimates how the camera moved
//! stream       the thread of one stream: reads, reconnects, sends clips
//! mix          the thread of the batcher: draws clips and stacks them
//! ingest       starts, resumes and stops all threads
//! ```

mod config;

mod source;

mod picture;

mod isolate;

mod clip;

mod stream;

mod mix;

mod ingest;

mod error;
mod random;
mod stop;
mod video_file;

pub use clip::{CaptureTime, ClipInfo, Clock, Counts, FrameOutcome, NamedCount, StreamCounter};
pub use config::{
    Address, BatchConfig, ClipConfig, Config, Decoder, Fit, Isolation, Protocol, Region, Retry,
    Sample, SourceConfig, StreamConfig, WhenFull,
};
pub use error::{Error, Problem, Result};
pub use ingest::{Ingest, ResumeState, SavedState, StreamReport, resume, start};
pub use isolate::decode_worker;
pub use mix::{Batch, BatcherState};
pub use source::{
    FileFrame, FileFrames, MediaInfo, MovingDigits, Sequences, Synthetic, Trajectory, items, probe,
};
pub use stream::{StreamEnd, StreamEvent, StreamState};
pub use video_file::VideoFile;
