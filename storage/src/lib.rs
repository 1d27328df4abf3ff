//! Keeps what a run produces as Parquet tables, written by one thread, and reads telemetry.
//!
//! ```text
//! Record -> bounded channel -> writer thread -> RecordBatch -> .part-00000.parquet.tmp
//!                                                    |            | fsync, rename, fsync
//!              every row until its part is closed: wal/        part-00000.parquet
//!                                                                 |
//!                                             views.sql, dataset.json
//! ```
//!
//! A Parquet file without its footer cannot be read, so a table is a series of parts: each is
//! written under a temporary name and renamed when it is whole. A reader that opens
//! `<dir>/<table>/*.parquet` at any moment, also after a crash, finds whole parts only. What a
//! crash leaves of an open part is in a write-ahead file.
//!
//! A checkpoint keeps a [`Seal`]. [`resume()`] goes on after it, so that every row of the finished
//! table was written exactly once; [`recover()`] is for a run that nobody resumes, and [`compact()`]
//! makes few large parts of many small ones. A [`Mirror`] keeps a folder of an object store like the
//! run's own.

mod config;
mod error;
mod identity;
mod record;

mod table;

mod resume;

mod compact;

mod catalog;

mod disk;

mod remote;

pub mod telemetry;

pub use compact::{Compacted, CompactedTable, compact};
pub use config::Config;
#[doc(hidden)]
pub use disk::fault;
pub use disk::free_space::room;
pub use disk::lock::{Lock, lock};
pub use error::{Error, Result};
pub use identity::{Run, SCHEMA_VERSION};
pub use record::{Embeddings, EventRow, Events, Metrics, Record, StreamRow, Streams, Vectors};
pub use remote::{Mirror, Reason, Remote};
pub use resume::recover::{Recovered, recover};
pub use resume::watermark::Seal;
pub use table::TableSummary;
pub use table::columns::bytes_per_embedding;
pub use table::last_metrics::{Reading, reading};
pub use table::store::{Store, resume, start};
pub use telemetry::Telemetry;
