//! Reads back what a run measured.

use std::path::Path;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Float64Type, Int64Type};

use crate::Result;
use crate::table::footer::Footer;
use crate::table::part_names as parts;

/// The metrics of one step.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// The step.
    pub step: u64,
    /// Names and values, in the order of writing.
    pub values: Vec<(String, f64)>,
}

/// The last reading of a run's metrics until a step; none when there is none.
///
/// # Errors
/// [`Error::File`](crate::Error::File) and [`Error::Unreadable`](crate::Error::Unreadable).
pub fn reading(dir: &Path, until: u64) -> Result<Option<Reading>> {
    // A record is never split over two parts.
    for part in parts::list(&dir.join("metrics"))?.iter().rev() {
        let batches = Footer::read(&part.path)?.batches(&part.path)?;
        let rows: Vec<_> =
            batches.map(|it| it.map(|it| rows(&it))).collect::<Result<Vec<_>>>()?.concat();
        let steps = rows.iter().map(|it| it.0).filter(|it| *it <= until);
        let Some(step) = steps.max() else { continue };
        let values = rows.into_iter().filter(|it| it.0 == step);
        return Ok(Some(Reading { step, values: values.map(|it| (it.1, it.2)).collect() }));
    }
    Ok(None)
}

fn rows(batch: &RecordBatch) -> Vec<(u64, String, f64)> {
    let steps = batch["step"].as_primitive::<Int64Type>();
    let (names, values) = (batch["name"].as_string::<i32>(), batch["value"].as_primitive());
    let values: &arrow::array::PrimitiveArray<Float64Type> = values;
    let row = |it| (steps.value(it).cast_unsigned(), names.value(it).to_owned(), values.value(it));
    (0..batch.num_rows()).filter(|it| values.is_valid(*it)).map(row).collect()
}
