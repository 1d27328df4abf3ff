use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float32Array, Float64Array, Int64Array, RecordBatch, StringArray, UInt16Array,
};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use tempfile::TempDir;

use super::*;

fn written(name: &str, bytes: impl AsRef<[u8]>) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    (folder, path)
}

fn from_csv(text: &str) -> Result<Telemetry> {
    read(&written("t.csv", text).1)
}

/// The error for this CSV, which must name the file.
fn refused(text: &str) -> String {
    let (_folder, path) = written("bad.csv", text);
    let message = read(&path).unwrap_err().to_string();
    assert!(message.contains(path.to_str().unwrap()), "{message}");
    message
}

fn from_parquet(columns: Vec<(&str, ArrayRef)>, compression: Compression) -> Result<Telemetry> {
    let (_folder, path) = written("t.parquet", "");
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let properties = WriterProperties::builder().set_compression(compression).build();
    let file = File::create(&path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    read(&path)
}

#[test]
fn a_csv_is_read_whatever_the_position_of_its_time() {
    let first = from_csv("time,yaw,pitch\n0,1,2\n0.5,3,4\n").unwrap();
    assert_eq!(first.columns, ["yaw", "pitch"]);
    assert_eq!((&first.times[..], &first.values[..]), (&[0.0, 0.5][..], &[1.0, 2.0, 3.0, 4.0][..]));
    let last = from_csv("\u{feff}yaw, pitch ,time\r\n1, 2,0\r\n3,4e0 ,5e-1\r\n").unwrap();
    assert_eq!(last, first);
}

#[test]
fn values_are_linear_between_rows_and_exact_on_them() {
    let telemetry = from_csv("time,a,b\n1,0,10\n2,4,10\n4,8,-10\n").unwrap();
    assert_eq!(telemetry.at(1.0), Some(vec![0.0, 10.0]));
    assert_eq!(telemetry.at(1.25), Some(vec![1.0, 10.0]));
    assert_eq!(telemetry.at(2.0), Some(vec![4.0, 10.0]));
    assert_eq!(telemetry.at(3.5), Some(vec![7.0, -5.0]));
    assert_eq!(telemetry.at(4.0), Some(vec![8.0, -10.0]));
    // A time stamp that a container rounded.
    assert_eq!((telemetry.at(0.996), telemetry.at(4.004)), (telemetry.at(1.0), telemetry.at(4.0)));
    assert_eq!(
        (telemetry.at(0.99), telemetry.at(4.01), telemetry.at(f64::NAN)),
        (None, None, None)
    );
}

#[test]
fn a_cell_that_is_missing_is_not_valid_around_it() {
    let telemetry =
        from_csv("time,a,b\n0,0,0\n1,1,\n2,2,2\n3,nan,3\n4,4,inf\n5,5,5\n6,6,6\n").unwrap();
    let valid = |time: f64| telemetry.at(time).is_some();
    assert_eq!([0.0, 0.5, 1.0, 1.5, 2.0].map(valid), [true, false, false, false, true]);
    assert_eq!([2.5, 3.0, 3.5, 4.5, 5.0, 5.5].map(valid), [false, false, false, false, true, true]);
    assert_eq!(telemetry.incomplete(), 3);
}

#[test]
fn a_value_beyond_single_precision_is_not_valid() {
    let telemetry = from_csv("time,a\n0,1e300\n1,1\n").unwrap();
    assert_eq!((telemetry.at(0.0), telemetry.at(1.0)), (None, Some(vec![1.0])));
}

#[test]
fn a_parquet_file_gives_its_numeric_columns() {
    for compression in [Compression::SNAPPY, Compression::ZSTD(ZstdLevel::default())] {
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("name", Arc::new(StringArray::from(vec!["x", "y", "z"]))),
            ("zoom", Arc::new(UInt16Array::from(vec![1, 2, 3]))),
            ("time", Arc::new(Float32Array::from(vec![0.0, 0.5, 1.0]))),
            ("yaw", Arc::new(Float64Array::from(vec![Some(0.1), None, Some(0.3)]))),
            ("gear", Arc::new(Int64Array::from(vec![-1, 0, 1]))),
        ];
        let telemetry = from_parquet(columns, compression).unwrap();
        assert_eq!(telemetry.columns, ["zoom", "yaw", "gear"]);
        assert_eq!(telemetry.times, [0.0, 0.5, 1.0]);
        assert_eq!(telemetry.at(0.0), Some(vec![1.0, 0.1, -1.0]));
        assert_eq!((telemetry.at(0.5), telemetry.incomplete()), (None, 1));
    }
}

#[test]
fn a_parquet_file_needs_a_time_in_numbers() {
    let text: ArrayRef = Arc::new(StringArray::from(vec!["12:00"]));
    let number: ArrayRef = Arc::new(Float64Array::from(vec![1.0]));
    let message = |columns| from_parquet(columns, Compression::SNAPPY).unwrap_err().to_string();
    let wrong = message(vec![("time", text.clone()), ("a", number.clone())]);
    assert!(wrong.contains("`time` of the type Utf8") && wrong.contains("seconds"), "{wrong}");
    let none = message(vec![("at", number.clone())]);
    assert!(none.contains("no column `time`") && none.contains("[at]"), "{none}");
    let only = message(vec![("time", number), ("name", text)]);
    assert!(only.contains("no numeric column besides `time`"), "{only}");
    let (_folder, path) = written("t.parquet", "this is text");
    assert!(read(&path).unwrap_err().to_string().contains("cannot be read"));
}

#[test]
fn a_file_that_cannot_be_used_says_where_and_what_to_do() {
    for (text, says) in [
        ("at,a\n0,1\n", "has no column `time`: add one, in seconds of stream time, to [at, a]"),
        ("time;a\n0;1\n", "to [time;a]; a CSV needs a header and commas"),
        ("0,1\n0.1,2\n", "has no column `time`"),
        ("", "has no column `time`"),
        ("time\n0\n", "has no numeric column besides `time`"),
        ("time,a\n", "has no rows"),
        ("time,a,a\n0,1,1\n", "has two columns `a`"),
        ("time,a\n0,1\n0.1,fast\n", "line 3: a is \"fast\", not a number: correct it"),
        ("time,a\n0,1\nnoon,2\n", "line 3: time is \"noon\", not a number"),
        ("time,a\n0,1\n,2\n", "line 3: `time` is missing"),
        ("time,a\n0,1\n2,2\n1,3\n", "line 4: the time 1 does not come after 2: sort the rows"),
        ("time,a\n0,1\n0,2\n", "line 3: the time 0 does not come after 0"),
        ("time,a\n0,1\n0.1\n", "cannot be read"),
    ] {
        let message = refused(text);
        assert!(message.contains(says), "{message}\nlacks {says}");
    }
    let missing = read(Path::new("/no/such.csv")).unwrap_err().to_string();
    assert!(missing.contains("\"/no/such.csv\" cannot be read"), "{missing}");
    assert!(missing.contains("check the path"), "{missing}");
    let (_folder, path) = written("t.txt", "time,a\n0,1\n");
    assert!(read(&path).unwrap_err().to_string().contains("neither a .csv nor a .parquet"));
}
