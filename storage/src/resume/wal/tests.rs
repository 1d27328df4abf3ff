use std::sync::Arc;
use std::{fs, iter};

use arrow::array::{Int64Array, StringArray};
use arrow::datatypes::{DataType, Field, Schema};

use super::*;

fn batch(number: i64) -> RecordBatch {
    let fields = vec![
        Field::new("number", DataType::Int64, false),
        Field::new("text", DataType::Utf8, true),
    ];
    let text = StringArray::from(vec![Some(format!("row {number}")), None]);
    let columns = vec![
        Arc::new(Int64Array::from(vec![number, -number])) as arrow::array::ArrayRef,
        Arc::new(text),
    ];
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

/// The bytes of a file of three records, and where each frame ends.
fn written() -> (Vec<u8>, [usize; 3]) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("metrics-00000.wal");
    let mut wal = WalWriter::create(path.clone(), batch(0).schema()).unwrap();
    let ends = [1, 2, 3].map(|number| {
        wal.write(&batch(number)).unwrap();
        fs::metadata(&path).unwrap().len() as usize
    });
    (fs::read(&path).unwrap(), ends)
}

/// The records of a file of these bytes, and the damaged bytes after them.
fn read(path: &Path, bytes: &[u8]) -> (Vec<RecordBatch>, u64) {
    fs::write(path, bytes).unwrap();
    let mut records = WalReader::open(path).unwrap();
    let batches = records.by_ref().map(Result::unwrap).collect();
    (batches, records.damaged_bytes())
}

#[test]
fn records_come_back_as_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let (batches, damaged) = read(&dir.path().join("wal"), &written().0);
    assert_eq!(batches, [1, 2, 3].map(batch));
    assert_eq!(damaged, 0);
}

#[test]
fn every_frame_is_a_whole_stream() {
    let (bytes, ends) = written();
    for (number, (start, end)) in iter::zip(1.., iter::zip([0, ends[0], ends[1]], ends)) {
        let mut stream = StreamWriter::try_new(Vec::new(), &batch(0).schema()).unwrap();
        stream.write(&batch(number)).unwrap();
        assert_eq!(bytes[start + HEADER..end], stream.into_inner().unwrap());
    }
}

#[test]
fn a_truncated_file_gives_the_frames_before_the_cut() {
    let dir = tempfile::tempdir().unwrap();
    let (bytes, ends) = written();
    for length in 0..bytes.len() {
        let whole = ends.iter().filter(|end| **end <= length).count();
        let (batches, damaged) = read(&dir.path().join("wal"), &bytes[..length]);
        assert_eq!(batches, [1, 2, 3].map(batch)[..whole], "cut to {length}");
        let start = [0, ends[0], ends[1]][whole];
        assert_eq!(damaged, (length - start) as u64, "cut to {length}");
    }
}

#[test]
fn a_changed_byte_takes_its_frame_and_those_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let (bytes, ends) = written();
    for place in 0..bytes.len() {
        for mask in [0x01, 0x80, 0xff] {
            let mut bytes = bytes.clone();
            bytes[place] ^= mask;
            let whole = ends.iter().filter(|end| **end <= place).count();
            let (batches, damaged) = read(&dir.path().join("wal"), &bytes);
            assert_eq!(batches, [1, 2, 3].map(batch)[..whole], "byte {place}");
            let start = [0, ends[0], ends[1]][whole];
            assert_eq!(damaged, (bytes.len() - start) as u64, "byte {place}");
        }
    }
}

#[test]
fn zeros_after_the_last_frame_are_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let mut bytes = written().0;
    bytes.extend([0; 4096]);
    let (batches, damaged) = read(&dir.path().join("wal"), &bytes);
    assert_eq!((batches.len(), damaged), (3, 4096));
}

#[test]
fn a_second_start_does_not_append() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("metrics-00000.wal");
    fs::write(&path, "old").unwrap();
    assert!(WalWriter::create(path.clone(), batch(0).schema()).is_err());
    assert_eq!(fs::read(path).unwrap(), b"old");
}

#[test]
fn files_are_listed_by_table_and_number() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(folder(dir.path())).unwrap();
    for name in ["metrics-00011.wal", "metrics-00002.wal", "events-00003.wal", "metrics-x.wal"] {
        fs::write(folder(dir.path()).join(name), "").unwrap();
    }
    let numbers: Vec<_> =
        list(dir.path(), "metrics").unwrap().into_iter().map(|(number, _)| number).collect();
    assert_eq!(numbers, [2, 11]);
}
