//! What can go wrong, in words that say what to do about it.

use std::io;
use std::path::PathBuf;

use arrow::error::ArrowError;
use parquet::errors::ParquetError;

use crate::remote;

/// What can go wrong, in words that say what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A value in the configuration cannot be used.
    #[error("`{key}` {message}")]
    Config {
        /// The dotted key, as the user would write it.
        key: &'static str,
        /// What the value must be.
        message: String,
    },
    /// The run's folder holds the tables of an earlier run, which are never written over.
    #[error(
        "{path:?} belongs to an earlier run: choose another `storage.dir`, or move that run's \
         folder away"
    )]
    Occupied {
        /// The first part that was found.
        path: PathBuf,
    },
    /// Another process holds the run's [`Lock`](crate::Lock).
    #[error(
        "{path:?} is in use by another process: wait until it has ended, or end it, and try again"
    )]
    Busy {
        /// The run's folder.
        path: PathBuf,
    },
    /// A part is not there, though the checkpoint or a later part says that it was written.
    #[error(
        "{path:?} is missing: put it back, or resume from a checkpoint that came before it; \
         without it the table would have a hole"
    )]
    Missing {
        /// The part.
        path: PathBuf,
    },
    /// A part holds rows that another part holds, too.
    #[error("{path:?} holds rows that the part before it holds too: move one of them away")]
    Twice {
        /// The later of the two.
        path: PathBuf,
    },
    /// A part holds rows from before and from after the checkpoint.
    #[error(
        "{path:?} holds rows from before and after the checkpoint, because the tables were \
         compacted across it: resume from a later checkpoint"
    )]
    Merged {
        /// The part.
        path: PathBuf,
    },
    /// A closed part cannot be read.
    #[error("could not read {path:?}: it is damaged; put a copy of it in its place")]
    Unreadable {
        /// The part.
        path: PathBuf,
        /// The Parquet reader's reason.
        source: ParquetError,
    },
    /// A merged part does not hold the rows that it should.
    #[error(
        "{path:?} does not hold the rows of the parts that it was merged from: the table was left \
         as it is; check the disk and the memory of this machine, and try again"
    )]
    Differs {
        /// The merged part.
        path: PathBuf,
    },
    /// The file system refused.
    #[error(
        "could not {action} {path:?}: check that the folder is still there and writable, and \
         that its disk has room"
    )]
    File {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file or folder that it was tried on.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A part could not be written to the end.
    #[error(
        "could not write {path:?}: check that its disk has room; the parts that were closed \
         before can be read, and the rows since are in the write-ahead file"
    )]
    Part {
        /// The part under its temporary name.
        path: PathBuf,
        /// The Parquet writer's reason.
        source: ParquetError,
    },
    /// The object store refused, or was not there.
    #[error("could not {action} {place}: check {}", remote::to_check(place))]
    Remote {
        /// What was tried, as a verb.
        action: &'static str,
        /// The object's URL.
        place: String,
        /// The store's reason.
        source: remote::Reason,
    },
    /// The folder of the object store belongs to another run.
    #[error(
        "{place} belongs to another run, {run}: choose another `storage.url`, or go on with that \
         run in an empty `storage.dir`"
    )]
    Owned {
        /// The folder's URL.
        place: String,
        /// The id of the run.
        run: String,
    },
    /// Another process goes on with the run.
    #[error(
        "{place} was taken over by another process of this run: let only one of them go on, in one \
         folder"
    )]
    Taken {
        /// The folder's URL.
        place: String,
    },
    /// An object of the run's folder has other bytes than the run's file.
    #[error(
        "{place} is not what this run wrote: another process writes to it, or the run's folder was \
         changed; end the other one, or choose another `storage.url`"
    )]
    Foreign {
        /// The object's URL.
        place: String,
    },
    /// A part is not in the object store, though a checkpoint in it says that it was written.
    #[error("{place} is missing: put it back, or begin anew under another `storage.url`")]
    Gone {
        /// The object's URL.
        place: String,
    },
    /// A record's columns do not make a row group of its table.
    #[error("a record does not fit the columns of the table {table}")]
    Columns {
        /// The table it was meant for.
        table: &'static str,
        /// Arrow's reason.
        source: ArrowError,
    },
    /// The columns of a table changed within a run.
    #[error(
        "the columns of the table {table} changed from [{before}] to [{now}]: a run's vectors keep \
         their names and widths, and its loss terms their names; write other ones to another \
         `storage.dir`"
    )]
    Changed {
        /// The table.
        table: &'static str,
        /// The columns of its first record.
        before: String,
        /// The columns of the record that was refused.
        now: String,
    },
    /// A file of telemetry cannot be used.
    #[error("telemetry {path:?} {message}")]
    Telemetry {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        message: String,
    },
    /// The writer thread could not be started.
    #[error("could not start the thread that writes the tables: close other programs")]
    Thread(#[source] io::Error),
    /// The thread that copies to the object store has ended; [`Mirror::finish`](crate::Mirror::finish) says why.
    #[error(
        "the run is no longer copied to the object store: a defect, if nothing before says why"
    )]
    Unmirrored,
    /// The writer thread has ended; [`Store::finish`](crate::Store::finish) says why.
    #[error("the tables are no longer written: finish the store to learn why")]
    Stopped,
}

/// A result whose error is this crate's [`enum@Error`].
pub type Result<T> = std::result::Result<T, Error>;
