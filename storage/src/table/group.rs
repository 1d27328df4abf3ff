//! The rows of an open row group, column by column.

use std::io::Write;
use std::{iter, mem};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Float32Type, SchemaRef};
use parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::errors::Result;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::SchemaDescriptor;

use crate::table::columns::width;
use crate::table::vectors::Vectors;

/// Rows that wait in memory for the end of their row group. A column of the tables is one of
/// Parquet.
pub(crate) struct Group {
    schema: SchemaRef,
    /// Of every column that has them.
    vectors: Vec<Option<Vectors>>,
    factory: ArrowRowGroupWriterFactory,
    /// Parquet's own writers, which serve one row group, for the columns of everything else. None
    /// before the first row.
    others: Vec<ArrowColumnWriter>,
    /// Row groups before this one.
    before: usize,
}

impl Group {
    /// An empty one.
    pub(crate) fn new(
        schema: SchemaRef,
        columns: &SchemaDescriptor,
        factory: ArrowRowGroupWriterFactory,
    ) -> Result<Self> {
        let vectors = iter::zip(schema.fields(), columns.columns())
            .map(|(field, column)| {
                numbers(field).map(|width| Vectors::new(column.clone(), width)).transpose()
            })
            .collect::<Result<_>>()?;
        Ok(Self { schema, vectors, factory, others: Vec::new(), before: 0 })
    }

    /// Appends rows.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        if self.others.is_empty() {
            self.others = self.factory.create_column_writers(self.before)?;
        }
        let fields = iter::zip(self.schema.fields(), batch.columns());
        let writers = iter::zip(&mut self.vectors, &mut self.others);
        for ((field, array), (vectors, other)) in iter::zip(fields, writers) {
            if let Some(vectors) = vectors {
                let numbers = array.as_fixed_size_list().values();
                vectors.write(numbers.as_primitive::<Float32Type>().values())?;
                continue;
            }
            for leaf in compute_leaves(field, array)? {
                other.write(&leaf)?;
            }
        }
        Ok(())
    }

    /// What it holds of the memory, roughly.
    pub(crate) fn memory_size(&self) -> usize {
        let vectors = self.vectors.iter().flatten().map(Vectors::memory_size);
        vectors.chain(self.others.iter().map(ArrowColumnWriter::memory_size)).sum()
    }

    /// Ends the row group, unless it is empty.
    pub(crate) fn flush(
        &mut self,
        file: &mut SerializedFileWriter<impl Write + Send>,
    ) -> Result<()> {
        if self.others.is_empty() {
            return Ok(());
        }
        let mut group = file.next_row_group()?;
        for (vectors, other) in iter::zip(&mut self.vectors, mem::take(&mut self.others)) {
            match vectors {
                Some(it) => it.append_to(&mut group)?,
                None => other.close()?.append_to_row_group(&mut group)?,
            }
        }
        group.close()?;
        self.before += 1;
        Ok(())
    }
}

/// Numbers in a vector, of a column that [`Vectors`] can write: neither a vector nor a number is
/// missing anywhere.
fn numbers(field: &Field) -> Option<usize> {
    let DataType::FixedSizeList(item, _) = field.data_type() else { return None };
    if field.is_nullable() || item.is_nullable() || *item.data_type() != DataType::Float32 {
        return None;
    }
    usize::try_from(width(field)?).ok().filter(|it| *it > 0)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{FixedSizeListArray, Float32Array, Int64Array};
    use arrow::compute::concat_batches;
    use arrow::datatypes::Schema;
    use bytes::Bytes;
    use parquet::arrow::ArrowWriter;
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
        let numbers = (0..rows * width).map(|it| ((first * width + it) as f32).sin());
        let numbers = Arc::new(Float32Array::from_iter_values(numbers));
        let list = FixedSizeListArray::try_new(item, width as i32, numbers, None).unwrap();
        let row = Int64Array::from_iter_values((first..first + rows).map(|it| it as i64));
        RecordBatch::try_new(Arc::new(Schema::new(fields)), vec![Arc::new(row), Arc::new(list)])
            .unwrap()
    }

    /// The file of row groups, of batches of that many rows.
    fn written(groups: &[&[usize]], width: usize) -> (RecordBatch, Vec<u8>) {
        let schema = batch(0, 0, width).schema();
        let writer = ArrowWriter::try_new(Vec::new(), schema.clone(), None).unwrap();
        let (mut file, factory) = writer.into_serialized_writer().unwrap();
        let mut group = Group::new(schema.clone(), file.schema_descr(), factory).unwrap();
        assert!(group.vectors[1].is_some());
        let (mut batches, mut first) = (Vec::new(), 0);
        for rows in groups {
            for rows in *rows {
                batches.push(batch(first, *rows, width));
                first += rows;
                group.write(&batches[batches.len() - 1]).unwrap();
            }
            group.flush(&mut file).unwrap();
        }
        assert_eq!(group.memory_size(), 0);
        (concat_batches(&schema, &batches).unwrap(), file.into_inner().unwrap())
    }

    #[test]
    fn rows_come_back_whatever_pages_and_row_groups_they_are_in() {
        for (width, groups) in [
            (1, &[&[1][..], &[3, 200_000]][..]),
            (2, &[&[70_000, 1, 65_535]]),
            (384, &[&[341, 342], &[], &[1000, 7]]),
            (1 << 17, &[&[1, 2], &[1]]),
            ((1 << 17) + 1, &[&[2]]),
        ] {
            let (rows, bytes) = written(groups, width);
            let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(bytes)).unwrap();
            let filled = groups.iter().filter(|it| !it.is_empty()).count();
            assert_eq!(reader.metadata().num_row_groups(), filled);
            let read: Vec<_> = reader.build().unwrap().map(|it| it.unwrap()).collect();
            assert_eq!(concat_batches(&rows.schema(), &read).unwrap(), rows, "{width} numbers");
        }
    }

    #[test]
    fn single_rows_are_found_by_the_index_of_pages() {
        let (rows, bytes) = written(&[&[1000], &[1000]], 384);
        let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
        for row in [0, 340, 341, 999, 1000, 1999] {
            let bytes = Bytes::from(bytes.clone());
            let reader =
                ParquetRecordBatchReaderBuilder::try_new_with_options(bytes, options.clone());
            let only = vec![RowSelector::skip(row), RowSelector::select(1)];
            let mut reader = reader.unwrap().with_row_selection(only.into()).build().unwrap();
            assert_eq!(reader.next().unwrap().unwrap(), rows.slice(row, 1), "row {row}");
        }
    }
}
