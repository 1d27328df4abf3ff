//! The thread that owns the files of the tables.

use std::path::PathBuf;
use std::time::Instant;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use crate::table::columns::{TableSchema, batch};
use crate::table::{Table, TableSummary};
use crate::{Record, Result, Watermark, catalog};

/// A message to the writer thread. Messages are handled in order.
#[expect(clippy::large_enum_variant, reason = "at most 64 of them wait, and few are small")]
pub(crate) enum Message {
    /// Write the rows.
    Record(Record),
    /// Close all parts and answer with the watermark.
    Sync(Sender<Watermark>),
}

/// What the thread owns.
pub(crate) struct Writer {
    run: String,
    dir: PathBuf,
    tables: Vec<Table>,
    /// The number of tables in the catalog.
    catalogued: usize,
}

impl Writer {
    /// `run` is the value of the column `run`, `dir` an absolute path.
    pub(crate) fn new(run: &str, dir: PathBuf, tables: Vec<Table>) -> Self {
        Self { run: run.to_owned(), dir, tables, catalogued: 0 }
    }

    /// Writes until the channel closes. When a table fails, nothing more is written, but the other
    /// tables' open parts are still closed.
    pub(crate) fn run(mut self, messages: &Receiver<Message>) -> Result<Vec<TableSummary>> {
        let mut result = self.receive(messages);
        for table in &mut self.tables {
            result = result.and(table.close());
        }
        result = result.and(self.update_catalog());
        result.map(|()| self.tables.iter().map(|table| table.summary().clone()).collect())
    }

    fn receive(&mut self, messages: &Receiver<Message>) -> Result<()> {
        loop {
            match self.next(messages) {
                Ok(Message::Record(record)) => {
                    let table = record.table();
                    self.tables[table].write(&batch(&self.run, record)?)?;
                }
                Ok(Message::Sync(answer)) => {
                    let watermark = self.sync()?;
                    // The caller may have given up.
                    let _ = answer.send(watermark);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            let now = Instant::now();
            self.tables.iter_mut().try_for_each(|table| table.run_due_work(now))?;
            self.update_catalog()?;
        }
    }

    /// The next message, or a timeout when a table has due work before it comes.
    fn next(&self, messages: &Receiver<Message>) -> std::result::Result<Message, RecvTimeoutError> {
        match self.tables.iter().filter_map(Table::next_deadline).min() {
            Some(deadline) => messages.recv_deadline(deadline),
            None => messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }

    fn sync(&mut self) -> Result<Watermark> {
        self.tables.iter_mut().try_for_each(Table::close)?;
        self.update_catalog()?;
        Ok(Watermark::new(self.tables.iter().map(|table| (table.summary().table, table.next()))))
    }

    /// Rewrites the catalog when another table has its first part.
    pub(crate) fn update_catalog(&mut self) -> Result<()> {
        let with_parts = || self.tables.iter().filter(|table| table.summary().parts > 0);
        if with_parts().count() == self.catalogued {
            return Ok(());
        }
        let tables: Vec<TableSchema> = with_parts()
            .filter_map(|table| {
                let schema = table.schema()?.clone();
                Some(TableSchema { table: table.summary().table, schema })
            })
            .collect();
        self.catalogued = tables.len();
        catalog::write(&self.dir, &tables)
    }
}
