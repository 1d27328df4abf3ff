//! What of each table belongs to a checkpoint.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::table::columns::TABLES;
use crate::table::part_names as parts;

/// For each table, the number of the part that comes next: all below it belong to the checkpoint.
/// Nothing of a table that is not named does.
///
/// [`Store::seal`](crate::Store::seal) makes one, a checkpoint keeps it, and
/// [`resume`](fn@crate::resume) goes on after it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seal(BTreeMap<String, u64>);

impl Seal {
    pub(crate) fn of(next: impl Iterator<Item = (&'static str, u64)>) -> Self {
        Self(next.map(|(table, number)| (table.to_owned(), number)).collect())
    }

    /// All parts in the folder of a run that nobody writes.
    ///
    /// # Errors
    /// [`Error::File`](crate::Error::File) when the folder cannot be listed.
    pub fn whole(dir: &Path) -> Result<Self> {
        let next = |table| Ok((table, parts::next(&parts::list(&dir.join(table))?)));
        Ok(Self::of(TABLES.into_iter().map(next).collect::<Result<Vec<_>>>()?.into_iter()))
    }

    /// Number of the table's first part that does not belong.
    pub(crate) fn next(&self, table: &str) -> u64 {
        self.0.get(table).copied().unwrap_or(0)
    }
}
