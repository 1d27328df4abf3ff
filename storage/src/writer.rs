//! The thread that owns the files, and the end of the channel that feeds it.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use crate::columns::{TABLES, batch};
use crate::publish::{failed, sync_folder};
use crate::table::{Table, TableSummary};
use crate::views::{self, View};
use crate::{Config, Error, Record, Result};

/// Records that may wait for the disk before [`Store::write`] does.
const QUEUE: usize = 64;

/// The sending end of a run's tables.
///
/// Dropped without [`Store::finish`], it still waits until all is on disk and logs what failed.
pub struct Store {
    records: Option<Sender<Record>>,
    thread: Option<JoinHandle<Result<Vec<TableSummary>>>>,
}

/// Makes the run's folders and starts the thread that writes to them.
///
/// `run` is the value of the column `run`.
///
/// # Errors
/// When the configuration is not valid, when the folder holds parts of an earlier run, and when
/// it cannot be written.
pub fn start(config: &Config, run: &str) -> Result<Store> {
    config.validate()?;
    let dir = prepare(&config.dir)?;
    views::write(&dir, &[])?;
    let (records, receiver) = bounded(QUEUE);
    let writer = Writer::new(run, dir, config);
    let thread = thread::Builder::new()
        .name("writer".to_owned())
        .spawn(move || writer.run(&receiver))
        .map_err(Error::Thread)?;
    Ok(Store { records: Some(records), thread: Some(thread) })
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
        let records = self.records.as_ref().ok_or(Error::Stopped)?;
        records.send(record).map_err(|_| Error::Stopped)
    }

    /// Waits until all is on disk. Returns what there is of each table.
    ///
    /// # Errors
    /// The writer's own error, if it failed at any time.
    pub fn finish(mut self) -> Result<Vec<TableSummary>> {
        self.join()
    }

    fn join(&mut self) -> Result<Vec<TableSummary>> {
        self.records = None;
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

/// What the thread owns.
struct Writer {
    run: String,
    dir: PathBuf,
    tables: [Table; TABLES.len()],
    /// Tables that `views.sql` lists.
    listed: usize,
}

impl Writer {
    fn new(run: &str, dir: PathBuf, config: &Config) -> Self {
        let tables = TABLES.map(|name| Table::new(name, &dir, config));
        Self { run: run.to_owned(), dir, tables, listed: 0 }
    }

    /// Writes until the channel closes. A table that fails ends the run's writing, but takes no
    /// other table's rows with it.
    fn run(mut self, records: &Receiver<Record>) -> Result<Vec<TableSummary>> {
        let mut outcome = self.receive(records);
        for idx in 0..self.tables.len() {
            outcome = outcome.and(self.tables[idx].close());
        }
        outcome = outcome.and(self.list());
        outcome.map(|()| self.tables.iter().map(|it| it.summary().clone()).collect())
    }

    fn receive(&mut self, records: &Receiver<Record>) -> Result<()> {
        loop {
            match self.next(records) {
                Ok(record) => {
                    let table = record.table();
                    self.tables[table].write(&batch(&self.run, record)?)?;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            self.close_old()?;
            self.list()?;
        }
    }

    /// The next record, or a timeout when a part grows too old first.
    fn next(&self, records: &Receiver<Record>) -> std::result::Result<Record, RecvTimeoutError> {
        match self.tables.iter().filter_map(Table::due).min() {
            Some(due) => records.recv_deadline(due),
            None => records.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }

    fn close_old(&mut self) -> Result<()> {
        let now = Instant::now();
        let old = |it: &&mut Table| it.due().is_some_and(|due| due <= now);
        self.tables.iter_mut().filter(old).try_for_each(Table::close)
    }

    /// Rewrites `views.sql` when another table has its first part.
    fn list(&mut self) -> Result<()> {
        let visible = || self.tables.iter().filter(|it| it.summary().parts > 0);
        if visible().count() == self.listed {
            return Ok(());
        }
        let views: Vec<View> =
            visible().map(|it| View { table: it.summary().table, vectors: it.vectors() }).collect();
        self.listed = views.len();
        views::write(&self.dir, &views)
    }
}

/// Makes the folders, each empty of parts. Returns the run's folder as an absolute path.
fn prepare(dir: &Path) -> Result<PathBuf> {
    for table in TABLES {
        let table = dir.join(table);
        fs::create_dir_all(&table).map_err(failed("create the folder", &table))?;
        refuse_parts(&table)?;
    }
    sync_folder(dir)?;
    fs::canonicalize(dir).map_err(failed("find", dir))
}

/// An unfinished part counts as well: its run may still be writing it.
fn refuse_parts(table: &Path) -> Result<()> {
    let entries = fs::read_dir(table).map_err(failed("list", table))?;
    for entry in entries {
        let entry = entry.map_err(failed("list", table))?;
        if entry.file_name().to_string_lossy().starts_with("part-") {
            return Err(Error::Occupied { path: entry.path() });
        }
    }
    Ok(())
}
