//! Which parts become one, and the one that they become.

use std::collections::BTreeSet;
use std::path::Path;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use crate::identity::Metadata;
use crate::table::footer::Footer;
use crate::table::part::Part;
use crate::table::part_names::{self as parts, Closed};
use crate::{Error, Result};

/// Rows at which a merged part is full: what a part of the default configuration holds, so that a
/// table of such parts is left alone.
const ROWS: u64 = 65_536;

/// Bytes at which it is full: what Spark reads as one piece (`maxPartitionBytes`).
const BYTES: u64 = 128 << 20;

/// Neighbouring parts that become one.
pub(crate) struct Group {
    /// One or more.
    pub(crate) parts: Vec<Closed>,
    /// Rows in all of them.
    pub(crate) rows: u64,
    bytes: u64,
    schema: SchemaRef,
    metadata: Metadata,
}

/// Divides the parts of a table. A group begins at every boundary, and where another run or
/// another configuration goes on.
pub(crate) fn groups(parts: Vec<Closed>, boundaries: &BTreeSet<u64>) -> Result<Vec<Group>> {
    let mut groups: Vec<Group> = Vec::new();
    for part in parts {
        let footer = Footer::read(&part.path)?;
        match groups.last_mut() {
            Some(last) if !boundaries.contains(&part.first) && last.takes(&footer) => {
                last.parts.push(part);
                last.rows += footer.rows;
                last.bytes += footer.bytes;
            }
            _ => groups.push(Group {
                parts: vec![part],
                rows: footer.rows,
                bytes: footer.bytes,
                schema: footer.schema,
                metadata: footer.metadata,
            }),
        }
    }
    Ok(groups)
}

impl Group {
    fn takes(&self, footer: &Footer) -> bool {
        self.rows + footer.rows <= ROWS
            && self.bytes + footer.bytes <= BYTES
            && self.schema == footer.schema
            && self.metadata == footer.metadata
    }

    /// Writes the merged part into a folder, and reads it again to compare.
    pub(crate) fn merge_into(&self, folder: &Path) -> Result<()> {
        let (first, last) = (&self.parts[0], &self.parts[self.parts.len() - 1]);
        let path = parts::path(folder, first.first, last.last);
        let mut part = Part::create(path.clone(), self.schema.clone(), &self.metadata)?;
        self.batches().try_for_each(|it| part.write(&it?))?;
        part.publish()?;
        let merged = Footer::read(&path)?;
        if merged.metadata != self.metadata || !same(self.batches(), batches(&path))? {
            return Err(Error::Differs { path });
        }
        Ok(())
    }

    fn batches(&self) -> impl Iterator<Item = Result<RecordBatch>> {
        self.parts.iter().flat_map(|it| batches(&it.path))
    }
}

/// The rows of a part, or why they cannot be read.
fn batches(path: &Path) -> Box<dyn Iterator<Item = Result<RecordBatch>> + '_> {
    match Footer::read(path).and_then(|it| it.batches(path)) {
        Ok(batches) => Box::new(batches),
        Err(error) => Box::new(std::iter::once(Err(error))),
    }
}

/// Whether both are the same rows, however they are divided. A NaN is the same as itself.
fn same(
    mut left: impl Iterator<Item = Result<RecordBatch>>,
    mut right: impl Iterator<Item = Result<RecordBatch>>,
) -> Result<bool> {
    let (mut left_rest, mut right_rest) = (None, None);
    loop {
        let one = left_rest.take().map_or_else(|| left.next().transpose(), |it| Ok(Some(it)))?;
        let other =
            right_rest.take().map_or_else(|| right.next().transpose(), |it| Ok(Some(it)))?;
        let (one, other): (RecordBatch, RecordBatch) = match (one, other) {
            (Some(one), Some(other)) => (one, other),
            (one, other) => return Ok(one.is_none() && other.is_none()),
        };
        let rows = one.num_rows().min(other.num_rows());
        if one.slice(0, rows) != other.slice(0, rows) {
            return Ok(false);
        }
        let rest = |it: RecordBatch| match it.num_rows() - rows {
            0 => None,
            more => Some(it.slice(rows, more)),
        };
        (left_rest, right_rest) = (rest(one), rest(other));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::Float64Array;
    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;

    fn same_rows(left: &[&[f64]], right: &[&[f64]]) -> bool {
        let schema = Arc::new(Schema::new(vec![Field::new("value", DataType::Float64, false)]));
        let batches = |values: &[&[f64]]| {
            let batch = |it: &&[f64]| {
                let column = Arc::new(Float64Array::from(it.to_vec()));
                Ok(RecordBatch::try_new(schema.clone(), vec![column]).unwrap())
            };
            values.iter().map(batch).collect::<Vec<_>>().into_iter()
        };
        same(batches(left), batches(right)).unwrap()
    }

    #[test]
    fn rows_are_compared_however_they_are_divided() {
        assert!(same_rows(&[], &[]));
        assert!(same_rows(&[&[1.0, 2.0], &[3.0]], &[&[1.0], &[2.0, 3.0]]));
        assert!(same_rows(&[&[f64::NAN]], &[&[f64::NAN]]));
        assert!(!same_rows(&[&[1.0, 2.0], &[3.0]], &[&[1.0], &[3.0, 2.0]]));
        assert!(!same_rows(&[&[1.0, 2.0]], &[&[1.0]]));
        assert!(!same_rows(&[&[1.0]], &[&[1.0], &[2.0]]));
    }
}
