//! Reads the table `metrics` of a run.

use std::path::Path;

use arrow::array::{Array, AsArray, PrimitiveArray, RecordBatch};
use arrow::datatypes::{Float64Type, Int64Type};

use crate::Result;
use crate::table::footer::Footer;
use crate::table::part_names;

/// The metrics of one step.
#[derive(Clone, Debug, PartialEq)]
pub struct StepValues {
    /// The step.
    pub step: u64,
    /// Names and values, in the order in which they were written.
    pub values: Vec<(String, f64)>,
}

/// The metrics of the last step up to `until`, or `None` if there are none.
///
/// # Errors
/// [`Error::File`](crate::Error::File) and [`Error::Unreadable`](crate::Error::Unreadable).
pub fn last_metrics(dir: &Path, until: u64) -> Result<Option<StepValues>> {
    // A record is never split between two parts, so one part has all values of a step.
    for part in part_names::list(&dir.join("metrics"))?.iter().rev() {
        let batches = Footer::read(&part.path)?.batches(&part.path)?;
        let rows: Vec<_> = batches
            .map(|batch| batch.map(|batch| rows(&batch)))
            .collect::<Result<Vec<_>>>()?
            .concat();
        let steps = rows.iter().map(|(step, ..)| *step).filter(|step| *step <= until);
        let Some(last) = steps.max() else { continue };
        let values = rows.into_iter().filter(|(step, ..)| *step == last);
        let values = values.map(|(_, name, value)| (name, value)).collect();
        return Ok(Some(StepValues { step: last, values }));
    }
    Ok(None)
}

fn rows(batch: &RecordBatch) -> Vec<(u64, String, f64)> {
    let steps = batch["step"].as_primitive::<Int64Type>();
    let names = batch["name"].as_string::<i32>();
    let values: &PrimitiveArray<Float64Type> = batch["value"].as_primitive();
    let row =
        |idx| (steps.value(idx).cast_unsigned(), names.value(idx).to_owned(), values.value(idx));
    (0..batch.num_rows()).filter(|idx| values.is_valid(*idx)).map(row).collect()
}
