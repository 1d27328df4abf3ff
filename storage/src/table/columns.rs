//! Turns records into Arrow columns, with types that DuckDB, Polars, pandas, ClickHouse, Spark and
//! Hugging Face datasets all read.

use std::collections::HashMap;
use std::iter;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use arrow::array::{
    ArrayRef, FixedSizeListArray, Float32Array, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;

use crate::record::{Embeddings, EventRow, Events, Metrics, Record, Streams, VectorColumn};
use crate::{Error, Result};

/// The tables of a run, each a folder; [`Record::table`] is an index into them.
pub(crate) const TABLES: [&str; 4] = ["metrics", "embeddings", "streams", "events"];

/// The key of a column's description in the metadata of its field.
pub(crate) const DESCRIPTION: &str = "description";

/// A table and its columns.
pub(crate) struct TableSchema {
    /// The table's name.
    pub(crate) table: &'static str,
    /// Its columns.
    pub(crate) schema: SchemaRef,
}

/// Approximate bytes of one row of the table `embeddings` before compression: `dim` floats, the
/// widths of all its vectors together, and 64 bytes for the other columns.
pub fn bytes_per_embedding(dim: usize) -> u64 {
    4 * dim as u64 + 64
}

/// The columns of a record. The first is `run`.
pub(crate) fn batch(run: &str, record: Record) -> Result<RecordBatch> {
    let table = TABLES[record.table()];
    let columns = match record {
        Record::Metrics(record) => Ok(metrics(run, record)),
        Record::Embeddings(record) => embeddings(run, record),
        Record::Streams(record) => Ok(streams(run, record)),
        Record::Events(record) => Ok(events(run, record)),
    };
    columns
        .and_then(|Columns { fields, arrays, .. }| {
            RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
        })
        .map_err(|source| Error::Columns { table, source })
}

/// A builder of the columns of `rows` rows.
struct Columns {
    rows: usize,
    fields: Vec<Field>,
    arrays: Vec<ArrayRef>,
}

impl Columns {
    fn new(run: &str, step: u64, rows: usize) -> Self {
        let columns = Self { rows, fields: Vec::new(), arrays: Vec::new() };
        columns.repeat("run", run).counts("step", iter::repeat_n(step, rows))
    }

    fn push(mut self, field: Field, array: ArrayRef) -> Self {
        self.fields.push(field);
        self.arrays.push(array);
        self
    }

    fn required(self, name: &str, array: ArrayRef) -> Self {
        let field = Field::new(name, array.data_type().clone(), false);
        self.push(field, array)
    }

    fn optional(self, name: &str, array: ArrayRef) -> Self {
        let field = Field::new(name, array.data_type().clone(), true);
        self.push(field, array)
    }

    fn text<'a>(self, name: &str, values: impl Iterator<Item = &'a str>) -> Self {
        self.required(name, Arc::new(StringArray::from_iter_values(values)))
    }

    fn repeat(self, name: &str, value: &str) -> Self {
        let rows = self.rows;
        self.text(name, iter::repeat_n(value, rows))
    }

    /// A column of Int64, because several readers have no unsigned integers.
    fn counts(self, name: &str, values: impl Iterator<Item = u64>) -> Self {
        let values = values.map(|count| i64::try_from(count).unwrap_or(i64::MAX));
        self.required(name, Arc::new(Int64Array::from_iter_values(values)))
    }

    /// Stores the description of the newest column in its field.
    fn described(mut self, description: &str) -> Self {
        if let Some(newest) = self.fields.last_mut() {
            let description = (DESCRIPTION.to_owned(), description.to_owned());
            newest.set_metadata(HashMap::from([description]));
        }
        self
    }

    fn time(self, value: SystemTime) -> Self {
        let rows = self.rows;
        self.required("time", Arc::new(utc(iter::repeat_n(Some(value), rows))))
    }
}

fn metrics(run: &str, record: Metrics) -> Columns {
    let (names, values): (Vec<String>, Vec<f64>) = record.values.into_iter().unzip();
    Columns::new(run, record.step, values.len())
        .time(record.time)
        .text("name", names.iter().map(String::as_str))
        .required("value", Arc::new(Float64Array::from(values)))
}

fn embeddings(run: &str, record: Embeddings) -> std::result::Result<Columns, ArrowError> {
    let mut columns = Columns::new(run, record.step, record.stream.len())
        .repeat("encoder", &record.encoder)
        .text("stream", record.stream.iter().map(String::as_str))
        .text("item", record.item.iter().map(String::as_str))
        .counts("epoch", record.epoch.into_iter())
        .required("pts", Arc::new(Float64Array::from(record.pts)))
        .optional("captured", Arc::new(utc(record.captured.into_iter())))
        .optional("captured_by", Arc::new(StringArray::from_iter(record.captured_by)));
    for (name, values) in record.terms {
        columns = columns.required(&format!("loss_{name}"), Arc::new(Float32Array::from(values)));
    }
    let values = vectors(record.dim, record.values)?;
    columns = columns.required("embedding", Arc::new(values));
    for VectorColumn { name, dim, values } in record.vectors {
        columns = columns.required(&name, Arc::new(vectors(dim, values)?));
    }
    Ok(columns)
}

fn streams(run: &str, record: Streams) -> Columns {
    let rows = &record.rows;
    let mut columns = Columns::new(run, record.step, rows.len())
        .time(record.time)
        .text("stream", rows.iter().map(|row| row.stream.as_str()))
        .text("state", rows.iter().map(|row| row.state.as_str()));
    for (idx, count) in rows.first().iter().flat_map(|row| &row.counts).enumerate() {
        columns = columns
            .counts(count.name, rows.iter().map(|row| row.counts[idx].value))
            .described(count.description);
    }
    columns
        .required(
            "share",
            Arc::new(Float64Array::from_iter_values(rows.iter().map(|row| row.share))),
        )
        .optional("message", Arc::new(StringArray::from_iter(rows.iter().map(|row| &row.message))))
}

fn events(run: &str, record: Events) -> Columns {
    let rows = &record.rows;
    let text = |of: fn(&EventRow) -> Option<&String>| -> ArrayRef {
        Arc::new(StringArray::from_iter(rows.iter().map(of)))
    };
    let epochs = rows.iter().map(|row| row.epoch.and_then(|epoch| i64::try_from(epoch).ok()));
    Columns::new(run, record.step, rows.len())
        .required("time", Arc::new(utc(rows.iter().map(|row| Some(row.time)))))
        .text("kind", rows.iter().map(|row| row.kind.as_str()))
        .optional("stream", text(|row| row.stream.as_ref()))
        .optional("state", text(|row| row.state.as_ref()))
        .optional("epoch", Arc::new(Int64Array::from_iter(epochs)))
        .text("message", rows.iter().map(|row| row.message.as_str()))
}

/// `[n, d]` floats as `n` lists. The item is not nullable, unlike Arrow's default, on which
/// ClickHouse's vector functions fail.
fn vectors(dim: usize, values: Vec<f32>) -> std::result::Result<FixedSizeListArray, ArrowError> {
    let dim = i32::try_from(dim)
        .map_err(|_| ArrowError::InvalidArgumentError(format!("{dim} numbers per row")))?;
    let item = Arc::new(Field::new("item", DataType::Float32, false));
    FixedSizeListArray::try_new(item, dim, Arc::new(Float32Array::from(values)), None)
}

/// The width of a column of vectors, or `None` for any other column.
pub(crate) fn width(field: &Field) -> Option<i32> {
    match field.data_type() {
        DataType::FixedSizeList(_, width) => Some(*width),
        _ => None,
    }
}

/// The names of the columns, and the widths of vectors, for an error.
pub(crate) fn describe(schema: &Schema) -> String {
    let columns: Vec<String> = schema
        .fields()
        .iter()
        .map(|field| match width(field) {
            Some(width) => format!("{} of {width}", field.name()),
            None => field.name().clone(),
        })
        .collect();
    columns.join(", ")
}

/// Microseconds, because Spark refuses nanoseconds.
fn utc(times: impl Iterator<Item = Option<SystemTime>>) -> TimestampMicrosecondArray {
    times.map(|time| time.map(micros)).collect::<TimestampMicrosecondArray>().with_timezone("UTC")
}

fn micros(time: SystemTime) -> i64 {
    let bounded = |micros: u128| i64::try_from(micros).unwrap_or(i64::MAX);
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => bounded(after.as_micros()),
        Err(before) => -bounded(before.duration().as_micros()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn microseconds_count_from_1970_both_ways() {
        let after = UNIX_EPOCH + Duration::from_micros(1_700_000_000_123_456);
        assert_eq!(micros(after), 1_700_000_000_123_456);
        assert_eq!(micros(UNIX_EPOCH - Duration::from_millis(2)), -2_000);
    }

    #[test]
    fn a_vector_of_384_is_1536_bytes_and_a_bit() {
        assert_eq!(bytes_per_embedding(384), 1_600);
    }
}
