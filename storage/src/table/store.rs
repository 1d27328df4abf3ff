//! The end of the channel that feeds the writer.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Sender, bounded};

use crate::disk::lock::{Lock, lock};
use crate::disk::publish::{failed, make_folder, sync_folder};
use crate::resume::wal;
use crate::resume::{self, Kept};
use crate::table::columns::TABLES;
use crate::table::part_names as parts;
use crate::table::writer::{Message, Writer};
use crate::table::{Table, TableSummary};
use crate::{Config, Error, Record, Result, Run, Seal, catalog};

/// Records that may wait for the disk before [`Store::write`] does.
const QUEUE: usize = 64;

/// The sending end of a run's tables. It holds the [`Lock`] of the run's folder.
///
/// Dropped without [`Store::finish`], it still waits until all is on disk and logs what failed.
pub struct Store {
    messages: Option<Sender<Message>>,
    thread: Option<JoinHandle<Result<Vec<TableSummary>>>>,
    _lock: Lock,
}

/// Makes the folders of a fresh run and starts the thread that writes to them.
///
/// # Errors
/// When the configuration is not valid, when the folder holds rows of an earlier run or is being
/// written ([`Error::Occupied`], [`Error::Busy`]), and when it cannot be written.
pub fn start(config: &Config, run: &Run) -> Result<Store> {
    config.validate()?;
    make_folder(&config.dir)?;
    let lock = lock(&config.dir)?;
    refuse_rows(&config.dir)?;
    launch(config, run, lock, TABLES.map(Kept::nothing).into())
}

/// Goes on after a checkpoint. Rows that came later are not deleted but set aside, in
/// `<dir>/superseded/<n>/<table>`, also those that only a write-ahead file holds.
///
/// # Errors
/// As [`start`], but parts are welcome; and before anything is moved, [`Error::Missing`] when a
/// part of the checkpoint is not there, [`Error::Merged`] when one also holds later rows, and
/// [`Error::Unreadable`] when one cannot be read.
pub fn resume(config: &Config, run: &Run, seal: &Seal) -> Result<Store> {
    config.validate()?;
    make_folder(&config.dir)?;
    let lock = lock(&config.dir)?;
    let kept = resume::kept(&config.dir, seal)?;
    resume::set_aside(&config.dir, seal)?;
    launch(config, run, lock, kept)
}

fn launch(config: &Config, run: &Run, lock: Lock, kept: Vec<Kept>) -> Result<Store> {
    let dir = prepare(&config.dir)?;
    let metadata = run.metadata();
    let tables = kept.into_iter().map(|it| Table::new(&dir, config, &metadata, it)).collect();
    catalog::write(&dir, &[])?;
    let mut writer = Writer::new(&run.name, dir, tables);
    writer.list()?;
    let (messages, receiver) = bounded(QUEUE);
    let thread = thread::Builder::new()
        .name("writer".to_owned())
        .spawn(move || writer.run(&receiver))
        .map_err(Error::Thread)?;
    Ok(Store { messages: Some(messages), thread: Some(thread), _lock: lock })
}

impl Store {
    /// Hands a record over. Waits while 64 records are waiting already: a slow disk slows the run
    /// down, it loses nothing.
    ///
    /// # Errors
    /// [`Error::Stopped`] when the writer has failed; [`Store::finish`] says of what.
    ///
    /// # Panics
    /// When the columns of embeddings are not of one length.
    pub fn write(&self, record: Record) -> Result<()> {
        record.check();
        self.send(Message::Record(record))
    }

    /// Waits until all that was written before is in closed parts, on disk. Returns what there is:
    /// a checkpoint that keeps it can be resumed from.
    ///
    /// # Errors
    /// [`Error::Stopped`] when the writer has failed; [`Store::finish`] says of what.
    pub fn seal(&self) -> Result<Seal> {
        let (answer, sealed) = bounded(1);
        self.send(Message::Seal(answer))?;
        sealed.recv().map_err(|_| Error::Stopped)
    }

    /// Waits until all is on disk. Returns what there is of each table.
    ///
    /// # Errors
    /// The writer's own error, if it failed at any time.
    pub fn finish(mut self) -> Result<Vec<TableSummary>> {
        self.join()
    }

    fn send(&self, message: Message) -> Result<()> {
        let messages = self.messages.as_ref().ok_or(Error::Stopped)?;
        messages.send(message).map_err(|_| Error::Stopped)
    }

    fn join(&mut self) -> Result<Vec<TableSummary>> {
        self.messages = None;
        let thread = self.thread.take().ok_or(Error::Stopped)?;
        thread.join().unwrap_or(Err(Error::Stopped))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if self.thread.is_none() {
            return;
        }
        if let Err(error) = self.join() {
            tracing::error!(error = &error as &dyn std::error::Error, "the tables are not whole");
        }
    }
}

/// Makes the folders. Returns the run's folder as an absolute path.
fn prepare(dir: &Path) -> Result<PathBuf> {
    for folder in TABLES.map(|it| dir.join(it)).into_iter().chain([wal::folder(dir)]) {
        make_folder(&folder)?;
    }
    sync_folder(dir)?;
    fs::canonicalize(dir).map_err(failed("find", dir))
}

/// An unfinished part counts as well, and a write-ahead file most of all: nothing else may hold
/// its rows.
fn refuse_rows(dir: &Path) -> Result<()> {
    for table in TABLES {
        let folder = dir.join(table);
        let wal = wal::list(dir, table)?.into_iter().map(|(_, path)| path).next();
        let part = |it: &&String| it.starts_with("part-") || it.starts_with(".part-");
        let part = parts::names(&folder)?.iter().find(part).map(|it| folder.join(it));
        if let Some(path) = part.or(wal) {
            return Err(Error::Occupied { path });
        }
    }
    Ok(())
}
