//! Writes a run of embeddings as fast as it can, and prints what that cost as JSON.
//!
//! ```text
//! write FOLDER RECORDS ROWS WIDTH [plain]
//! ```
//!
//! `plain` writes only the vectors, with the crate parquet: no write-ahead files, no other tables
//! and no thread. The difference is what the store adds.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "an example stops at the first thing that goes wrong, and its result is what it prints"
)]

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arrow::array::{ArrayRef, FixedSizeListArray, Float32Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use storage::{
    Config, Embeddings, EventRow, Events, Metrics, Record, RunIdentity, StreamRow, Streams,
};

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [folder, records, rows, width, rest @ ..] = &arguments[..] else {
        panic!("write FOLDER RECORDS ROWS WIDTH [plain]");
    };
    let folder = PathBuf::from(folder);
    let (records, rows, width) = (number(records), number(rows), number(width));
    let batches: Vec<Embeddings> =
        (0..records).map(|step| embeddings(step as u64, rows, width)).collect();
    let (start, before) = (Instant::now(), cpu());
    match rest {
        [] => store(&folder, batches),
        _ => plain(&folder, batches),
    }
    let (seconds, used) = (start.elapsed().as_secs_f64(), cpu() - before);
    let bytes = bytes(&folder.join("embeddings"));
    let rows = records * rows;
    let result = serde_json::json!({
        "rows": rows, "width": width, "seconds": seconds, "cpu_s": used, "bytes": bytes
    });
    println!("{result}");
}

fn number(text: &str) -> usize {
    text.parse().unwrap_or_else(|_| panic!("{text} is not a number"))
}

/// Seconds of processor time of this process, from the kernel's ticks of a hundredth.
fn cpu() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let after_name = stat.rsplit_once(") ").unwrap().1;
    let fields = after_name.split(' ').skip(11).take(2);
    fields.map(|it| it.parse::<f64>().unwrap()).sum::<f64>() / 100.0
}

fn bytes(folder: &Path) -> u64 {
    fs::read_dir(folder).unwrap().map(|it| it.unwrap().metadata().unwrap().len()).sum()
}

/// The whole store, with a record of every other table beside each of embeddings.
fn store(folder: &Path, batches: Vec<Embeddings>) {
    let config = Config { dir: folder.to_owned(), ..Config::default() };
    let run = RunIdentity { name: "bench".into(), id: "bench-1".into(), config_hash: "0".into() };
    let store = storage::start(&config, &run).unwrap();
    for batch in batches {
        let step = batch.step;
        store.write(Record::Embeddings(batch)).unwrap();
        others(step).into_iter().for_each(|it| store.write(it).unwrap());
    }
    store.finish().unwrap();
}

fn time(step: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(1_700_000_000_000 + 40 * step)
}

fn others(step: u64) -> [Record; 3] {
    let time = time(step);
    let row = StreamRow { stream: "door".into(), state: "playing".into(), ..Default::default() };
    let event = EventRow {
        time,
        kind: "warning".into(),
        stream: Some("door".into()),
        state: None,
        epoch: None,
        message: "the light changed".into(),
    };
    let values = vec![("loss".into(), 1.0 / (step + 1) as f64), ("learning_rate".into(), 1e-3)];
    [
        Record::Metrics(Metrics { step, time, values }),
        Record::Streams(Streams { step, time, rows: vec![row] }),
        Record::Events(Events { step, rows: vec![event] }),
    ]
}

/// Vectors that compress as badly as embeddings do: normal numbers of no pattern.
fn embeddings(step: u64, rows: usize, width: usize) -> Embeddings {
    let mut state = step.wrapping_mul(0x9e37_79b9_7f4a_7c15) + 1;
    let mut uniform = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1_u64 << 24) as f32
    };
    let values = (0..rows * width).map(|_| (0..4).map(|_| uniform()).sum::<f32>() - 2.0).collect();
    Embeddings {
        step,
        encoder: "teacher".into(),
        stream: vec!["door".into(); rows],
        item: vec!["rtsp://camera/door".into(); rows],
        epoch: vec![0; rows],
        pts: (0..rows).map(|it| (step as usize * rows + it) as f64 / 25.0).collect(),
        captured: vec![Some(time(step)); rows],
        captured_by: vec![Some("camera"); rows],
        terms: vec![("total".into(), (0..rows).map(|_| uniform()).collect())],
        dim: width,
        values,
        vectors: Vec::new(),
    }
}

/// One file of the vectors alone, with the encodings of the store.
fn plain(folder: &Path, batches: Vec<Embeddings>) {
    let folder = folder.join("embeddings");
    fs::create_dir_all(&folder).unwrap();
    let width = batches[0].dim as i32;
    let item = Arc::new(Field::new("item", DataType::Float32, false));
    let list = DataType::FixedSizeList(item.clone(), width);
    let schema = Arc::new(Schema::new(vec![Field::new("embedding", list, false)]));
    let column = ColumnPath::from(vec!["embedding".into(), "list".into(), "item".into()]);
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_column_dictionary_enabled(column.clone(), false)
        .set_column_encoding(column.clone(), Encoding::BYTE_STREAM_SPLIT)
        .set_column_statistics_enabled(column, EnabledStatistics::None)
        .build();
    let file = File::create(folder.join("part-00000.parquet")).unwrap();
    let mut writer = ArrowWriter::try_new(file, schema.clone(), Some(properties)).unwrap();
    for batch in batches {
        let values = Arc::new(Float32Array::from(batch.values));
        let array = FixedSizeListArray::try_new(item.clone(), width, values, None).unwrap();
        let batch = RecordBatch::try_new(schema.clone(), vec![Arc::new(array) as ArrayRef]);
        writer.write(&batch.unwrap()).unwrap();
        if writer.memory_size() > 16 << 20 {
            writer.flush().unwrap();
        }
    }
    writer.into_inner().unwrap().sync_all().unwrap();
}
