//! Rows of an open part that survive a crash: a write-ahead file a part.
//!
//! A Parquet file without its footer cannot be read, so every record also goes to
//! `<dir>/wal/<table>-<number>.wal` as a frame of its own:
//!
//! ```text
//! [length u32 LE][CRC32C u32 LE][an Arrow IPC stream of one record batch]
//! ```
//!
//! A file is never appended to by a later start: a whole frame after a torn one would complete it
//! with foreign bytes. Frames are read up to the first that is not whole.

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
use crate::disk::publish::{failed, remove, sync_parent};
use crate::table::part_names as parts;

/// How long rows may wait for the disk: what a power cut can take. A kill takes the
/// record that is being written at most.
const SAVE_EVERY: Duration = Duration::from_millis(500);

/// Bytes before a frame's stream.
const HEADER: usize = 8;

/// What ends an Arrow IPC stream.
const END: [u8; 8] = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];

/// The write-ahead file of an open part. Dropped, it stays.
pub(crate) struct Wal {
    path: PathBuf,
    file: File,
    schema: SchemaRef,
    /// Makes frames, the newest of which it holds.
    frame: StreamWriter<Vec<u8>>,
    /// Bytes of a frame before its batch: all begin with the header and the same schema, and what
    /// comes after is cut off and written anew.
    start: usize,
    /// When the oldest row was written that may not be on disk yet.
    unsaved: Option<Instant>,
    /// Whether the file's name is on disk.
    named: bool,
}

impl Wal {
    /// Begins a file. `schema` may hold metadata that the batches do not.
    pub(crate) fn create(path: PathBuf, schema: SchemaRef) -> Result<Self> {
        point("wal.create");
        let file = File::create_new(&path).map_err(failed("create", &path))?;
        point("wal.created");
        let frame = StreamWriter::try_new(vec![0; HEADER], &schema);
        let frame = frame.map_err(io::Error::other).map_err(failed("write", &path))?;
        let start = frame.get_ref().len();
        Ok(Self { path, file, schema, frame, start, unsaved: None, named: false })
    }

    /// Appends a record's rows.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.fill(batch).map_err(io::Error::other).map_err(failed("write", &self.path))?;
        point("wal.write");
        self.file.write_all(self.frame.get_ref()).map_err(failed("write", &self.path))?;
        point("wal.written");
        self.unsaved.get_or_insert_with(Instant::now);
        Ok(())
    }

    fn fill(&mut self, batch: &RecordBatch) -> std::result::Result<(), ArrowError> {
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

    /// When its rows should be saved; nothing while they are.
    pub(crate) fn due(&self) -> Option<Instant> {
        Some(self.unsaved? + SAVE_EVERY)
    }

    /// Waits until its rows are on disk.
    pub(crate) fn save(&mut self) -> Result<()> {
        point("wal.save");
        self.file.sync_data().map_err(failed("save", &self.path))?;
        point("wal.saved");
        if !self.named {
            sync_parent(&self.path)?;
            self.named = true;
        }
        self.unsaved = None;
        Ok(())
    }

    /// Removes the file, whose part is closed. A power cut may bring it back: a closed part wins.
    pub(crate) fn remove(self) -> Result<()> {
        remove(&self.path)
    }
}

/// The whole frames of a write-ahead file, in order.
pub(crate) struct Frames {
    path: PathBuf,
    file: BufReader<File>,
    /// Bytes after the last whole frame.
    left: u64,
    torn: bool,
}

impl Frames {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(failed("open", path))?;
        let left = file.metadata().map_err(failed("read the size of", path))?.len();
        Ok(Self { path: path.to_owned(), file: BufReader::new(file), left, torn: false })
    }

    /// Bytes from the first frame on that is not whole, once there are no more frames.
    pub(crate) fn ignored(&self) -> u64 {
        self.left
    }

    /// A whole frame, or nothing where there is none.
    fn frame(&mut self) -> io::Result<Option<RecordBatch>> {
        let Some(room) = self.left.checked_sub(HEADER as u64) else { return Ok(None) };
        let mut number = [0; 4];
        self.file.read_exact(&mut number)?;
        let length = u32::from_le_bytes(number);
        self.file.read_exact(&mut number)?;
        // A file that a power cut left longer than its data ends in zeros, and the sum of nothing
        // is zero as well.
        if length == 0 || u64::from(length) > room {
            return Ok(None);
        }
        let mut stream = vec![0; length as usize];
        self.file.read_exact(&mut stream)?;
        if crc32c::crc32c(&stream) != u32::from_le_bytes(number) {
            return Ok(None);
        }
        let batch = StreamReader::try_new(&stream[..], None).ok().and_then(|mut it| it.next());
        let Some(Ok(batch)) = batch else { return Ok(None) };
        self.left = room - u64::from(length);
        Ok(Some(batch))
    }
}

impl Iterator for Frames {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.torn {
            return None;
        }
        let frame = self.frame().map_err(failed("read", &self.path)).transpose();
        self.torn = !matches!(frame, Some(Ok(_)));
        frame
    }
}

/// The file of a table's part, in a run's folder.
pub(crate) fn path(dir: &Path, table: &str, number: u64) -> PathBuf {
    folder(dir).join(format!("{table}-{number:05}.wal"))
}

/// Where write-ahead files are, in a run's folder.
pub(crate) fn folder(dir: &Path) -> PathBuf {
    dir.join("wal")
}

/// The write-ahead files of a table with the numbers of their parts, in order.
pub(crate) fn list(dir: &Path, table: &str) -> Result<Vec<(u64, PathBuf)>> {
    let number = |name: &str| -> Option<u64> {
        let number = name.strip_prefix(table)?.strip_prefix('-')?.strip_suffix(".wal")?;
        number.parse().ok()
    };
    let folder = folder(dir);
    let names = parts::names(&folder)?;
    let mut files: Vec<_> =
        names.iter().filter_map(|it| Some((number(it)?, folder.join(it)))).collect();
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests;
