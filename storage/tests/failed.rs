//! What a reader finds when a run fails: whole parts, and an error that names the path. The
//! program's own tests try a full disk and a killed process.

// Clippy knows a test by its attribute, and not the functions that tests share.
#![allow(clippy::unwrap_used)]

mod run;

use std::collections::HashSet;
use std::error::Error as _;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use crossbeam_channel::{TryRecvError, bounded};
use storage::{Config, Embeddings, Error, Record, Store};

use run::{config, embeddings, metrics, named, parts, read, wait_for, with_vectors};

#[test]
fn a_reader_never_sees_half_a_part() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config { rows_per_part: 60, ..config(dir.path()) };
    let store = storage::start(&config, &named("first")).unwrap();
    let path = dir.path().to_owned();
    let (writing, written) = bounded::<()>(0);
    let (found, founds) = bounded(80);
    let reader = thread::Builder::new().name("reader".to_owned()).spawn(move || {
        let mut seen = HashSet::new();
        while written.try_recv() == Err(TryRecvError::Empty) {
            for part in parts(&path, "embeddings") {
                let rows = read(&part).unwrap_or_else(|error| panic!("{part:?}: {error}"));
                assert_eq!(rows.num_rows(), 60);
                if seen.insert(part) {
                    found.send(()).unwrap();
                }
            }
        }
        seen.len()
    });
    for step in 0..240 {
        store.write(Record::Embeddings(embeddings(step, 20, 64))).unwrap();
        if step == 120 {
            // The reader reads while the other half is written.
            (0..2).for_each(|_| founds.recv().unwrap());
        }
    }
    let summary = store.finish().unwrap();
    drop(writing);
    let seen = reader.unwrap().join().unwrap();
    assert_eq!((summary[1].rows, summary[1].parts), (4800, 80));
    assert!(seen > 1, "the reader saw {seen} parts: it did not read while they were written");
}

#[test]
fn the_folder_of_an_earlier_run_is_left_as_it_is() {
    for left in
        ["metrics/part-00000.parquet", "streams/.part-00003.parquet.tmp", "wal/events-00000.wal"]
    {
        let dir = tempfile::tempdir().unwrap();
        let left = dir.path().join(left);
        fs::create_dir_all(left.parent().unwrap()).unwrap();
        fs::write(&left, "old").unwrap();
        fs::write(dir.path().join("views.sql"), "old").unwrap();
        let error = storage::start(&config(dir.path()), &named("second")).err().unwrap();
        assert!(matches!(error, Error::FolderNotEmpty { .. }), "{error:?}");
        let message = error.to_string();
        assert!(message.contains(left.to_str().unwrap()), "{message}");
        assert!(message.contains("choose another `storage.dir`"), "{message}");
        assert_eq!(fs::read_to_string(left).unwrap(), "old");
        assert_eq!(fs::read_to_string(dir.path().join("views.sql")).unwrap(), "old");
    }
}

#[test]
fn a_file_where_the_folder_should_be_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("taken");
    fs::write(&file, "").unwrap();
    let error = storage::start(&config(&file), &named("first")).err().unwrap();
    assert!(error.to_string().contains("taken"), "{error}");
    assert!(error.source().is_some());
}

#[test]
fn a_folder_that_is_being_written_is_refused_to_everyone_else() {
    let dir = tempfile::tempdir().unwrap();
    let first = storage::start(&config(dir.path()), &named("first")).unwrap();
    let watermark = first.sync().unwrap();
    for refused in [
        storage::start(&config(dir.path()), &named("second")).map(drop),
        storage::resume(&config(dir.path()), &named("second"), &watermark).map(drop),
        storage::recover(dir.path()).map(drop),
        storage::compact(dir.path(), &[]).map(drop),
        storage::lock(dir.path()).map(drop),
    ] {
        let error = refused.unwrap_err();
        assert!(matches!(error, Error::Locked { .. }), "{error:?}");
        let message = error.to_string();
        assert!(message.contains(dir.path().to_str().unwrap()), "{message}");
        assert!(message.contains("wait until it has ended"), "{message}");
    }
    first.write(metrics(1)).unwrap();
    first.finish().unwrap();
    assert_eq!(read(&parts(dir.path(), "metrics")[0]).unwrap().num_rows(), 2);
    storage::lock(dir.path()).unwrap();
}

#[test]
fn a_table_whose_folder_vanishes_takes_no_other_table_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let store =
        storage::start(&Config { rows_per_part: 2, ..config(dir.path()) }, &named("x")).unwrap();
    store.write(metrics(1)).unwrap();
    store.write(Record::Embeddings(embeddings(1, 1, 4))).unwrap();
    wait_for("the metrics", || !parts(dir.path(), "metrics").is_empty());
    wait_for("the embeddings", || dir.path().join("embeddings/.part-00000.parquet.tmp").exists());
    fs::remove_dir_all(dir.path().join("metrics")).unwrap();
    write_until_stopped(&store, || metrics(2));

    let error = store.finish().unwrap_err();
    assert!(matches!(error, Error::File { .. }), "{error:?}");
    assert!(error.to_string().contains("metrics/.part-00001.parquet"), "{error}");
    let embeddings = parts(dir.path(), "embeddings");
    assert_eq!(read(&embeddings[0]).unwrap().num_rows(), 1);
}

#[test]
fn vectors_of_another_width_are_refused_and_the_first_ones_kept() {
    let dir = tempfile::tempdir().unwrap();
    let store = storage::start(&config(dir.path()), &named("first")).unwrap();
    store.write(Record::Embeddings(embeddings(1, 6, 4))).unwrap();
    store.write(Record::Embeddings(embeddings(2, 6, 8))).unwrap();
    let message = store.finish().unwrap_err().to_string();
    assert!(message.contains("embedding of 4") && message.contains("embedding of 8"), "{message}");
    assert_eq!(read(&parts(dir.path(), "embeddings")[0]).unwrap().num_rows(), 6);
}

#[test]
fn other_columns_of_vectors_are_refused_too() {
    let first = || with_vectors(embeddings(1, 6, 4), "aggregate", 8);
    for second in [
        embeddings(2, 6, 4),
        with_vectors(embeddings(2, 6, 4), "aggregate", 9),
        with_vectors(embeddings(2, 6, 4), "aggregates", 8),
        with_vectors(first(), "action", 8),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let store = storage::start(&config(dir.path()), &named("first")).unwrap();
        store.write(Record::Embeddings(first())).unwrap();
        store.write(Record::Embeddings(second)).unwrap();
        let error = store.finish().unwrap_err();
        assert!(matches!(error, Error::ColumnsChanged { table: "embeddings", .. }), "{error:?}");
        assert!(error.to_string().contains("aggregate of 8"), "{error}");
        assert_eq!(read(&parts(dir.path(), "embeddings")[0]).unwrap().num_rows(), 6);
    }
}

/// What writing a record panics with.
fn panics(record: Embeddings) -> String {
    let dir = tempfile::tempdir().unwrap();
    let store = storage::start(&config(dir.path()), &named("first")).unwrap();
    let write = AssertUnwindSafe(|| store.write(Record::Embeddings(record)));
    *catch_unwind(write).unwrap_err().downcast::<String>().unwrap()
}

#[test]
fn vectors_with_a_wrong_shape_or_name_panic() {
    let mut short = with_vectors(embeddings(1, 3, 4), "aggregate", 2);
    short.vectors[0].values.pop();
    assert!(panics(short).contains("values of aggregate is not [3, 2]"));
    assert!(panics(with_vectors(embeddings(1, 3, 4), "aggregate", 0)).contains("is 0"));
    for name in ["embedding", "stream", "loss_total", "step"] {
        let message = panics(with_vectors(embeddings(1, 3, 4), name, 2));
        assert!(message.contains(name) && message.contains("another column's"), "{message}");
    }
    let twice = with_vectors(with_vectors(embeddings(1, 3, 4), "a", 2), "a", 2);
    assert!(panics(twice).contains("another column's"));
    for name in ["", "Aggregate", "an \"aggregate\"", "2d", "_"] {
        let message = panics(with_vectors(embeddings(1, 3, 4), name, 2));
        assert!(message.contains("cannot be the name of a column of vectors"), "{message}");
    }
}

#[test]
#[should_panic(expected = "pts has 2 rows, stream has 3")]
fn columns_of_different_lengths_panic() {
    let dir = tempfile::tempdir().unwrap();
    let store = storage::start(&config(dir.path()), &named("first")).unwrap();
    let mut record = embeddings(1, 3, 4);
    record.pts.pop();
    store.write(Record::Embeddings(record)).unwrap();
}

fn write_until_stopped(store: &Store, record: impl Fn() -> Record) {
    wait_for("the writer's end", || match store.write(record()) {
        Ok(()) => false,
        Err(Error::WriterStopped) => true,
        Err(other) => panic!("{other}"),
    });
}
