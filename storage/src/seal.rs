//! What of each table belongs to a checkpoint.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

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

    /// Number of the table's first part that does not belong.
    pub(crate) fn next(&self, table: &str) -> u64 {
        self.0.get(table).copied().unwrap_or(0)
    }
}
