//! Many small parts are merged into a few large ones, and readers see every row exactly once.

// Clippy knows a test by its attribute, and not the functions that tests share.
#![allow(clippy::unwrap_used)]

mod run;

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::thread;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use crossbeam_channel::{TryRecvError, bounded};
use parquet::errors::ParquetError;
use storage::{Config, Error, Record, RunIdentity, Store, Watermark};

use run::sequence::{TABLES, record, rows};
use run::{config, embeddings, metadata, metrics, named, parts, read};

/// Writes `records` records with a watermark after each.
fn synced(dir: &Path, records: u64) -> Vec<Watermark> {
    let store = storage::start(&config(dir), &named("first")).unwrap();
    let watermarks = write(&store, 0..records);
    store.finish().unwrap();
    watermarks
}

fn write(store: &Store, records: std::ops::Range<u64>) -> Vec<Watermark> {
    let sync = |number| {
        store.write(record(number)).unwrap();
        store.sync().unwrap()
    };
    records.map(sync).collect()
}

fn names(dir: &Path, table: &str) -> Vec<String> {
    let name = |it: &std::path::PathBuf| it.file_name().unwrap().to_str().unwrap().to_owned();
    parts(dir, table).iter().map(name).collect()
}

fn all_rows(dir: &Path) -> [RecordBatch; 4] {
    TABLES.map(|it| rows(dir, it).unwrap())
}

#[test]
fn small_parts_become_one_and_hold_the_same_rows() {
    let dir = tempfile::tempdir().unwrap();
    synced(dir.path(), 24);
    let before = all_rows(dir.path());
    let said = metadata(&parts(dir.path(), "embeddings")[0]);
    assert_eq!(parts(dir.path(), "metrics").len(), 6);

    let compacted = storage::compact(dir.path(), &[]).unwrap();
    assert_eq!(all_rows(dir.path()), before);
    for (table, before) in compacted.tables.iter().zip(&before) {
        assert_eq!((table.parts_before, table.parts_after), (6, 1));
        assert_eq!(table.rows, before.num_rows() as u64);
        assert_eq!(names(dir.path(), table.table), ["part-00000-00005.parquet"]);
    }
    let merged = metadata(&parts(dir.path(), "embeddings")[0]);
    assert_eq!(
        merged.file_metadata().key_value_metadata(),
        said.file_metadata().key_value_metadata()
    );
    let superseded = compacted.superseded.unwrap();
    assert!(superseded.ends_with("superseded/0"), "{superseded:?}");
    assert_eq!(names(&superseded, "metrics").len(), 6);
    assert!(!dir.path().join("compacting").exists());
}

#[test]
fn compacting_again_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    synced(dir.path(), 8);
    storage::compact(dir.path(), &[]).unwrap();
    let part = fs::metadata(&parts(dir.path(), "metrics")[0]).unwrap().modified().unwrap();
    let compacted = storage::compact(dir.path(), &[]).unwrap();
    assert_eq!(compacted.superseded, None);
    assert_eq!(fs::metadata(&parts(dir.path(), "metrics")[0]).unwrap().modified().unwrap(), part);
}

#[test]
fn no_part_crosses_a_checkpoint_that_may_be_resumed_from() {
    let dir = tempfile::tempdir().unwrap();
    let watermarks = synced(dir.path(), 24);
    storage::compact(dir.path(), &[watermarks[11].clone()]).unwrap();
    let ranges = ["part-00000-00002.parquet", "part-00003-00005.parquet"];
    assert_eq!(names(dir.path(), "metrics"), ranges);

    let store = storage::resume(&config(dir.path()), &named("first"), &watermarks[11]).unwrap();
    let watermark = write(&store, 12..13).remove(0);
    let summary = store.finish().unwrap();
    assert_eq!(names(dir.path(), "metrics"), ["part-00000-00002.parquet", "part-00003.parquet"]);
    assert_eq!((summary[0].rows, summary[0].parts), (8, 2));
    assert_eq!(names(&dir.path().join("superseded/1"), "metrics"), [ranges[1]]);

    storage::compact(dir.path(), &[]).unwrap();
    assert_eq!(names(dir.path(), "metrics"), ["part-00000-00003.parquet"]);
    storage::resume(&config(dir.path()), &named("first"), &watermark).unwrap().finish().unwrap();
    let refused = storage::resume(&config(dir.path()), &named("first"), &watermarks[11]).map(drop);
    let error = refused.unwrap_err();
    assert!(matches!(error, Error::PartAcrossCheckpoint { .. }), "{error:?}");
    assert!(error.to_string().contains("part-00000-00003.parquet"), "{error}");
    assert_eq!(names(dir.path(), "metrics"), ["part-00000-00003.parquet"]);
}

#[test]
fn a_merged_part_has_as_many_rows_as_a_part_may_have() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config { rows_per_part: 1, ..config(dir.path()) };
    let store = storage::start(&config, &named("first")).unwrap();
    for (step, n) in [30_000, 30_000, 5_536, 1, 65_536, 2, 3].into_iter().enumerate() {
        store.write(Record::Embeddings(embeddings(step as u64, n, 1))).unwrap();
    }
    store.finish().unwrap();
    storage::compact(dir.path(), &[]).unwrap();
    assert_eq!(
        names(dir.path(), "embeddings"),
        [
            "part-00000-00002.parquet",
            "part-00003.parquet",
            "part-00004.parquet",
            "part-00005-00006.parquet"
        ]
    );
    let parts = parts(dir.path(), "embeddings");
    let rows: Vec<_> = parts.iter().map(|it| read(it).unwrap().num_rows()).collect();
    assert_eq!(rows, [65_536, 1, 65_536, 5]);
}

#[test]
fn parts_of_another_configuration_stay_apart() {
    let dir = tempfile::tempdir().unwrap();
    let watermarks = synced(dir.path(), 8);
    let changed = RunIdentity { config_hash: "other".to_owned(), ..named("first") };
    let store = storage::resume(&config(dir.path()), &changed, &watermarks[7]).unwrap();
    write(&store, 8..16);
    store.finish().unwrap();
    storage::compact(dir.path(), &[]).unwrap();
    assert_eq!(
        names(dir.path(), "metrics"),
        ["part-00000-00001.parquet", "part-00002-00003.parquet"]
    );
}

#[test]
fn other_files_of_a_table_stay_where_they_are() {
    let dir = tempfile::tempdir().unwrap();
    synced(dir.path(), 8);
    fs::write(dir.path().join("metrics/notes.txt"), "mine").unwrap();
    storage::compact(dir.path(), &[]).unwrap();
    assert_eq!(fs::read_to_string(dir.path().join("metrics/notes.txt")).unwrap(), "mine");
}

#[test]
fn a_damaged_part_leaves_its_table_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    synced(dir.path(), 8);
    let before = names(dir.path(), "streams");
    let part = &parts(dir.path(), "streams")[1];
    let mut bytes = fs::read(part).unwrap();
    bytes.truncate(bytes.len() - 1);
    fs::write(part, bytes).unwrap();
    let error = storage::compact(dir.path(), &[]).unwrap_err();
    assert!(matches!(&error, Error::Unreadable { path, .. } if path == part), "{error:?}");
    assert_eq!(names(dir.path(), "streams"), before);
}

/// What a reader that takes a moment finds: all rows, or nothing because a part that it listed is
/// no longer there.
fn look(dir: &Path, table: &str) -> Option<RecordBatch> {
    let mut batches = Vec::new();
    for part in parts(dir, table) {
        match read(&part) {
            Ok(batch) => batches.push(batch),
            Err(ParquetError::External(error))
                if error.downcast_ref::<std::io::Error>().map(std::io::Error::kind)
                    == Some(ErrorKind::NotFound) =>
            {
                return None;
            }
            Err(error) => panic!("{part:?}: {error}"),
        }
    }
    let schema = batches.first().expect("a table without parts").schema();
    Some(concat_batches(&schema, &batches).unwrap())
}

#[test]
fn readers_see_the_same_rows_at_every_moment() {
    let dir = tempfile::tempdir().unwrap();
    let watermarks = synced(dir.path(), 64);
    let expected = all_rows(dir.path());
    let (compacting, compacted) = bounded::<()>(0);
    let (looked, looks) = bounded(1);
    let path = dir.path().to_owned();
    let look_on = move || {
        let (mut whole, mut gone) = (0, 0);
        while compacted.try_recv() == Err(TryRecvError::Empty) {
            for (table, expected) in TABLES.iter().zip(&expected) {
                match look(&path, table) {
                    Some(rows) => {
                        assert_eq!(rows, *expected, "{table}");
                        whole += 1;
                    }
                    None => gone += 1,
                }
            }
            let _ = looked.try_send(());
        }
        (whole, gone)
    };
    let reader = thread::Builder::new().name("reader".to_owned()).spawn(look_on).unwrap();
    // Fewer boundaries each time, so that every table is exchanged often: it has a part for every
    // fourth watermark.
    for step in [8, 16, 32, 64] {
        let boundaries: Vec<Watermark> = watermarks.iter().step_by(step).cloned().collect();
        let compacted = storage::compact(dir.path(), &boundaries).unwrap();
        assert!(
            compacted.superseded.is_some(),
            "a boundary every {step} watermarks changed nothing"
        );
        // The third look began after the compaction ended, so it found every table.
        (0..3).for_each(|_| looks.recv().unwrap());
    }
    storage::compact(dir.path(), &[]).unwrap();
    drop(compacting);
    let (whole, gone) = reader.join().unwrap();
    assert!(whole > 4, "{whole} whole reads, {gone} of a part that was moved");
    assert_eq!(parts(dir.path(), "events").len(), 1);
}

#[test]
fn a_run_that_was_killed_is_recovered_first() {
    let dir = tempfile::tempdir().unwrap();
    let store = storage::start(&config(dir.path()), &named("first")).unwrap();
    store.write(metrics(1)).unwrap();
    store.sync().unwrap();
    store.write(metrics(2)).unwrap();
    let wal = dir.path().join("wal/metrics-00001.wal");
    run::wait_for("the write-ahead file", || fs::metadata(&wal).is_ok_and(|it| it.len() > 0));
    let left = tempfile::tempdir().unwrap();
    for name in ["metrics/part-00000.parquet", "wal/metrics-00001.wal"] {
        let to = left.path().join(name);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(dir.path().join(name), to).unwrap();
    }
    let compacted = storage::compact(left.path(), &[]).unwrap();
    assert_eq!((compacted.tables[0].rows, compacted.tables[0].parts_after), (4, 1));
    assert_eq!(names(left.path(), "metrics"), ["part-00000-00001.parquet"]);
}
