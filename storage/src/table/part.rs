//! One file of a table, from its first row to its name.

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;

use crate::disk::fault::point;
use crate::disk::publish::{failed, publish, temporary};
use crate::identity::Metadata;
use crate::table::group::Group;
use crate::{Error, Result};

/// Rows wait in memory for their row group; at this size it goes to disk, whatever a part's limits
/// are.
const ROW_GROUP_BYTES: usize = 16 << 20;

/// Parquet's writer copies a column to the file in pieces of 8 KiB, each a system call without
/// this.
const BUFFER_BYTES: usize = 256 << 10;

/// A part that is being written. Dropped before it is published, it leaves nothing behind.
pub(crate) struct Part {
    path: PathBuf,
    opened: Instant,
    rows: usize,
    writer: SerializedFileWriter<BufWriter<File>>,
    group: Group,
    published: bool,
}

impl Part {
    /// Begins the file that will be `path`, over what a crash may have left under its temporary
    /// name: nobody can read that.
    pub(crate) fn create(path: PathBuf, schema: SchemaRef, metadata: &Metadata) -> Result<Self> {
        let written = temporary(&path);
        point("part.create");
        let file = File::create(&written).map_err(failed("create", &written))?;
        point("part.created");
        let properties = properties(&schema, metadata);
        // PyArrow, and Hugging Face datasets over it, look for metadata in the Arrow schema only.
        let schema = Arc::new(metadata.put_into(&schema));
        let file = BufWriter::with_capacity(BUFFER_BYTES, file);
        let (writer, group) = ArrowWriter::try_new(file, schema.clone(), Some(properties))
            .and_then(ArrowWriter::into_serialized_writer)
            .and_then(|(writer, columns)| {
                let group = Group::new(schema, writer.schema_descr(), columns)?;
                Ok((writer, group))
            })
            .map_err(|source| Error::Part { path: written, source })?;
        Ok(Self { path, opened: Instant::now(), rows: 0, writer, group, published: false })
    }

    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        point("part.write");
        self.group.write(batch).map_err(|source| self.broken(source))?;
        point("part.written");
        self.rows += batch.num_rows();
        if self.group.memory_size() < ROW_GROUP_BYTES {
            return Ok(());
        }
        self.group.flush(&mut self.writer).map_err(|source| self.broken(source))
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn opened(&self) -> Instant {
        self.opened
    }

    /// Makes it visible under its own name. Returns its size in bytes.
    pub(crate) fn publish(mut self) -> Result<u64> {
        point("part.finish");
        self.group
            .flush(&mut self.writer)
            .and_then(|()| self.writer.finish())
            .map_err(|source| self.broken(source))?;
        point("part.finished");
        let file = self.writer.inner().get_ref();
        publish(file, &self.path)?;
        self.published = true;
        Ok(file.metadata().map_err(failed("read the size of", &self.path))?.len())
    }

    fn broken(&self, source: ParquetError) -> Error {
        Error::Part { path: temporary(&self.path), source }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if self.published {
            return;
        }
        let written = temporary(&self.path);
        // Without a footer nobody can read it, and on a full disk the room is worth having.
        if let Err(error) = fs::remove_file(&written) {
            tracing::debug!(path = %written.display(), %error, "an unfinished part stays");
        }
    }
}

/// zstd everywhere. The bytes of floats are split into streams, which compress by a fifth better;
/// a dictionary of floats would only be in the way.
fn properties(schema: &Schema, metadata: &Metadata) -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_key_value_metadata(Some(metadata.entries()));
    for field in schema.fields() {
        let Some(path) = floats(field.name(), field.data_type()) else { continue };
        properties = properties
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_encoding(path.clone(), Encoding::BYTE_STREAM_SPLIT);
        if is_vectors(field.data_type()) {
            // The least and greatest number of all vectors of a page tell nobody anything.
            properties = properties.set_column_statistics_enabled(path, EnabledStatistics::None);
        }
    }
    properties.build()
}

fn is_vectors(data_type: &DataType) -> bool {
    matches!(data_type, DataType::FixedSizeList(_, _))
}

/// The Parquet column of an Arrow column's floats, if it has any.
fn floats(name: &str, data_type: &DataType) -> Option<ColumnPath> {
    match data_type {
        DataType::Float32 | DataType::Float64 => Some(ColumnPath::from(name)),
        it if is_vectors(it) => Some(numbers(name)),
        _ => None,
    }
}

fn numbers(list: &str) -> ColumnPath {
    ColumnPath::new(vec![list.to_owned(), "list".to_owned(), "item".to_owned()])
}
