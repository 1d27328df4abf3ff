//! How far each table was written at a checkpoint.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::table::columns::TABLES;
use crate::table::part_names;

/// For each table, the number of the first part after the checkpoint. All earlier parts belong to
/// the checkpoint. A table that is not listed has no parts that belong to it.
///
/// [`Store::sync`](crate::Store::sync) returns one, a checkpoint stores it, and
/// [`resume`](fn@crate::resume) continues after it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Watermark(BTreeMap<String, u64>);

impl Watermark {
    pub(crate) fn new(next: impl Iterator<Item = (&'static str, u64)>) -> Self {
        Self(next.map(|(table, number)| (table.to_owned(), number)).collect())
    }

    /// The watermark after all parts in a run's folder, to which no process may write.
    ///
    /// # Errors
    /// [`Error::File`](crate::Error::File) when the folder cannot be listed.
    pub fn of_folder(dir: &Path) -> Result<Self> {
        let next = |table| Ok((table, part_names::next(&part_names::list(&dir.join(table))?)));
        Ok(Self::new(TABLES.into_iter().map(next).collect::<Result<Vec<_>>>()?.into_iter()))
    }

    /// Number of the table's first part after the checkpoint.
    pub(crate) fn next(&self, table: &str) -> u64 {
        self.0.get(table).copied().unwrap_or(0)
    }
}
