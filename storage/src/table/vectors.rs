//! The Parquet column of a column of vectors.
//!
//! Nearly all bytes of a run are in such columns. Parquet's own writer takes a list number by
//! number and a page through five buffers, most of them new memory each time; here a page is
//! filled, compressed and appended in memory that stays. What is written is the same: a data page
//! v1 of zstd over
//!
//! ```text
//! [repetition levels][definition levels][first bytes][second bytes][third bytes][fourth bytes]
//! ```

use std::io::Write;
use std::mem;

use bytes::Bytes;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ColumnChunkMetaData, OffsetIndexBuilder};
use parquet::file::writer::{SerializedPageWriter, SerializedRowGroupWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;
use zstd::bulk::Compressor;
use zstd::zstd_safe::CParameter;

/// Bytes of numbers in a page. A quarter of it is a block of zstd, which has one Huffman table: in
/// a smaller page a block would hold exponents and mantissas, and compress worse by a tenth.
const PAGE_BYTES: usize = 512 << 10;

/// zstd looks for bytes that came before in a table of two to this places, half of its default.
/// Vectors have few of them: a smaller table is faster, and gives smaller pages.
const HASH_LOG: u32 = 13;

/// The vectors of an open row group.
pub(crate) struct Vectors {
    column: ColumnDescPtr,
    width: usize,
    /// The bytes of the open page's numbers, each in the stream of its place in the number.
    streams: [Vec<u8>; 4],
    /// The open page before compression; kept for its memory.
    page: Vec<u8>,
    zstd: Compressor<'static>,
    /// The pages before it.
    pages: TrackedWrite<Vec<u8>>,
    index: OffsetIndexBuilder,
    rows: usize,
    /// Bytes of `pages` before compression.
    uncompressed: usize,
}

impl Vectors {
    /// Of vectors of `width` numbers, which are one or more.
    pub(crate) fn new(column: ColumnDescPtr, width: usize) -> Result<Self> {
        let mut zstd = Compressor::new(ZstdLevel::default().compression_level())?;
        zstd.set_parameter(CParameter::HashLog(HASH_LOG))?;
        Ok(Self {
            column,
            width,
            streams: Default::default(),
            page: Vec::new(),
            zstd,
            pages: TrackedWrite::new(Vec::new()),
            index: OffsetIndexBuilder::new(),
            rows: 0,
            uncompressed: 0,
        })
    }

    /// Appends whole vectors.
    pub(crate) fn write(&mut self, mut values: &[f32]) -> Result<()> {
        let room = (PAGE_BYTES / 4 / self.width).max(1) * self.width;
        while !values.is_empty() {
            let (now, later) = values.split_at(values.len().min(room - self.streams[0].len()));
            for (place, stream) in self.streams.iter_mut().enumerate() {
                stream.extend(now.iter().map(|it| it.to_le_bytes()[place]));
            }
            if self.streams[0].len() == room {
                self.close_page()?;
            }
            values = later;
        }
        Ok(())
    }

    /// Bytes that wait for the row group's end.
    pub(crate) fn memory_size(&self) -> usize {
        self.pages.bytes_written() + 4 * self.streams[0].len()
    }

    /// Moves all into a row group as its next column.
    pub(crate) fn append_to(
        &mut self,
        group: &mut SerializedRowGroupWriter<'_, impl Write + Send>,
    ) -> Result<()> {
        self.close_page()?;
        let pages = mem::replace(&mut self.pages, TrackedWrite::new(Vec::new())).into_inner()?;
        let index = mem::take(&mut self.index);
        let (rows, uncompressed) = (mem::take(&mut self.rows), mem::take(&mut self.uncompressed));
        let metadata = ColumnChunkMetaData::builder(self.column.clone())
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_encodings(vec![Encoding::RLE, Encoding::BYTE_STREAM_SPLIT])
            .set_num_values((rows * self.width) as i64)
            .set_total_compressed_size(pages.len() as i64)
            .set_total_uncompressed_size(uncompressed as i64)
            .set_data_page_offset(0)
            .build()?;
        let close = ColumnCloseResult {
            bytes_written: pages.len() as u64,
            rows_written: rows as u64,
            metadata,
            bloom_filter: None,
            column_index: None,
            offset_index: Some(index.build()),
        };
        let pages = Bytes::from(pages);
        group.append_column(&pages, close)?;
        // Nobody else holds them, so that this gives their memory back without a copy.
        let mut pages = Vec::from(pages);
        pages.clear();
        self.pages = TrackedWrite::new(pages);
        Ok(())
    }

    fn close_page(&mut self) -> Result<()> {
        let numbers = self.streams[0].len();
        if numbers == 0 {
            return Ok(());
        }
        let rows = numbers / self.width;
        self.page.clear();
        levels(&mut self.page, |runs| (0..rows).for_each(|_| repetitions(runs, self.width)));
        levels(&mut self.page, |runs| run(runs, numbers, 1));
        for stream in &mut self.streams {
            self.page.append(stream);
        }
        let mut buf = Vec::with_capacity(zstd::zstd_safe::compress_bound(self.page.len()));
        self.zstd.compress_to_buffer(&self.page, &mut buf)?;
        let page = Page::DataPage {
            buf: buf.into(),
            num_values: u32::try_from(numbers)
                .map_err(|_| ParquetError::General("a page of 2^32 numbers".to_owned()))?,
            encoding: Encoding::BYTE_STREAM_SPLIT,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        let page = CompressedPage::new(page, self.page.len());
        let written = SerializedPageWriter::new(&mut self.pages).write_page(page)?;
        self.index.append_row_count(rows as i64);
        self.index.append_offset_and_size(written.offset as i64, written.compressed_size as i32);
        self.rows += rows;
        self.uncompressed += written.uncompressed_size;
        Ok(())
    }
}

/// The levels of a page: their length in bytes, and runs of equal ones.
fn levels(page: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = page.len();
    page.extend([0; 4]);
    write(page);
    let length = (page.len() - start - 4) as u32;
    page[start..start + 4].copy_from_slice(&length.to_le_bytes());
}

/// Of one vector: its first number begins a list, the others go on with it.
fn repetitions(runs: &mut Vec<u8>, width: usize) {
    run(runs, 1, 0);
    if width > 1 {
        run(runs, width - 1, 1);
    }
}

/// A level `times` over: twice that number in groups of seven bits, then the level.
fn run(runs: &mut Vec<u8>, times: usize, level: u8) {
    let mut rest = times << 1;
    while rest >= 0x80 {
        runs.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    runs.extend([rest as u8, level]);
}
