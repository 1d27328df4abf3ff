//! A run continues after a checkpoint, and later rows are superseded.

// Clippy knows a test by its attribute, and not the functions that tests share.
#![allow(clippy::unwrap_used)]

mod run;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, Schema};
use parquet::arrow::ArrowWriter;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use storage::{Config, Error, Record, RunIdentity, Watermark};

use run::sequence::rows;
use run::{config, embeddings, metadata, metrics, named, parts, wait_for};

fn steps(dir: &Path, table: &str) -> Vec<i64> {
    let Some(rows) = rows(dir, table) else { return Vec::new() };
    rows["step"].as_primitive::<Int64Type>().values().iter().step_by(2).copied().collect()
}

/// A run of two checkpoints and a step after them. Returns both watermarks.
fn two_watermarks(dir: &Path) -> [Watermark; 2] {
    let store = storage::start(&config(dir), &named("first")).unwrap();
    let watermarks = [1, 2].map(|step| {
        store.write(metrics(step)).unwrap();
        store.sync().unwrap()
    });
    store.write(metrics(3)).unwrap();
    store.finish().unwrap();
    watermarks
}

#[test]
fn rows_after_the_checkpoint_are_superseded_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let [first, _] = two_watermarks(dir.path());
    let store = storage::resume(&config(dir.path()), &named("first"), &first).unwrap();
    assert_eq!(steps(dir.path(), "metrics"), [1]);
    assert_eq!(steps(&dir.path().join("superseded/0"), "metrics"), [2, 3]);
    store.write(metrics(20)).unwrap();
    let summary = store.finish().unwrap();
    assert_eq!((summary[0].rows, summary[0].parts), (4, 2));
    let bytes: u64 =
        parts(dir.path(), "metrics").iter().map(|it| fs::metadata(it).unwrap().len()).sum();
    assert_eq!(summary[0].bytes, bytes);
    assert_eq!(steps(dir.path(), "metrics"), [1, 20]);

    let store =
        storage::resume(&config(dir.path()), &named("first"), &Watermark::default()).unwrap();
    assert_eq!(store.finish().unwrap()[0].rows, 0);
    assert_eq!(steps(dir.path(), "metrics"), [0; 0]);
    assert_eq!(steps(&dir.path().join("superseded/1"), "metrics"), [1, 20]);
}

#[test]
fn a_watermark_at_the_end_moves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = storage::start(&config(dir.path()), &named("first")).unwrap();
    store.write(metrics(1)).unwrap();
    let watermark = store.sync().unwrap();
    assert_eq!(store.sync().unwrap(), watermark);
    store.finish().unwrap();
    let store = storage::resume(&config(dir.path()), &named("first"), &watermark).unwrap();
    assert_eq!(store.sync().unwrap(), watermark);
    store.finish().unwrap();
    assert!(!dir.path().join("superseded").exists());
    assert_eq!(steps(dir.path(), "metrics"), [1]);
}

#[test]
fn a_watermark_is_stored_and_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let [first, second] = two_watermarks(dir.path());
    assert_ne!(first, second);
    let text = serde_json::to_string(&second).unwrap();
    assert_eq!(text, r#"{"embeddings":0,"events":0,"metrics":2,"streams":0}"#);
    assert_eq!(serde_json::from_str::<Watermark>(&text).unwrap(), second);
}

#[test]
fn a_gap_before_the_checkpoint_is_refused_and_one_after_it_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let [first, second] = two_watermarks(dir.path());
    fs::remove_file(dir.path().join("metrics/part-00001.parquet")).unwrap();
    let resume = |watermark| storage::resume(&config(dir.path()), &named("first"), watermark);
    let error = resume(&second).map(drop).unwrap_err();
    assert!(matches!(error, Error::MissingPart { .. }), "{error:?}");
    assert!(error.to_string().contains("metrics/part-00001.parquet"), "{error}");
    assert_eq!(steps(dir.path(), "metrics"), [1, 3], "a refused start moves nothing");
    resume(&first).unwrap().finish().unwrap();
    assert_eq!(steps(dir.path(), "metrics"), [1]);
}

#[test]
fn a_damaged_part_of_the_checkpoint_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let [first, _] = two_watermarks(dir.path());
    let part = &parts(dir.path(), "metrics")[0];
    fs::write(part, "PAR1").unwrap();
    let error =
        storage::resume(&config(dir.path()), &named("first"), &first).map(drop).unwrap_err();
    assert!(matches!(&error, Error::Unreadable { path, .. } if path == part), "{error:?}");
    assert_eq!(parts(dir.path(), "metrics").len(), 3, "a refused start moves nothing");
}

#[test]
fn a_run_of_another_version_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let [first, _] = two_watermarks(dir.path());
    let part = &parts(dir.path(), "metrics")[0];
    set_version(part, Some("1"));
    let resume = || storage::resume(&config(dir.path()), &named("first"), &first).map(drop);
    let error = resume().unwrap_err();
    assert!(matches!(&error, Error::OtherVersion { path, .. } if path == part), "{error:?}");
    let message = error.to_string();
    for text in [part.to_str().unwrap(), "version 1", "another version", "new run"] {
        assert!(message.contains(text), "{message}");
    }
    assert_eq!(parts(dir.path(), "metrics").len(), 3, "a refused start moves nothing");
    set_version(part, None);
    assert!(resume().unwrap_err().to_string().contains("version unknown"));
}

/// Rewrites a part as another version, or without a version.
fn set_version(part: &Path, version: Option<&str>) {
    let rows = run::read(part).unwrap();
    let schema = Schema::new(rows.schema().fields().clone());
    let rows = RecordBatch::try_new(Arc::new(schema), rows.columns().to_vec()).unwrap();
    let version = version.map(|it| KeyValue::new("onward.schema_version".into(), it.to_owned()));
    let properties = WriterProperties::builder()
        .set_key_value_metadata(Some(version.into_iter().collect()))
        .build();
    let file = fs::File::create(part).unwrap();
    let mut writer = ArrowWriter::try_new(file, rows.schema(), Some(properties)).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
}

#[test]
fn the_columns_of_the_kept_parts_are_the_runs() {
    let dir = tempfile::tempdir().unwrap();
    let store = storage::start(&config(dir.path()), &named("first")).unwrap();
    store.write(Record::Embeddings(embeddings(1, 6, 4))).unwrap();
    let watermark = store.sync().unwrap();
    store.finish().unwrap();
    let store = storage::resume(&config(dir.path()), &named("first"), &watermark).unwrap();
    store.write(Record::Embeddings(embeddings(2, 6, 8))).unwrap();
    let error = store.finish().unwrap_err();
    assert!(matches!(error, Error::ColumnsChanged { table: "embeddings", .. }), "{error:?}");
    let store = storage::resume(&config(dir.path()), &named("first"), &watermark).unwrap();
    store.write(Record::Embeddings(embeddings(2, 6, 4))).unwrap();
    assert_eq!(store.finish().unwrap()[1].rows, 12);
}

#[test]
fn views_list_the_kept_tables_from_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let [first, _] = two_watermarks(dir.path());
    let store = storage::resume(&config(dir.path()), &named("first"), &first).unwrap();
    for name in ["views.sql", "dataset.json"] {
        let text = fs::read_to_string(dir.path().join(name)).unwrap();
        assert!(text.contains("metrics") && !text.contains("embeddings"), "{text}");
    }
    store.finish().unwrap();
}

#[test]
fn every_part_says_which_run_wrote_it() {
    let dir = tempfile::tempdir().unwrap();
    let [first, _] = two_watermarks(dir.path());
    let again = RunIdentity { id: "another".to_owned(), ..named("first") };
    let store = storage::resume(&config(dir.path()), &again, &first).unwrap();
    store.write(metrics(2)).unwrap();
    store.finish().unwrap();
    let said = |part: usize, key: &str| -> String {
        let metadata = metadata(&parts(dir.path(), "metrics")[part]);
        let entries = metadata.file_metadata().key_value_metadata().unwrap();
        entries.iter().find(|it| it.key == key).unwrap().value.clone().unwrap()
    };
    assert_eq!(said(0, "onward.schema_version"), storage::SCHEMA_VERSION.to_string());
    assert_eq!(
        (said(0, "onward.run"), said(0, "onward.config_hash")),
        ("first".into(), "5eed".into())
    );
    assert_eq!([0, 1].map(|it| said(it, "onward.run_id")), ["first-1", "another"]);
    let features: serde_json::Value = serde_json::from_str(&said(1, "huggingface")).unwrap();
    let features = &features["info"]["features"];
    assert_eq!(features["time"]["dtype"], "timestamp[us, tz=UTC]");
    assert_eq!(features["value"]["dtype"], "float64");
}

/// The write-ahead file of a run whose metrics have one closed part and three open records.
fn open(dir: &Path) -> Vec<u8> {
    let store = storage::start(&config(dir), &named("first")).unwrap();
    store.write(metrics(1)).unwrap();
    store.sync().unwrap();
    for step in 2..5 {
        store.write(metrics(step)).unwrap();
    }
    // Another table's part closes only after the records before it were taken.
    store.write(Record::Embeddings(embeddings(4, 9, 4))).unwrap();
    let wal = dir.join("wal/embeddings-00000.wal");
    wait_for("the last record", || fs::metadata(&wal).is_ok_and(|it| it.len() > 0));
    let bytes = fs::read(dir.join("wal/metrics-00001.wal")).unwrap();
    store.finish().unwrap();
    bytes
}

/// What is left of that run when it is killed, with these bytes in the write-ahead file.
fn killed(from: &Path, wal: &[u8]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for folder in ["metrics", "wal"] {
        fs::create_dir(dir.path().join(folder)).unwrap();
    }
    let part = "metrics/part-00000.parquet";
    fs::copy(from.join(part), dir.path().join(part)).unwrap();
    fs::write(dir.path().join("metrics/.part-00001.parquet.tmp"), "PAR1 and no end").unwrap();
    fs::write(dir.path().join("wal/metrics-00001.wal"), wal).unwrap();
    dir
}

#[test]
fn a_killed_process_loses_no_row_that_was_written() {
    let run = tempfile::tempdir().unwrap();
    let wal = open(run.path());
    let dir = killed(run.path(), &wal);
    let recovered = storage::recover(dir.path()).unwrap();
    assert_eq!((recovered.rows, recovered.parts, recovered.damaged_bytes), (6, 1, 0));
    assert_eq!(rows(dir.path(), "metrics"), rows(run.path(), "metrics"));
    let said = |dir: &Path| {
        let metadata = metadata(&parts(dir, "metrics")[1]);
        metadata.file_metadata().key_value_metadata().cloned()
    };
    assert_eq!(said(dir.path()), said(run.path()));
    assert!(fs::read_dir(dir.path().join("wal")).unwrap().next().is_none());
    assert!(!dir.path().join("metrics/.part-00001.parquet.tmp").exists());
    assert_eq!(storage::recover(dir.path()).unwrap(), storage::Recovered::default());
}

#[test]
fn a_damaged_record_is_reported_and_the_file_kept() {
    let run = tempfile::tempdir().unwrap();
    let mut wal = open(run.path());
    let end = wal.len();
    wal[end - 20] ^= 1;
    let dir = killed(run.path(), &wal);
    let recovered = storage::recover(dir.path()).unwrap();
    assert_eq!((recovered.rows, recovered.damaged_bytes), (4, end as u64 / 3));
    assert_eq!(steps(dir.path(), "metrics"), [1, 2, 3]);
    assert_eq!(fs::read(dir.path().join("superseded/0/metrics/metrics-00001.wal")).unwrap(), wal);
}

#[test]
fn superseded_rows_can_be_read() {
    let run = tempfile::tempdir().unwrap();
    let wal = open(run.path());
    let dir = killed(run.path(), &wal);
    let watermark: Watermark = serde_json::from_str(r#"{"metrics":1}"#).unwrap();
    storage::resume(&config(dir.path()), &named("first"), &watermark).unwrap().finish().unwrap();
    assert_eq!(steps(dir.path(), "metrics"), [1]);
    let superseded = dir.path().join("superseded/0");
    assert_eq!(steps(&superseded, "metrics"), [2, 3, 4]);
    assert!(superseded.join("metrics/.part-00001.parquet.tmp").exists());
}

#[test]
fn a_closed_part_has_priority_over_its_write_ahead_file() {
    let run = tempfile::tempdir().unwrap();
    let wal = open(run.path());
    let dir = killed(run.path(), &wal);
    let part = "metrics/part-00001.parquet";
    fs::copy(run.path().join(part), dir.path().join(part)).unwrap();
    assert_eq!(storage::recover(dir.path()).unwrap().rows, 0);
    assert_eq!(steps(dir.path(), "metrics"), [1, 2, 3, 4]);
    assert!(!dir.path().join("wal/metrics-00001.wal").exists());
}

#[test]
fn rows_that_only_a_write_ahead_file_holds_are_not_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("wal")).unwrap();
    fs::write(dir.path().join("wal/metrics-00000.wal"), "rows").unwrap();
    let config = Config { rows_per_part: 1, ..config(dir.path()) };
    let error = storage::start(&config, &named("second")).map(drop).unwrap_err();
    assert!(matches!(error, Error::FolderNotEmpty { .. }), "{error:?}");
}
