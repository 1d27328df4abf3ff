//! Which parts are merged into one, and how.

use std::collections::BTreeSet;
use std::path::Path;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use crate::identity::Metadata;
use crate::table::footer::Footer;
use crate::table::part::Part;
use crate::table::part_names::{self, ClosedPart};
use crate::{Error, Result};

/// The most rows in a merged part: as many as in a part of the default configuration, so that a
/// table of such parts does not change.
const MAX_ROWS: u64 = 65_536;

/// The most bytes in a merged part: as many as Spark reads at once (`maxPartitionBytes`).
const MAX_BYTES: u64 = 128 << 20;

/// Neighbouring parts that are merged into one.
pub(crate) struct MergeGroup {
    /// At least one part.
    pub(crate) parts: Vec<ClosedPart>,
    /// Rows in all of them.
    pub(crate) rows: u64,
    bytes: u64,
    schema: SchemaRef,
    metadata: Metadata,
}

/// Divides the parts of a table into groups. A new group starts at every boundary, and where the
/// run or its configuration changes.
pub(crate) fn groups(
    parts: Vec<ClosedPart>,
    boundaries: &BTreeSet<u64>,
) -> Result<Vec<MergeGroup>> {
    let mut groups: Vec<MergeGroup> = Vec::new();
    for part in parts {
        let footer = Footer::read(&part.path)?;
        match groups.last_mut() {
            Some(last) if !boundaries.contains(&part.first) && last.has_room_for(&footer) => {
                last.parts.push(part);
                last.rows += footer.rows;
                last.bytes += footer.bytes;
            }
            _ => groups.push(MergeGroup {
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

impl MergeGroup {
    fn has_room_for(&self, footer: &Footer) -> bool {
        self.rows + footer.rows <= MAX_ROWS
            && self.bytes + footer.bytes <= MAX_BYTES
            && self.schema == footer.schema
            && self.metadata == footer.metadata
    }

    /// Writes the merged part into a folder, reads it back and compares the rows.
    pub(crate) fn merge_into(&self, folder: &Path) -> Result<()> {
        let (first, last) = (&self.parts[0], &self.parts[self.parts.len() - 1]);
        let path = part_names::path(folder, first.first, last.last);
        let mut part = Part::create(path.clone(), self.schema.clone(), &self.metadata)?;
        self.batches().try_for_each(|batch| part.write(&batch?))?;
        part.publish()?;
        let merged = Footer::read(&path)?;
        if merged.metadata != self.metadata || !equal_rows(self.batches(), batches(&path))? {
            return Err(Error::MergeMismatch { path });
        }
        Ok(())
    }

    fn batches(&self) -> impl Iterator<Item = Result<RecordBatch>> {
        self.parts.iter().flat_map(|part| batches(&part.path))
    }
}

/// The rows of a part, or the error that prevents reading them.
fn batches(path: &Path) -> Box<dyn Iterator<Item = Result<RecordBatch>> + '_> {
    match Footer::read(path).and_then(|footer| footer.batches(path)) {
        Ok(batches) => Box::new(batches),
        Err(error) => Box::new(std::iter::once(Err(error))),
    }
}

/// Whether both hold the same rows, however these are divided into batches. A NaN equals itself.
fn equal_rows(
    mut left: impl Iterator<Item = Result<RecordBatch>>,
    mut right: impl Iterator<Item = Result<RecordBatch>>,
) -> Result<bool> {
    // Rows of a batch that were not compared yet.
    let (mut left_rest, mut right_rest) = (None, None);
    loop {
        let next_left = left_rest.take().map(Ok).or_else(|| left.next()).transpose()?;
        let next_right = right_rest.take().map(Ok).or_else(|| right.next()).transpose()?;
        let (left_batch, right_batch): (RecordBatch, RecordBatch) = match (next_left, next_right) {
            (Some(left), Some(right)) => (left, right),
            (left, right) => return Ok(left.is_none() && right.is_none()),
        };
        let rows = left_batch.num_rows().min(right_batch.num_rows());
        if left_batch.slice(0, rows) != right_batch.slice(0, rows) {
            return Ok(false);
        }
        let rest = |batch: RecordBatch| match batch.num_rows() - rows {
            0 => None,
            left => Some(batch.slice(rows, left)),
        };
        (left_rest, right_rest) = (rest(left_batch), rest(right_batch));
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
            let batch = |values: &&[f64]| {
                let column = Arc::new(Float64Array::from(values.to_vec()));
                Ok(RecordBatch::try_new(schema.clone(), vec![column]).unwrap())
            };
            values.iter().map(batch).collect::<Vec<_>>().into_iter()
        };
        equal_rows(batches(left), batches(right)).unwrap()
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
