//! The thread that owns the files.

use std::path::PathBuf;
use std::time::Instant;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use crate::catalog::{self, Listed};
use crate::table::columns::batch;
use crate::table::{Table, TableSummary};
use crate::{Record, Result, Seal};

/// What crosses the channel, in order.
#[expect(clippy::large_enum_variant, reason = "64 of them wait at most, and few are small")]
pub(crate) enum Message {
    /// Rows.
    Record(Record),
    /// Close all parts, and say what there is.
    Seal(Sender<Seal>),
}

/// What the thread owns.
pub(crate) struct Writer {
    run: String,
    dir: PathBuf,
    tables: Vec<Table>,
    /// Tables that the catalog lists.
    listed: usize,
}

impl Writer {
    /// `run` is the value of the column `run`, `dir` an absolute path.
    pub(crate) fn new(run: &str, dir: PathBuf, tables: Vec<Table>) -> Self {
        Self { run: run.to_owned(), dir, tables, listed: 0 }
    }

    /// Writes until the channel closes. A table that fails ends the run's writing, but takes no
    /// other table's rows with it.
    pub(crate) fn run(mut self, messages: &Receiver<Message>) -> Result<Vec<TableSummary>> {
        let mut outcome = self.receive(messages);
        for table in &mut self.tables {
            outcome = outcome.and(table.close());
        }
        outcome = outcome.and(self.list());
        outcome.map(|()| self.tables.iter().map(|it| it.summary().clone()).collect())
    }

    fn receive(&mut self, messages: &Receiver<Message>) -> Result<()> {
        loop {
            match self.next(messages) {
                Ok(Message::Record(record)) => {
                    let table = record.table();
                    self.tables[table].write(&batch(&self.run, record)?)?;
                }
                Ok(Message::Seal(answer)) => {
                    let seal = self.seal()?;
                    // Who asked may have given up meanwhile.
                    let _ = answer.send(seal);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            let now = Instant::now();
            self.tables.iter_mut().try_for_each(|it| it.keep_up(now))?;
            self.list()?;
        }
    }

    /// The next message, or a timeout when something is due first.
    fn next(&self, messages: &Receiver<Message>) -> std::result::Result<Message, RecvTimeoutError> {
        match self.tables.iter().filter_map(Table::due).min() {
            Some(due) => messages.recv_deadline(due),
            None => messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }

    fn seal(&mut self) -> Result<Seal> {
        self.tables.iter_mut().try_for_each(Table::close)?;
        self.list()?;
        Ok(Seal::of(self.tables.iter().map(|it| (it.summary().table, it.next()))))
    }

    /// Rewrites the catalog when another table has its first part.
    pub(crate) fn list(&mut self) -> Result<()> {
        let visible = || self.tables.iter().filter(|it| it.summary().parts > 0);
        if visible().count() == self.listed {
            return Ok(());
        }
        let tables: Vec<Listed> = visible()
            .filter_map(|it| {
                Some(Listed { table: it.summary().table, schema: it.schema()?.clone() })
            })
            .collect();
        self.listed = tables.len();
        catalog::write(&self.dir, &tables)
    }
}
