//! What a reader finds in the parts of a run that ended normally.

// Clippy knows a test by its attribute, and not the functions that tests share.
#![allow(clippy::unwrap_used)]

mod run;

use std::fs;
use std::time::Duration;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{
    DataType, Float32Type, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType,
};
use parquet::basic::{Compression, Encoding};
use parquet::file::metadata::ColumnChunkMetaData;
use storage::{Config, EventRow, Events, Record, Streams, TableSummary};

use run::{
    config, embeddings, metrics, named, noon, parts, read, row, schema, wait_for, with_vectors,
};

#[test]
fn the_last_metrics_until_a_step_are_read_back() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(storage::last_metrics(dir.path(), 9).unwrap(), None);
    let config = Config { rows_per_part: 4, ..config(dir.path()) };
    let store = storage::start(&config, &named("first")).unwrap();
    [2, 4, 6].iter().for_each(|step| store.write(metrics(*step)).unwrap());
    store.finish().unwrap();
    assert_eq!(parts(dir.path(), "metrics").len(), 2);
    for (until, step) in [(1, None), (2, Some(2)), (5, Some(4)), (100, Some(6))] {
        let found = storage::last_metrics(dir.path(), until).unwrap();
        let wanted = step.map(|step| {
            let Record::Metrics(metrics) = metrics(step) else { unreachable!() };
            storage::StepValues { step, values: metrics.values }
        });
        assert_eq!(found, wanted, "until {until}");
    }
}

#[test]
fn metrics_come_back_one_row_per_value() {
    let dir = tempfile::tempdir().unwrap();
    let store = storage::start(&config(dir.path()), &named("first")).unwrap();
    for step in [1, 2] {
        store.write(metrics(step)).unwrap();
    }
    let summary = store.finish().unwrap();
    let part = &parts(dir.path(), "metrics")[0];
    let bytes = fs::metadata(part).unwrap().len();
    assert_eq!(summary[0], TableSummary { table: "metrics", rows: 4, bytes, parts: 1 });
    assert_eq!(summary[1], TableSummary { table: "embeddings", rows: 0, bytes: 0, parts: 0 });

    let batch = read(part).unwrap();
    assert!(batch["run"].as_string::<i32>().iter().all(|it| it == Some("first")));
    assert_eq!(batch["step"].as_primitive::<Int64Type>().values(), &[1, 1, 2, 2]);
    let names: Vec<_> = batch["name"].as_string::<i32>().iter().flatten().collect();
    assert_eq!(names, ["loss", "learning_rate", "loss", "learning_rate"]);
    assert_eq!(batch["value"].as_primitive::<Float64Type>().values(), &[1.0, 1e-3, 0.5, 1e-3]);
    let time = batch["time"].as_primitive::<TimestampMicrosecondType>();
    assert_eq!(time.value(0), 1_700_000_000_250_000);
}

#[test]
fn embeddings_come_back_as_the_vectors_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let store = storage::start(&config(dir.path()), &named("first")).unwrap();
    let written = embeddings(7, 5, 3);
    store.write(Record::Embeddings(written.clone())).unwrap();
    store.finish().unwrap();

    let batch = read(&parts(dir.path(), "embeddings")[0]).unwrap();
    let vectors = batch["embedding"].as_fixed_size_list();
    assert_eq!((vectors.len(), vectors.value_length()), (5, 3));
    assert_eq!(vectors.values().as_primitive::<Float32Type>().values(), &written.values[..]);
    assert_eq!(batch["loss_total"].as_primitive::<Float32Type>().values(), &written.terms[0].1[..]);
    assert_eq!(batch["pts"].as_primitive::<Float64Type>().values(), &written.pts[..]);
    assert_eq!(batch["epoch"].as_primitive::<Int64Type>().values(), &[0, 1, 2, 3, 4]);
    let captured = batch["captured"].as_primitive::<TimestampMicrosecondType>();
    assert!(captured.is_valid(0) && captured.is_null(1));
    assert_eq!(captured.value(0), 1_700_000_000_250_000);
    let items: Vec<_> = batch["item"].as_string::<i32>().iter().flatten().collect();
    assert_eq!(items, written.item);
}

#[test]
fn other_vectors_have_columns_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let store = storage::start(&config(dir.path()), &named("first")).unwrap();
    let written = with_vectors(with_vectors(embeddings(7, 5, 3), "aggregate", 4), "action", 2);
    store.write(Record::Embeddings(written.clone())).unwrap();
    store.finish().unwrap();

    let part = &parts(dir.path(), "embeddings")[0];
    let batch = read(part).unwrap();
    assert_eq!(batch["embedding"].as_fixed_size_list().value_length(), 3);
    let columns = run::metadata(part).row_group(0).columns().to_vec();
    for (vectors, width) in written.vectors.iter().zip([4, 2]) {
        let lists = batch[&*vectors.name].as_fixed_size_list();
        assert_eq!((lists.len(), lists.value_length()), (5, width));
        assert_eq!(lists.values().as_primitive::<Float32Type>().values(), &vectors.values[..]);
        let schema = schema(part);
        let field = schema.field_with_name(&vectors.name).unwrap();
        let DataType::FixedSizeList(item, _) = field.data_type() else { panic!("{field:?}") };
        assert!(!field.is_nullable() && !item.is_nullable(), "{field:?}");
        let name = format!("{}.list.item", vectors.name);
        let column = columns.iter().find(|it| path(it) == name).unwrap();
        assert!(is_split(column) && !dictionary(column) && column.statistics().is_none());
    }
    let views = fs::read_to_string(dir.path().join("views.sql")).unwrap();
    for cast in ["\"embedding\"::FLOAT[3]", "\"aggregate\"::FLOAT[4]", "\"action\"::FLOAT[2]"] {
        assert!(views.contains(cast), "{views}");
    }
}

#[test]
fn the_ledger_comes_back_with_every_count_in_its_column() {
    let dir = tempfile::tempdir().unwrap();
    let store = storage::start(&config(dir.path()), &named("first")).unwrap();
    let rows = vec![row("camera", None), row("archive", Some("no such file"))];
    store.write(Record::Streams(Streams { step: 3, time: noon(), rows })).unwrap();
    store.finish().unwrap();

    let batch = read(&parts(dir.path(), "streams")[0]).unwrap();
    let count = |name: &str| batch[name].as_primitive::<Int64Type>().value(1);
    let fates = ["trained", "untrained", "off_grid", "cut", "discontinuity", "uneven"];
    assert_eq!(fates.map(count), [10, 20, 30, 40, 50, 55]);
    assert_eq!(["light", "still", "dropped", "unfinished"].map(count), [1, 2, 3, 60]);
    assert_eq!(["decoded", "passes", "errors", "clips"].map(count), [271, 1, 2, 3]);
    let live = ["reconnects", "stalls", "late", "unneeded", "abandoned"];
    assert_eq!(live.map(count), [4, 5, 6, 7, 8]);
    assert_eq!(batch["share"].as_primitive::<Float64Type>().value(1), 0.25);
    let message = batch["message"].as_string::<i32>();
    assert!(message.is_null(0));
    assert_eq!(message.value(1), "no such file");
    assert_eq!(batch["state"].as_string::<i32>().value(0), "running");
}

#[test]
fn events_come_back_with_all_their_columns() {
    let dir = tempfile::tempdir().unwrap();
    let store = storage::start(&config(dir.path()), &named("first")).unwrap();
    let state = EventRow {
        time: noon(),
        kind: "state".to_owned(),
        stream: Some("door".to_owned()),
        state: Some("waiting".to_owned()),
        epoch: Some(3),
        message: "the server closed the connection".to_owned(),
    };
    let warning = EventRow {
        kind: "warning".to_owned(),
        stream: None,
        state: None,
        epoch: None,
        ..state.clone()
    };
    store.write(Record::Events(Events { step: 7, rows: vec![state, warning] })).unwrap();
    store.finish().unwrap();

    let batch = read(&parts(dir.path(), "events")[0]).unwrap();
    let text = |name: &str| batch[name].as_string::<i32>().iter().collect::<Vec<_>>();
    assert_eq!(text("kind"), [Some("state"), Some("warning")]);
    assert_eq!(text("stream"), [Some("door"), None]);
    assert_eq!(text("state"), [Some("waiting"), None]);
    let epoch = batch["epoch"].as_primitive::<Int64Type>();
    assert!(epoch.value(0) == 3 && epoch.is_null(1));
    let time = batch["time"].as_primitive::<TimestampMicrosecondType>();
    assert_eq!(time.value(1), 1_700_000_000_250_000);
    assert_eq!(batch["step"].as_primitive::<Int64Type>().value(1), 7);
}

#[test]
fn the_types_are_those_that_every_reader_takes() {
    let dir = whole_run();
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let nullable = |table: &str| -> Vec<String> {
        let schema = schema(&parts(dir.path(), table)[0]);
        let fields = schema.fields().iter();
        fields.filter(|it| it.is_nullable()).map(|it| it.name().clone()).collect()
    };
    assert_eq!(nullable("metrics"), [""; 0]);
    assert_eq!(nullable("embeddings"), ["captured", "captured_by"]);
    assert_eq!(nullable("streams"), ["message"]);

    let schema = schema(&parts(dir.path(), "embeddings")[0]);
    assert_eq!(schema.field_with_name("captured").unwrap().data_type(), &utc);
    assert_eq!(schema.field_with_name("stream").unwrap().data_type(), &DataType::Utf8);
    assert_eq!(schema.field_with_name("step").unwrap().data_type(), &DataType::Int64);
    let DataType::FixedSizeList(item, 3) = schema.field_with_name("embedding").unwrap().data_type()
    else {
        panic!("not a list of 3: {schema:?}");
    };
    assert_eq!((item.data_type(), item.is_nullable()), (&DataType::Float32, false));
}

#[test]
fn floats_are_split_into_byte_streams_and_all_is_zstd() {
    let dir = whole_run();
    for (table, floats) in [
        ("metrics", &["value"][..]),
        ("embeddings", &["pts", "loss_total", "loss_invariance", "embedding.list.item"]),
        ("streams", &["share"]),
    ] {
        let metadata = run::metadata(&parts(dir.path(), table)[0]);
        let columns = metadata.row_group(0).columns();
        for column in columns {
            assert!(matches!(column.compression(), Compression::ZSTD(_)), "{column:?}");
        }
        let split: Vec<_> = columns.iter().filter(|it| is_split(it)).map(path).collect();
        assert_eq!(split, floats, "{table}");
        let plain = columns.iter().filter(|it| is_split(it) && dictionary(it)).count();
        assert_eq!(plain, 0, "{table}: a dictionary of floats");
        let run = columns.iter().find(|it| path(it) == "run").unwrap();
        assert!(dictionary(run), "{table}: the run's name is stored once");
    }
}

#[test]
fn a_part_closes_at_its_rows_and_a_record_is_not_split() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config { rows_per_part: 10, ..config(dir.path()) };
    let store = storage::start(&config, &named("first")).unwrap();
    for step in 0..7 {
        store.write(Record::Embeddings(embeddings(step, 4, 2))).unwrap();
    }
    let summary = store.finish().unwrap();
    assert_eq!((summary[1].rows, summary[1].parts), (28, 3));
    let parts = parts(dir.path(), "embeddings");
    let rows: Vec<_> = parts.iter().map(|it| read(it).unwrap().num_rows()).collect();
    assert_eq!(rows, [12, 12, 4]);
    let names: Vec<_> = parts.iter().map(|it| it.file_name().unwrap()).collect();
    assert_eq!(names, ["part-00000.parquet", "part-00001.parquet", "part-00002.parquet"]);
}

#[test]
fn a_part_closes_at_its_age_though_nothing_more_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config { seconds_per_part: 0.05, ..config(dir.path()) };
    let store = storage::start(&config, &named("first")).unwrap();
    store.write(metrics(1)).unwrap();
    wait_for("the first part", || !parts(dir.path(), "metrics").is_empty());
    store.write(metrics(2)).unwrap();
    wait_for("the second part", || parts(dir.path(), "metrics").len() == 2);
    let summary = store.finish().unwrap();
    assert_eq!((summary[0].rows, summary[0].parts), (4, 2));
}

#[test]
fn a_part_stays_open_until_its_age() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config { seconds_per_part: 3600.0, ..config(dir.path()) };
    let store = storage::start(&config, &named("first")).unwrap();
    store.write(metrics(1)).unwrap();
    let open = dir.path().join("metrics/.part-00000.parquet.tmp");
    wait_for("the open part", || open.exists());
    assert!(parts(dir.path(), "metrics").is_empty());
    store.finish().unwrap();
    assert!(!open.exists());
    assert_eq!(parts(dir.path(), "metrics").len(), 1);
}

#[test]
fn a_part_of_many_vectors_goes_to_disk_in_pieces() {
    let dir = tempfile::tempdir().unwrap();
    let store = storage::start(&config(dir.path()), &named("first")).unwrap();
    for step in 0..10 {
        store.write(Record::Embeddings(embeddings(step, 1000, 1024))).unwrap();
    }
    store.finish().unwrap();
    let metadata = run::metadata(&parts(dir.path(), "embeddings")[0]);
    assert!(metadata.num_row_groups() > 1, "40 MB waited in memory for one row group");
    for group in metadata.row_groups() {
        assert!(group.total_byte_size() < 24 << 20, "{} bytes", group.total_byte_size());
    }
}

#[test]
fn a_store_that_is_dropped_saves_what_it_was_given() {
    let dir = tempfile::tempdir().unwrap();
    let store = storage::start(&config(dir.path()), &named("first")).unwrap();
    store.write(metrics(1)).unwrap();
    drop(store);
    assert_eq!(read(&parts(dir.path(), "metrics")[0]).unwrap().num_rows(), 2);
}

#[test]
fn views_list_a_table_from_its_first_part_on() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config { rows_per_part: 1, ..config(dir.path()) };
    let views = || fs::read_to_string(dir.path().join("views.sql")).unwrap();
    let store = storage::start(&config, &named("first")).unwrap();
    assert!(!views().contains("VIEW"), "{}", views());
    store.write(metrics(1)).unwrap();
    wait_for("the metrics", || views().contains("VIEW metrics"));
    assert!(!views().contains("VIEW embeddings"), "{}", views());
    store.write(Record::Embeddings(embeddings(1, 2, 3))).unwrap();
    wait_for("the embeddings", || views().contains("\"embedding\"::FLOAT[3]"));
    store.finish().unwrap();
    let path = dir.path().canonicalize().unwrap().join("embeddings/*.parquet");
    assert!(views().contains(&format!("read_parquet('{}')", path.display())), "{}", views());
}

#[test]
fn a_record_without_rows_leaves_no_part() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config { seconds_per_part: Duration::MAX.as_secs_f64(), ..config(dir.path()) };
    let store = storage::start(&config, &named("first")).unwrap();
    store.write(Record::Embeddings(embeddings(1, 0, 3))).unwrap();
    assert_eq!(store.finish().unwrap()[1].parts, 0);
}

fn whole_run() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let store = storage::start(&config(dir.path()), &named("first")).unwrap();
    store.write(metrics(1)).unwrap();
    store.write(Record::Embeddings(embeddings(1, 50, 3))).unwrap();
    let rows = vec![row("camera", None)];
    store.write(Record::Streams(Streams { step: 1, time: noon(), rows })).unwrap();
    store.finish().unwrap();
    dir
}

fn path(column: &ColumnChunkMetaData) -> String {
    column.column_path().string()
}

fn is_split(column: &ColumnChunkMetaData) -> bool {
    column.encodings().any(|it| it == Encoding::BYTE_STREAM_SPLIT)
}

fn dictionary(column: &ColumnChunkMetaData) -> bool {
    column.dictionary_page_offset().is_some()
}
