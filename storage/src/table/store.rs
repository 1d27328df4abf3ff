//! The handle of the writer thread.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Sender, bounded};

use crate::disk::folder::{create_folder, list_names, sync_folder};
use crate::disk::lock::{Lock, lock};
use crate::error::failed;
use crate::resume::{self, KeptParts, wal};
use crate::table::columns::TABLES;
use crate::table::writer::{Message, Writer};
use crate::table::{Table, TableSummary};
use crate::{Config, Error, Record, Result, RunIdentity, Watermark, catalog};

/// The number of records that wait for the disk before [`Store::write`] blocks.
const QUEUE: usize = 64;

/// Writes a run's tables on a thread of its own. It holds the [`Lock`] of the run's folder.
///
/// A store that is dropped without [`Store::finish`] still waits until everything is on disk, and
/// logs an error.
pub struct Store {
    messages: Option<Sender<Message>>,
    thread: Option<JoinHandle<Result<Vec<TableSummary>>>>,
    _lock: Lock,
}

/// Starts a new run: creates its folders and starts the writer thread.
///
/// # Errors
/// [`Error::Config`] when a value cannot be used, [`Error::FolderNotEmpty`] when the folder holds
/// rows of an earlier run, [`Error::Locked`] when another process writes to it, and [`Error::File`]
/// when it cannot be written.
pub fn start(config: &Config, run: &RunIdentity) -> Result<Store> {
    config.validate()?;
    create_folder(&config.dir)?;
    let lock = lock(&config.dir)?;
    refuse_existing_rows(&config.dir)?;
    start_writer(config, run, lock, TABLES.map(KeptParts::none).into())
}

/// Continues a run after a checkpoint. Later rows, also those in write-ahead files, are moved to
/// `<dir>/superseded/<n>/<table>`.
///
/// # Errors
/// [`Error::Config`], [`Error::Locked`] and [`Error::File`], as [`start`]. Before anything is moved,
/// [`Error::MissingPart`] when a part of the checkpoint is missing, [`Error::PartAcrossCheckpoint`]
/// when one also holds later rows, [`Error::OtherVersion`] when another version wrote it, and
/// [`Error::Unreadable`] when it cannot be read.
pub fn resume(config: &Config, run: &RunIdentity, watermark: &Watermark) -> Result<Store> {
    config.validate()?;
    create_folder(&config.dir)?;
    let lock = lock(&config.dir)?;
    let kept = resume::kept_parts(&config.dir, watermark)?;
    resume::supersede(&config.dir, watermark)?;
    start_writer(config, run, lock, kept)
}

fn start_writer(
    config: &Config,
    run: &RunIdentity,
    lock: Lock,
    kept: Vec<KeptParts>,
) -> Result<Store> {
    let dir = create_folders(&config.dir)?;
    let metadata = run.metadata();
    let tables = kept.into_iter().map(|kept| Table::new(&dir, config, &metadata, kept)).collect();
    catalog::write(&dir, &[])?;
    let mut writer = Writer::new(&run.name, dir, tables);
    writer.update_catalog()?;
    let (messages, receiver) = bounded(QUEUE);
    let thread = thread::Builder::new()
        .name("writer".to_owned())
        .spawn(move || writer.run(&receiver))
        .map_err(Error::Thread)?;
    Ok(Store { messages: Some(messages), thread: Some(thread), _lock: lock })
}

impl Store {
    /// Hands a record to the writer thread. It blocks while 64 records are waiting: a slow disk
    /// slows the run down and loses nothing.
    ///
    /// # Errors
    /// [`Error::WriterStopped`] when the writer has failed; [`Store::finish`] returns its error.
    ///
    /// # Panics
    /// When the columns of embeddings differ in length.
    pub fn write(&self, record: Record) -> Result<()> {
        record.check();
        self.send(Message::Record(record))
    }

    /// Waits until all earlier records are on disk in closed parts. A checkpoint that stores the
    /// returned watermark can be resumed from.
    ///
    /// # Errors
    /// [`Error::WriterStopped`] when the writer has failed; [`Store::finish`] returns its error.
    pub fn sync(&self) -> Result<Watermark> {
        let (answer, watermark) = bounded(1);
        self.send(Message::Sync(answer))?;
        watermark.recv().map_err(|_| Error::WriterStopped)
    }

    /// Waits until everything is on disk. Returns the size of each table.
    ///
    /// # Errors
    /// The writer's first error.
    pub fn finish(mut self) -> Result<Vec<TableSummary>> {
        self.join()
    }

    fn send(&self, message: Message) -> Result<()> {
        let messages = self.messages.as_ref().ok_or(Error::WriterStopped)?;
        messages.send(message).map_err(|_| Error::WriterStopped)
    }

    fn join(&mut self) -> Result<Vec<TableSummary>> {
        self.messages = None;
        let thread = self.thread.take().ok_or(Error::WriterStopped)?;
        thread.join().unwrap_or(Err(Error::WriterStopped))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if self.thread.is_none() {
            return;
        }
        if let Err(error) = self.join() {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "the tables are incomplete");
        }
    }
}

/// Creates the folders of the tables. Returns the run's folder as an absolute path.
fn create_folders(dir: &Path) -> Result<PathBuf> {
    for folder in TABLES.map(|table| dir.join(table)).into_iter().chain([wal::folder(dir)]) {
        create_folder(&folder)?;
    }
    sync_folder(dir)?;
    fs::canonicalize(dir).map_err(failed("find", dir))
}

/// Unfinished parts count too, and so do write-ahead files, which may hold rows that no part holds.
fn refuse_existing_rows(dir: &Path) -> Result<()> {
    for table in TABLES {
        let folder = dir.join(table);
        let wal = wal::list(dir, table)?.into_iter().map(|(_, path)| path).next();
        let names = list_names(&folder)?;
        let is_part = |name: &&String| name.starts_with("part-") || name.starts_with(".part-");
        let part = names.iter().find(is_part).map(|name| folder.join(name));
        if let Some(path) = part.or(wal) {
            return Err(Error::FolderNotEmpty { path });
        }
    }
    Ok(())
}
