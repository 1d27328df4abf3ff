//! A run goes on after a checkpoint, and what came later is set aside.

// Clippy knows a test by its attribute, and not the functions that tests share.
#![allow(clippy::unwrap_used)]

mod run;

use std::fs;
use std::path::Path;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use storage::{Config, Error, Record, Run, Seal};

use run::sequence::rows;
use run::{config, embeddings, metadata, metrics, named, parts, wait_for};

fn steps(dir: &Path, table: &str) -> Vec<i64> {
    let Some(rows) = rows(dir, table) else { return Vec::new() };
    rows["step"].as_primitive::<Int64Type>().values().iter().step_by(2).copied().collect()
}

/// A run of two checkpoints and a step after them. Returns both seals.
fn two_seals(dir: &Path) -> [Seal; 2] {
    let store = storage::start(&config(dir), &named("first")).unwrap();
    let seals = [1, 2].map(|step| {
        store.write(metrics(step)).unwrap();
        store.seal().unwrap()
    });
    store.write(metrics(3)).unwrap();
    store.finish().unwrap();
    seals
}

#[test]
fn what_came_after_the_checkpoint_is_set_aside_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let [first, _] = two_seals(dir.path());
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

    let store = storage::resume(&config(dir.path()), &named("first"), &Seal::default()).unwrap();
    assert_eq!(store.finish().unwrap()[0].rows, 0);
    assert_eq!(steps(dir.path(), "metrics"), [0; 0]);
    assert_eq!(steps(&dir.path().join("superseded/1"), "metrics"), [1, 20]);
}

#[test]
fn a_seal_that_nothing_came_after_moves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = storage::start(&config(dir.path()), &named("first")).unwrap();
    store.write(metrics(1)).unwrap();
    let seal = store.seal().unwrap();
    assert_eq!(store.seal().unwrap(), seal);
    store.finish().unwrap();
    let store = storage::resume(&config(dir.path()), &named("first"), &seal).unwrap();
    assert_eq!(store.seal().unwrap(), seal);
    store.finish().unwrap();
    assert!(!dir.path().join("superseded").exists());
    assert_eq!(steps(dir.path(), "metrics"), [1]);
}

#[test]
fn a_seal_survives_the_checkpoint_that_keeps_it() {
    let dir = tempfile::tempdir().unwrap();
    let [first, second] = two_seals(dir.path());
    assert_ne!(first, second);
    let text = serde_json::to_string(&second).unwrap();
    assert_eq!(text, r#"{"embeddings":0,"events":0,"metrics":2,"streams":0}"#);
    assert_eq!(serde_json::from_str::<Seal>(&text).unwrap(), second);
}

#[test]
fn a_hole_before_the_checkpoint_is_refused_and_one_after_it_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let [first, second] = two_seals(dir.path());
    fs::remove_file(dir.path().join("metrics/part-00001.parquet")).unwrap();
    let resume = |seal| storage::resume(&config(dir.path()), &named("first"), seal);
    let error = resume(&second).map(drop).unwrap_err();
    assert!(matches!(error, Error::Missing { .. }), "{error:?}");
    assert!(error.to_string().contains("metrics/part-00001.parquet"), "{error}");
    assert_eq!(steps(dir.path(), "metrics"), [1, 3], "a refused start moves nothing");
    resume(&first).unwrap().finish().unwrap();
    assert_eq!(steps(dir.path(), "metrics"), [1]);
}

#[test]
fn a_damaged_part_of_the_checkpoint_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let [first, _] = two_seals(dir.path());
    let part = &parts(dir.path(), "metrics")[0];
    fs::write(part, "PAR1").unwrap();
    let error =
        storage::resume(&config(dir.path()), &named("first"), &first).map(drop).unwrap_err();
    assert!(matches!(&error, Error::Unreadable { path, .. } if path == part), "{error:?}");
    assert_eq!(parts(dir.path(), "metrics").len(), 3, "a refused start moves nothing");
}

#[test]
fn the_columns_of_the_kept_parts_are_the_runs() {
    let dir = tempfile::tempdir().unwrap();
    let store = storage::start(&config(dir.path()), &named("first")).unwrap();
    store.write(Record::Embeddings(embeddings(1, 6, 4))).unwrap();
    let seal = store.seal().unwrap();
    store.finish().unwrap();
    let store = storage::resume(&config(dir.path()), &named("first"), &seal).unwrap();
    store.write(Record::Embeddings(embeddings(2, 6, 8))).unwrap();
    let error = store.finish().unwrap_err();
    assert!(matches!(error, Error::Changed { table: "embeddings", .. }), "{error:?}");
    let store = storage::resume(&config(dir.path()), &named("first"), &seal).unwrap();
    store.write(Record::Embeddings(embeddings(2, 6, 4))).unwrap();
    assert_eq!(store.finish().unwrap()[1].rows, 12);
}

#[test]
fn views_list_what_is_kept_from_the_start_on() {
    let dir = tempfile::tempdir().unwrap();
    let [first, _] = two_seals(dir.path());
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
    let [first, _] = two_seals(dir.path());
    let again = Run { id: "another".to_owned(), ..named("first") };
    let store = storage::resume(&config(dir.path()), &again, &first).unwrap();
    store.write(metrics(2)).unwrap();
    store.finish().unwrap();
    let said = |part: usize, key: &str| -> String {
        let metadata = metadata(&parts(dir.path(), "metrics")[part]);
        let entries = metadata.file_metadata().key_value_metadata().unwrap();
        entries.iter().find(|it| it.key == key).unwrap().value.clone().unwrap()
    };
    assert_eq!(said(0, "onward.schema_version"), "1");
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
    store.seal().unwrap();
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
fn a_kill_takes_no_row_that_was_written() {
    let run = tempfile::tempdir().unwrap();
    let wal = open(run.path());
    let dir = killed(run.path(), &wal);
    let recovered = storage::recover(dir.path()).unwrap();
    assert_eq!((recovered.rows, recovered.parts, recovered.ignored), (6, 1, 0));
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
    assert_eq!((recovered.rows, recovered.ignored), (4, end as u64 / 3));
    assert_eq!(steps(dir.path(), "metrics"), [1, 2, 3]);
    assert_eq!(fs::read(dir.path().join("superseded/0/metrics/metrics-00001.wal")).unwrap(), wal);
}

#[test]
fn rows_after_the_checkpoint_can_be_read_where_they_are_set_aside() {
    let run = tempfile::tempdir().unwrap();
    let wal = open(run.path());
    let dir = killed(run.path(), &wal);
    let seal: Seal = serde_json::from_str(r#"{"metrics":1}"#).unwrap();
    storage::resume(&config(dir.path()), &named("first"), &seal).unwrap().finish().unwrap();
    assert_eq!(steps(dir.path(), "metrics"), [1]);
    let aside = dir.path().join("superseded/0");
    assert_eq!(steps(&aside, "metrics"), [2, 3, 4]);
    assert!(aside.join("metrics/.part-00001.parquet.tmp").exists());
}

#[test]
fn a_closed_part_wins_over_its_write_ahead_file() {
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
fn rows_that_only_a_write_ahead_file_holds_are_not_written_over() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("wal")).unwrap();
    fs::write(dir.path().join("wal/metrics-00000.wal"), "rows").unwrap();
    let config = Config { rows_per_part: 1, ..config(dir.path()) };
    let error = storage::start(&config, &named("second")).map(drop).unwrap_err();
    assert!(matches!(error, Error::Occupied { .. }), "{error:?}");
}
