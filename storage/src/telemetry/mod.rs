//! Measurements that belong to a stream, from CSV or Parquet: one row per time, one column per
//! quantity.

use std::collections::HashSet;
use std::error::Error as StdError;
use std::fs::File;
use std::path::Path;

use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::{Error, Result};

/// The column that says when a row was measured.
const TIME: &str = "time";

/// How far before the first and after the last row a time is still valid, in seconds: containers
/// round the times of frames to milliseconds.
const ROUNDING: f64 = 0.005;

/// The measurements for one file or URI.
#[derive(Clone, Debug, PartialEq)]
pub struct Telemetry {
    /// Names of the measured quantities, in the order of the file, without `time`.
    pub columns: Vec<String>,
    /// Stream time of each row in seconds, each later than the one before, `[n]`.
    pub times: Vec<f64>,
    /// `[n, k]` row by row; NaN where a cell is empty or not finite.
    pub values: Vec<f64>,
}

/// The numeric columns of a file, including `time`.
struct Columns {
    names: Vec<String>,
    columns: Vec<Vec<f64>>,
    /// What an error message calls each row, for example `line 3`.
    rows: Vec<String>,
}

/// Reads a `.csv` file with a header, or a `.parquet` file.
///
/// A CSV file may contain only numbers and empty cells. In a Parquet file, columns of other types are
/// ignored.
///
/// # Errors
/// [`Error::Telemetry`] when the file cannot be read, has no rows or no values, has no column
/// `time` of increasing numbers, or contains text.
pub fn read(path: &Path) -> Result<Telemetry> {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    let columns = match extension.as_deref() {
        Some("csv") => csv(path),
        Some("parquet") => parquet(path),
        _ => Err("is neither a .csv nor a .parquet file: give it that ending".into()),
    };
    columns
        .and_then(Columns::telemetry)
        .map_err(|message| Error::Telemetry { path: path.to_owned(), message })
}

impl Telemetry {
    /// The values at a stream time in seconds, `[k]`, interpolated linearly between two rows.
    ///
    /// `None` outside the file's times, and where one of the two rows has an empty cell.
    pub fn at(&self, time: f64) -> Option<Vec<f32>> {
        let (first, last) = (*self.times.first()?, *self.times.last()?);
        if !(first - ROUNDING..=last + ROUNDING).contains(&time) {
            return None;
        }
        let time = time.clamp(first, last);
        let after = self.times.partition_point(|row| *row < time);
        let next = self.row(after);
        let row = if self.times[after] == time {
            next.to_vec()
        } else {
            let (from, to) = (self.times[after - 1], self.times[after]);
            let weight = (time - from) / (to - from);
            self.row(after - 1).iter().zip(next).map(|(a, b)| a + weight * (b - a)).collect()
        };
        let row: Vec<f32> = row.into_iter().map(|value| value as f32).collect();
        row.iter().all(|value| value.is_finite()).then_some(row)
    }

    /// The number of rows with an empty cell.
    pub fn incomplete(&self) -> usize {
        (0..self.times.len())
            .filter(|idx| self.row(*idx).iter().any(|value| value.is_nan()))
            .count()
    }

    fn row(&self, idx: usize) -> &[f64] {
        &self.values[idx * self.columns.len()..][..self.columns.len()]
    }
}

/// The error says what is wrong with a file, and what to do.
type Read<T> = std::result::Result<T, String>;

fn unreadable(error: impl StdError) -> String {
    let mut text = format!("cannot be read: {error}");
    let mut source = error.source();
    while let Some(error) = source {
        text += &format!(": {error}");
        source = error.source();
    }
    text + "; check the path and the file"
}

fn csv(path: &Path) -> Read<Columns> {
    let file = File::open(path).map_err(unreadable)?;
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(file);
    let header = reader.headers().map_err(unreadable)?;
    let names: Vec<String> = header.iter().map(str::to_owned).collect();
    time_column(&names)?;
    let mut columns = vec![Vec::new(); names.len()];
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(unreadable)?;
        let line = record.position().map_or(0, csv::Position::line);
        for ((cell, name), column) in record.iter().zip(&names).zip(&mut columns) {
            match number(cell) {
                Some(number) => column.push(number),
                None => {
                    return Err(format!(
                        "line {line}: {name} is {cell:?}, not a number: correct it, or remove the \
                         column"
                    ));
                }
            }
        }
        rows.push(format!("line {line}"));
    }
    Ok(Columns { names, columns, rows })
}

/// An empty cell is NaN.
fn number(cell: &str) -> Option<f64> {
    if cell.is_empty() { Some(f64::NAN) } else { cell.parse().ok() }
}

fn parquet(path: &Path) -> Read<Columns> {
    let file = File::open(path).map_err(unreadable)?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).map_err(unreadable)?;
    let schema = reader.schema().clone();
    if let Some((_, time)) = schema.column_with_name(TIME)
        && !time.data_type().is_numeric()
    {
        return Err(format!(
            "has a column `{TIME}` of the type {}: write seconds of stream time as numbers",
            time.data_type()
        ));
    }
    let fields = schema.fields().iter().filter(|field| field.data_type().is_numeric());
    let names: Vec<String> = fields.map(|field| field.name().clone()).collect();
    let mut columns = vec![Vec::new(); names.len()];
    for batch in reader.build().map_err(unreadable)? {
        let batch = batch.map_err(unreadable)?;
        let arrays = batch.columns().iter().filter(|array| array.data_type().is_numeric());
        for (array, column) in arrays.zip(&mut columns) {
            let array = cast(array, &DataType::Float64).map_err(unreadable)?;
            let numbers = array.as_primitive::<Float64Type>();
            column.extend(numbers.iter().map(|number| number.unwrap_or(f64::NAN)));
        }
    }
    let rows = columns.first().map_or(0, Vec::len);
    let rows = (1..=rows).map(|row| format!("row {row}")).collect();
    Ok(Columns { names, columns, rows })
}

/// The index of the column `time`.
fn time_column(names: &[String]) -> Read<usize> {
    let time = names.iter().position(|name| name == TIME);
    time.ok_or_else(|| {
        format!(
            "has no column `{TIME}`: add one, in seconds of stream time, to [{}]; a CSV needs a \
             header and commas",
            names.join(", ")
        )
    })
}

impl Columns {
    fn telemetry(mut self) -> Read<Telemetry> {
        let time = time_column(&self.names)?;
        let mut names = HashSet::new();
        if let Some(name) = self.names.iter().find(|name| !names.insert(*name)) {
            return Err(format!("has two columns `{name}`: rename one"));
        }
        self.names.remove(time);
        let times = self.columns.remove(time);
        if self.names.is_empty() {
            return Err(format!("has no numeric column besides `{TIME}`: add one"));
        }
        self.check_times(&times)?;
        let columns = &self.columns;
        let values = (0..times.len()).flat_map(|row| columns.iter().map(move |column| column[row]));
        let values = values.map(|value| if value.is_finite() { value } else { f64::NAN }).collect();
        Ok(Telemetry { columns: self.names, times, values })
    }

    fn check_times(&self, times: &[f64]) -> Read<()> {
        if times.is_empty() {
            return Err(
                "has no rows: remove it from the stream's config, or record it again".into()
            );
        }
        if let Some(idx) = times.iter().position(|time| !time.is_finite()) {
            return Err(format!(
                "{}: `{TIME}` is missing or not finite: correct it, or remove the row",
                self.rows[idx]
            ));
        }
        match times.windows(2).position(|pair| pair[0] >= pair[1]) {
            Some(idx) => Err(format!(
                "{}: the time {} does not come after {}: sort the rows by \
                 `{TIME}`, and keep one row per time",
                self.rows[idx + 1],
                times[idx + 1],
                times[idx]
            )),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
