//! Telemetry: measurements recorded with a stream, interpolated at the times of its frames.

use std::collections::HashMap;
use std::iter;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use pipeline::{Batch, StreamConfig};
use storage::telemetry;

/// Extensions of a telemetry file.
const EXTENSIONS: [&str; 2] = ["csv", "parquet"];

/// The telemetry of all streams, in memory.
#[derive(Debug)]
pub(crate) struct Telemetry {
    /// The columns, and the first file that has them.
    columns: Option<(Vec<String>, PathBuf)>,
    /// The files of each stream, by the video that they belong to.
    streams: Vec<HashMap<String, storage::Telemetry>>,
}

/// A telemetry file and the video that it belongs to.
#[derive(Debug)]
pub(crate) struct TelemetryFile {
    /// The video's file or URI, as its clips name it.
    pub(crate) item: String,
    pub(crate) path: PathBuf,
    pub(crate) content: storage::Result<storage::Telemetry>,
}

/// Reads the telemetry of a stream: one file for each of its videos. Empty when it has none, or
/// when the stream itself cannot be opened, which is reported elsewhere.
///
/// # Errors
/// There is one file for several videos, or a folder lacks the file of a video.
pub(crate) fn read(stream: &StreamConfig) -> anyhow::Result<Vec<TelemetryFile>> {
    let Some(path) = stream.telemetry.as_deref().map(Path::new) else { return Ok(Vec::new()) };
    let Ok(items) = pipeline::items(stream) else { return Ok(Vec::new()) };
    let name = &stream.name;
    if !path.is_dir() && items.len() > 1 {
        bail!(
            "stream {name:?}: telemetry {path:?} must be a folder with a .csv or .parquet for \
             each of the stream's {} files",
            items.len()
        );
    }
    let files = items.iter().map(|item| {
        let path = if path.is_dir() { file_for(path, item)? } else { path.to_owned() };
        let content = telemetry::read(&path);
        Ok(TelemetryFile { item: item.to_string(), path, content })
    });
    files.collect::<anyhow::Result<_>>().with_context(|| format!("stream {name:?}"))
}

/// The file of a folder that has the name of a video.
fn file_for(folder: &Path, item: &str) -> anyhow::Result<PathBuf> {
    let stem = Path::new(item).file_stem().unwrap_or_default();
    let paths = EXTENSIONS.map(|extension| folder.join(stem).with_added_extension(extension));
    match paths.each_ref().map(|path| path.is_file()) {
        [true, false] => Ok(paths[0].clone()),
        [false, true] => Ok(paths[1].clone()),
        [true, true] => bail!("telemetry {:?} and {:?}: remove one of them", paths[0], paths[1]),
        [false, false] => bail!(
            "telemetry {folder:?} has neither {:?} nor {:?} for {item}: add one, or take the file \
             out of the stream",
            paths[0].file_name().unwrap_or_default(),
            paths[1].file_name().unwrap_or_default()
        ),
    }
}

impl Telemetry {
    /// Reads the telemetry of every stream that has any.
    ///
    /// # Errors
    /// A file cannot be used, or its columns are not those of the other files. Names the stream
    /// and the file.
    pub(crate) fn load(config: &pipeline::Config) -> anyhow::Result<Self> {
        let mut telemetry = Self { columns: None, streams: Vec::new() };
        for stream in &config.stream {
            telemetry.add_files(stream)?;
        }
        Ok(telemetry)
    }

    /// Reads the telemetry of a stream that is added to a run.
    ///
    /// # Errors
    /// As [`Telemetry::load`]; then nothing was added.
    pub(crate) fn add(&mut self, stream: &StreamConfig) -> anyhow::Result<()> {
        if stream.telemetry.is_some() && self.columns.is_none() {
            bail!(
                "stream {:?}: this run started without telemetry and cannot add any: stop it, and \
                 start over with --fresh",
                stream.name
            );
        }
        self.add_files(stream)
    }

    /// Removes the stream that was added last.
    pub(crate) fn remove_last(&mut self) {
        self.streams.pop();
    }

    fn add_files(&mut self, stream: &StreamConfig) -> anyhow::Result<()> {
        let name = &stream.name;
        let mut files = HashMap::new();
        for TelemetryFile { item, path, content } in read(stream)? {
            let content = content.with_context(|| format!("stream {name:?}"))?;
            let (columns, first) =
                self.columns.get_or_insert_with(|| (content.columns.clone(), path.clone()));
            if content.columns != *columns {
                bail!(
                    "stream {name:?}: telemetry {path:?} has the columns [{}] and {first:?} has \
                     [{}]: give all files the same columns in the same order",
                    content.columns.join(", "),
                    columns.join(", ")
                );
            }
            files.insert(item, content);
        }
        self.streams.push(files);
        Ok(())
    }

    /// Names of the measured quantities, `[k]`; empty when no stream has telemetry.
    pub(crate) fn columns(&self) -> &[String] {
        self.columns.as_ref().map_or(&[], |(columns, _)| columns)
    }

    /// The values at the time of each frame, `[n, t, k + 1]`, linear between rows. The last value is
    /// 1; where nothing was measured, all values are 0. None when no stream has telemetry.
    pub(crate) fn of_batch(&self, batch: &Batch) -> Option<Vec<f32>> {
        let columns = self.columns().len();
        if columns == 0 {
            return None;
        }
        let width = columns + 1;
        let mut values = Vec::with_capacity(batch.times.len() * width);
        for (clip, times) in batch.clips.iter().zip(batch.times.chunks(batch.shape[1])) {
            let file = self.streams[clip.stream].get(&*clip.item);
            for time in times {
                match file.and_then(|file| file.at(*time)) {
                    Some(row) => values.extend(row.into_iter().chain([1.0])),
                    None => values.extend(iter::repeat_n(0.0, width)),
                }
            }
        }
        Some(values)
    }
}

#[cfg(test)]
mod tests;
