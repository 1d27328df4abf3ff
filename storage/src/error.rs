//! What can go wrong. Each message names the cause and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use arrow::error::ArrowError;
use parquet::errors::ParquetError;

use crate::{SCHEMA_VERSION, remote};

/// An error of this crate.
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
    /// The run's folder holds the tables of an earlier run, which are never overwritten.
    #[error(
        "{path:?} belongs to an earlier run: choose another `storage.dir`, or move that run's \
         folder away"
    )]
    FolderNotEmpty {
        /// The first part or write-ahead file that was found.
        path: PathBuf,
    },
    /// Another process holds the run's [`Lock`](crate::Lock).
    #[error("{path:?} is in use by another process: wait until it has ended, or stop it")]
    Locked {
        /// The run's folder.
        path: PathBuf,
    },
    /// A part is missing, although the checkpoint or a later part says that it was written.
    #[error(
        "{path:?} is missing, and without it the table would have a gap: put it back, or resume \
         from a checkpoint that was written before it"
    )]
    MissingPart {
        /// The part.
        path: PathBuf,
    },
    /// Two parts hold the same rows.
    #[error("{path:?} holds rows that the part before it also holds: move one of them away")]
    OverlappingParts {
        /// The later of the two.
        path: PathBuf,
    },
    /// A part holds rows from before and after the checkpoint.
    #[error(
        "{path:?} holds rows from before and after the checkpoint, because the tables were \
         compacted across it: resume from a later checkpoint"
    )]
    PartAcrossCheckpoint {
        /// The part.
        path: PathBuf,
    },
    /// A part has the columns of another version of this crate.
    #[error(
        "{path:?} was written by another version of this program, with tables of version \
         {version}, and this one writes version {SCHEMA_VERSION}: resume with the version that \
         started the run, or start a new run in another `storage.dir`"
    )]
    OtherVersion {
        /// The part.
        path: PathBuf,
        /// The version of its columns, as the part states it.
        version: String,
    },
    /// A closed part cannot be read.
    #[error("could not read {path:?}, because it is damaged: replace it with a copy")]
    Unreadable {
        /// The part.
        path: PathBuf,
        /// The Parquet reader's reason.
        source: ParquetError,
    },
    /// A merged part does not hold the rows that it should.
    #[error(
        "{path:?} does not hold the rows of the parts that it was merged from, so the table was \
         left as it was: check the disk and the memory of this machine, and try again"
    )]
    MergeMismatch {
        /// The merged part.
        path: PathBuf,
    },
    /// The file system reported an error.
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
    /// A part could not be finished.
    #[error(
        "could not write {path:?}: check that its disk has room; the parts that were closed \
         before are readable, and later rows are in the write-ahead file"
    )]
    WritePart {
        /// The part under its temporary name.
        path: PathBuf,
        /// The Parquet writer's reason.
        source: ParquetError,
    },
    /// The object store reported an error or could not be reached.
    #[error("could not {action} {url}: check {}", remote::to_check(url))]
    Remote {
        /// What was tried, as a verb.
        action: &'static str,
        /// The object's URL.
        url: String,
        /// The store's reason.
        source: remote::Reason,
    },
    /// The folder in the object store belongs to another run.
    #[error(
        "{url} belongs to another run, {run_id}: choose another `storage.url`, or continue that \
         run in an empty `storage.dir`"
    )]
    OtherRun {
        /// The folder's URL.
        url: String,
        /// The id of the run that owns the folder.
        run_id: String,
    },
    /// Another process has taken over the run.
    #[error(
        "another process of this run has taken over {url}: let only one process run it, in one \
         folder"
    )]
    LeaseLost {
        /// The folder's URL.
        url: String,
    },
    /// An object in the run's folder differs from the run's file of that name.
    #[error(
        "{url} differs from the file that this run wrote, because another process writes there, \
         or the run's folder was changed: stop the other process, or choose another `storage.url`"
    )]
    ObjectConflict {
        /// The object's URL.
        url: String,
    },
    /// A part is missing in the object store, although a checkpoint there says that it was written.
    #[error("{url} is missing: put it back, or start a new run with another `storage.url`")]
    MissingObject {
        /// The object's URL.
        url: String,
    },
    /// A record's columns cannot be made into rows of its table.
    #[error(
        "a record does not fit the columns of the table {table}: this is a bug, please report it"
    )]
    Columns {
        /// The table that the record belongs to.
        table: &'static str,
        /// Arrow's reason.
        source: ArrowError,
    },
    /// The columns of a table changed within a run.
    #[error(
        "the columns of the table {table} changed from [{before}] to [{now}]: a run's vectors must \
         keep their names and widths, and its loss terms their names; choose another `storage.dir` \
         for a run with other columns"
    )]
    ColumnsChanged {
        /// The table.
        table: &'static str,
        /// The columns of its first record.
        before: String,
        /// The columns of the record that was refused.
        now: String,
    },
    /// A telemetry file cannot be used.
    #[error("telemetry {path:?} {message}")]
    Telemetry {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        message: String,
    },
    /// A thread could not be started.
    #[error("could not start a thread: stop other programs, or raise the limit on threads")]
    Thread(#[source] io::Error),
    /// The thread that copies to the object store has ended;
    /// [`Mirror::finish`](crate::Mirror::finish) returns its error.
    #[error(
        "the run is no longer copied to the object store: if no earlier message explains this, \
         please report a bug"
    )]
    MirrorStopped,
    /// The thread that writes the tables has ended; [`Store::finish`](crate::Store::finish) returns
    /// its error.
    #[error(
        "the tables are no longer written: if no earlier message explains this, please report a bug"
    )]
    WriterStopped,
}

/// A result whose error is this crate's [`enum@Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// Turns the system's reason into an error that names what was tried on which path.
pub(crate) fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::File { action, path, source }
}
