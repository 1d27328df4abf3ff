//! Stores what a run produces as Parquet tables, written by one thread, and reads telemetry.
//!
//! ```text
//! Record -> bounded channel -> writer thread -> RecordBatch -> .part-00000.parquet.tmp
//!                                                    |            | fsync, rename, fsync
//!             every row until its part is closed: wal/        part-00000.parquet
//!                                                                 |
//!                                             views.sql, dataset.json
//! ```
//!
//! A Parquet file without its footer cannot be read. A table is therefore a series of files, its
//! parts: each is written under a temporary name and renamed when it is finished. A reader that
//! opens `<dir>/<table>/*.parquet` at any moment, even after a crash, finds only whole parts. The
//! rows of a part that is still open are also in a write-ahead file, which survives a crash.
//!
//! A checkpoint stores a [`Watermark`], and [`resume()`] continues after it: every row of the
//! finished table is written exactly once. [`recover()`] closes the tables of a killed run that is
//! not resumed, and [`compact()`] merges many small parts into a few large ones. A [`Mirror`] copies
//! a run's folder to an object store.

mod config;
mod error;
mod identity;
mod record;

mod table;

pub mod checkpoint_names;
mod resume;

mod compact;

mod catalog;

pub mod disk;

mod remote;

pub mod telemetry;

pub use compact::{CompactedRun, CompactedTable, compact};
pub use config::Config;
pub use disk::free_space::free_space;
pub use disk::lock::{Lock, lock};
pub use error::{Error, Result};
pub use identity::{RunIdentity, SCHEMA_VERSION};
pub use record::{
    Embeddings, EventRow, Events, Metrics, Record, StreamCount, StreamRow, Streams, VectorColumn,
};
pub use remote::{Mirror, Reason, Remote};
pub use resume::recover::{Recovered, recover};
pub use resume::watermark::Watermark;
pub use table::TableSummary;
pub use table::columns::bytes_per_embedding;
pub use table::last_metrics::{StepValues, last_metrics};
pub use table::store::{Store, resume, start};
pub use telemetry::Telemetry;
