//! Write-ahead files, in which the rows of an open part survive a crash.
//!
//! A Parquet file without its footer cannot be read. Every record is therefore also appended to
//! `<dir>/wal/<table>-<number>.wal`, as a frame of its own:
//!
//! ```text
//! [length u32 LE][CRC32C u32 LE][an Arrow IPC stream of one record batch]
//! ```
//!
//! A later start never appends to an existing file: new bytes could complete a frame that a crash
//! cut off. A reader stops at the first damaged frame.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;

use crate::Result;
use crate::disk::fault::point;
use crate::disk::folder::{list_names, sync_parent};
use crate::disk::publish::remove;
use crate::error::failed;

/// How long rows wait until they are synced. A power cut loses at most these rows; a killed process
/// loses at most the record that it is writing.
const SYNC_INTERVAL: Duration = Duration::from_millis(500);

/// Bytes before a frame's stream.
const HEADER: usize = 8;

/// The last bytes of an Arrow IPC stream.
const END: [u8; 8] = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];

/// The write-ahead file of an open part. It stays on disk when this is dropped.
pub(crate) struct WalWriter {
    path: PathBuf,
    file: File,
    schema: SchemaRef,
    /// Writes frames into memory, and holds the newest one.
    frame: StreamWriter<Vec<u8>>,
    /// Bytes of a frame before its batch: the header and the schema, which all frames share. The
    /// bytes after them are replaced for each frame.
    start: usize,
    /// When the oldest row was written that may not be on disk yet.
    unsynced: Option<Instant>,
    /// Whether the file's name is on disk.
    is_named: bool,
}

impl WalWriter {
    /// Creates a file. `schema` may have metadata that the batches do not have.
    pub(crate) fn create(path: PathBuf, schema: SchemaRef) -> Result<Self> {
        point("wal.create");
        let file = File::create_new(&path).map_err(failed("create", &path))?;
        point("wal.created");
        let frame = StreamWriter::try_new(vec![0; HEADER], &schema);
        let frame = frame.map_err(io::Error::other).map_err(failed("write", &path))?;
        let start = frame.get_ref().len();
        Ok(Self { path, file, schema, frame, start, unsynced: None, is_named: false })
    }

    /// Appends a record's rows.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.fill_frame(batch).map_err(io::Error::other).map_err(failed("write", &self.path))?;
        point("wal.write");
        self.file.write_all(self.frame.get_ref()).map_err(failed("write", &self.path))?;
        point("wal.written");
        self.unsynced.get_or_insert_with(Instant::now);
        Ok(())
    }

    fn fill_frame(&mut self, batch: &RecordBatch) -> std::result::Result<(), ArrowError> {
        self.frame.get_mut().truncate(self.start);
        self.frame.write(&batch.clone().with_schema(self.schema.clone())?)?;
        let frame = self.frame.get_mut();
        frame.extend(END);
        let (header, stream) = frame.split_at_mut(HEADER);
        let length = u32::try_from(stream.len()).map_err(|_| {
            ArrowError::InvalidArgumentError("a record of 4 GiB or more".to_owned())
        })?;
        header[..4].copy_from_slice(&length.to_le_bytes());
        header[4..].copy_from_slice(&crc32c::crc32c(stream).to_le_bytes());
        Ok(())
    }

    /// When its rows must be synced, or `None` if all are.
    pub(crate) fn next_sync(&self) -> Option<Instant> {
        Some(self.unsynced? + SYNC_INTERVAL)
    }

    /// Waits until its rows are on disk.
    pub(crate) fn sync(&mut self) -> Result<()> {
        point("wal.save");
        self.file.sync_data().map_err(failed("sync", &self.path))?;
        point("wal.saved");
        if !self.is_named {
            sync_parent(&self.path)?;
            self.is_named = true;
        }
        self.unsynced = None;
        Ok(())
    }

    /// Removes the file after its part was closed. If a power cut brings the file back, it is
    /// ignored, because the closed part holds its rows.
    pub(crate) fn remove(self) -> Result<()> {
        remove(&self.path)
    }
}

/// Reads the records of a write-ahead file in order, up to the first damaged one.
pub(crate) struct WalReader {
    path: PathBuf,
    file: BufReader<File>,
    /// Bytes after the last undamaged record.
    left: u64,
    is_finished: bool,
}

impl WalReader {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(failed("open", path))?;
        let left = file.metadata().map_err(failed("read the size of", path))?.len();
        Ok(Self { path: path.to_owned(), file: BufReader::new(file), left, is_finished: false })
    }

    /// Bytes from the first damaged record to the end, once all records were read.
    pub(crate) fn damaged_bytes(&self) -> u64 {
        self.left
    }

    /// The next record, or `None` at the end of the file and at a damaged record.
    fn read_record(&mut self) -> io::Result<Option<RecordBatch>> {
        let Some(left) = self.left.checked_sub(HEADER as u64) else { return Ok(None) };
        let mut number = [0; 4];
        self.file.read_exact(&mut number)?;
        let length = u32::from_le_bytes(number);
        self.file.read_exact(&mut number)?;
        // After a power cut a file may end in zeros. A header of zeros would be valid, because the
        // checksum of no bytes is zero.
        if length == 0 || u64::from(length) > left {
            return Ok(None);
        }
        let mut stream = vec![0; length as usize];
        self.file.read_exact(&mut stream)?;
        if crc32c::crc32c(&stream) != u32::from_le_bytes(number) {
            return Ok(None);
        }
        let reader = StreamReader::try_new(&stream[..], None);
        let batch = reader.ok().and_then(|mut reader| reader.next());
        let Some(Ok(batch)) = batch else { return Ok(None) };
        self.left = left - u64::from(length);
        Ok(Some(batch))
    }
}

impl Iterator for WalReader {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_finished {
            return None;
        }
        let record = self.read_record().map_err(failed("read", &self.path)).transpose();
        self.is_finished = !matches!(record, Some(Ok(_)));
        record
    }
}

/// The write-ahead file of a table's part, in a run's folder.
pub(crate) fn path(dir: &Path, table: &str, number: u64) -> PathBuf {
    folder(dir).join(format!("{table}-{number:05}.wal"))
}

/// The folder of write-ahead files, in a run's folder.
pub(crate) fn folder(dir: &Path) -> PathBuf {
    dir.join("wal")
}

/// The write-ahead files of a table and the numbers of their parts, in order.
pub(crate) fn list(dir: &Path, table: &str) -> Result<Vec<(u64, PathBuf)>> {
    let number = |name: &str| -> Option<u64> {
        let number = name.strip_prefix(table)?.strip_prefix('-')?.strip_suffix(".wal")?;
        number.parse().ok()
    };
    let folder = folder(dir);
    let names = list_names(&folder)?;
    let mut files: Vec<_> =
        names.iter().filter_map(|name| Some((number(name)?, folder.join(name)))).collect();
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests;
