//! What a closed part states about itself.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::error::failed;
use crate::identity::Metadata;
use crate::{Error, Result};

/// A closed part that was opened, with its footer.
pub(crate) struct Footer {
    /// Rows in the part.
    pub(crate) rows: u64,
    /// Its size on disk.
    pub(crate) bytes: u64,
    /// Its columns.
    pub(crate) schema: SchemaRef,
    /// Which run wrote it.
    pub(crate) metadata: Metadata,
    reader: ParquetRecordBatchReaderBuilder<File>,
}

impl Footer {
    /// Reads the footer of `path`.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(failed("open", path))?;
        let bytes = file.metadata().map_err(failed("read the size of", path))?.len();
        let reader = ParquetRecordBatchReaderBuilder::try_new(file)
            .map_err(|source| Error::Unreadable { path: path.to_owned(), source })?;
        Ok(Self {
            rows: u64::try_from(reader.metadata().file_metadata().num_rows()).unwrap_or(0),
            bytes,
            schema: Arc::new(Schema::new(reader.schema().fields().clone())),
            metadata: Metadata::of_footer(reader.metadata()),
            reader,
        })
    }

    /// Reads the rows. `path` is the part's path.
    pub(crate) fn batches(self, path: &Path) -> Result<impl Iterator<Item = Result<RecordBatch>>> {
        let Self { schema, reader, .. } = self;
        let path = path.to_owned();
        let unreadable = move |source| Error::Unreadable { path: path.clone(), source };
        let reader = reader.build().map_err(&unreadable)?;
        Ok(reader.map(move |batch| {
            let batch = batch.and_then(|batch| {
                // Without the file's metadata, which the rows do not need.
                RecordBatch::try_new(schema.clone(), batch.columns().to_vec())
            });
            batch.map_err(|error| unreadable(error.into()))
        }))
    }
}
