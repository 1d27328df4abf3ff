//! One Parquet file of a table, from its first row to its final name.

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use crate::disk::fault::point;
use crate::disk::publish::{publish, temporary};
use crate::error::failed;
use crate::identity::Metadata;
use crate::table::columns::width;
use crate::{Error, Result};

/// The writer keeps a row group in memory and writes it to disk at this size.
const ROW_GROUP_BYTES: usize = 16 << 20;

/// Bytes of vectors in a page before compression. Each of the four byte streams is then as large as
/// a block of zstd, which has one Huffman table: with smaller pages a block would mix exponents and
/// mantissas, and compress worse by a tenth.
const VECTOR_PAGE_BYTES: usize = 512 << 10;

/// Parquet's writer copies a column to the file in pieces of 8 KiB. Without a buffer, each piece
/// would be a system call.
const BUFFER_BYTES: usize = 256 << 10;

/// A part that is being written. Dropped before it is published, it leaves no file behind.
pub(crate) struct Part {
    path: PathBuf,
    opened: Instant,
    rows: usize,
    writer: ArrowWriter<BufWriter<File>>,
    published: bool,
}

impl Part {
    /// Creates the file under its temporary name. A file that a crash left under that name has no
    /// footer, so nothing can read it, and it is overwritten.
    pub(crate) fn create(path: PathBuf, schema: SchemaRef, metadata: &Metadata) -> Result<Self> {
        let unfinished = temporary(&path);
        point("part.create");
        let file = File::create(&unfinished).map_err(failed("create", &unfinished))?;
        point("part.created");
        let properties = properties(&schema, metadata);
        // PyArrow, and Hugging Face datasets over it, look for metadata in the Arrow schema only.
        let schema = Arc::new(metadata.put_into(&schema));
        let file = BufWriter::with_capacity(BUFFER_BYTES, file);
        let writer = ArrowWriter::try_new(file, schema, Some(properties))
            .map_err(|source| Error::WritePart { path: unfinished, source })?;
        Ok(Self { path, opened: Instant::now(), rows: 0, writer, published: false })
    }

    /// Appends rows.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        point("part.write");
        self.writer.write(batch).map_err(|source| self.write_error(source))?;
        point("part.written");
        self.rows += batch.num_rows();
        if self.writer.memory_size() < ROW_GROUP_BYTES { Ok(()) } else { self.end_row_group() }
    }

    /// Writes the rows in memory to the file as a row group.
    fn end_row_group(&mut self) -> Result<()> {
        self.writer.flush().map_err(|source| self.write_error(source))
    }

    /// The number of rows so far.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// When the part was created.
    pub(crate) fn opened(&self) -> Instant {
        self.opened
    }

    /// Finishes the file and gives it its final name. Returns its size in bytes.
    pub(crate) fn publish(mut self) -> Result<u64> {
        point("part.finish");
        self.writer.finish().map_err(|source| self.write_error(source))?;
        point("part.finished");
        let file = self.writer.inner().get_ref();
        publish(file, &self.path)?;
        self.published = true;
        Ok(file.metadata().map_err(failed("read the size of", &self.path))?.len())
    }

    fn write_error(&self, source: ParquetError) -> Error {
        Error::WritePart { path: temporary(&self.path), source }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if self.published {
            return;
        }
        let unfinished = temporary(&self.path);
        // Without a footer the file is useless, and on a full disk its space is needed.
        if let Err(error) = fs::remove_file(&unfinished) {
            tracing::debug!(path = %unfinished.display(), %error, "an unfinished part stays");
        }
    }
}

/// All columns are compressed with zstd. Floats use byte-stream-split, which makes them a fifth
/// smaller, and no dictionary, which would not help.
fn properties(schema: &Schema, metadata: &Metadata) -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        // Only the size in bytes ends a row group.
        .set_max_row_group_row_count(None)
        .set_key_value_metadata(Some(metadata.entries()));
    for field in schema.fields() {
        let Some(column) = float_column(field) else { continue };
        properties = properties
            .set_column_dictionary_enabled(column.clone(), false)
            .set_column_encoding(column.clone(), Encoding::BYTE_STREAM_SPLIT);
        if width(field).is_some() {
            // The least and greatest number of all vectors in a page are of no use.
            properties = properties
                .set_column_statistics_enabled(column.clone(), EnabledStatistics::None)
                .set_column_data_page_size_limit(column, VECTOR_PAGE_BYTES);
        }
    }
    properties.build()
}

/// The Parquet column of a field of floats or of vectors.
fn float_column(field: &Field) -> Option<ColumnPath> {
    let name = field.name();
    match field.data_type() {
        DataType::Float32 | DataType::Float64 => Some(ColumnPath::from(name.as_str())),
        DataType::FixedSizeList(_, _) => {
            Some(ColumnPath::new(vec![name.clone(), "list".to_owned(), "item".to_owned()]))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use arrow::array::{FixedSizeListArray, Float32Array, Int64Array};
    use arrow::compute::concat_batches;
    use parquet::arrow::arrow_reader::{
        ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelector,
    };
    use parquet::file::metadata::PageIndexPolicy;

    use super::*;

    fn batch(first: usize, rows: usize, width: usize) -> RecordBatch {
        let item = Arc::new(Field::new("item", DataType::Float32, false));
        let list = DataType::FixedSizeList(item.clone(), width as i32);
        let fields =
            vec![Field::new("row", DataType::Int64, false), Field::new("list", list, false)];
        let numbers = (0..rows * width).map(|number| ((first * width + number) as f32).sin());
        let numbers = Arc::new(Float32Array::from_iter_values(numbers));
        let list = FixedSizeListArray::try_new(item, width as i32, numbers, None).unwrap();
        let row = Int64Array::from_iter_values((first..first + rows).map(|row| row as i64));
        RecordBatch::try_new(Arc::new(Schema::new(fields)), vec![Arc::new(row), Arc::new(list)])
            .unwrap()
    }

    /// Writes row groups, each of batches with that many rows. Returns all rows.
    fn write(path: &Path, groups: &[&[usize]], width: usize) -> RecordBatch {
        let schema = batch(0, 0, width).schema();
        let mut part = Part::create(path.into(), schema.clone(), &Metadata::default()).unwrap();
        let (mut batches, mut first) = (Vec::new(), 0);
        for rows in groups {
            for rows in *rows {
                batches.push(batch(first, *rows, width));
                first += rows;
                part.write(&batches[batches.len() - 1]).unwrap();
            }
            part.end_row_group().unwrap();
            assert_eq!(part.writer.memory_size(), 0);
        }
        part.publish().unwrap();
        concat_batches(&schema, &batches).unwrap()
    }

    #[test]
    fn rows_come_back_whatever_pages_and_row_groups_they_are_in() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("part-00000.parquet");
        for (width, groups) in [
            (1, &[&[1][..], &[3, 200_000]][..]),
            (2, &[&[70_000, 1, 65_535]]),
            (384, &[&[341, 342], &[], &[1000, 7]]),
            (1 << 17, &[&[1, 2], &[1]]),
            ((1 << 17) + 1, &[&[2]]),
        ] {
            let rows = write(&path, groups, width);
            let file = File::open(&path).unwrap();
            let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
            let filled = groups.iter().filter(|group| !group.is_empty()).count();
            assert_eq!(reader.metadata().num_row_groups(), filled);
            let read: Vec<_> = reader.build().unwrap().map(|batch| batch.unwrap()).collect();
            assert_eq!(concat_batches(&rows.schema(), &read).unwrap(), rows, "{width} numbers");
        }
    }

    #[test]
    fn single_rows_are_found_by_the_index_of_pages() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("part-00000.parquet");
        let rows = write(&path, &[&[1000], &[1000]], 384);
        let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
        for row in [0, 340, 341, 999, 1000, 1999] {
            let file = File::open(&path).unwrap();
            let reader =
                ParquetRecordBatchReaderBuilder::try_new_with_options(file, options.clone());
            let only = vec![RowSelector::skip(row), RowSelector::select(1)];
            let mut reader = reader.unwrap().with_row_selection(only.into()).build().unwrap();
            assert_eq!(reader.next().unwrap().unwrap(), rows.slice(row, 1), "row {row}");
        }
    }
}
