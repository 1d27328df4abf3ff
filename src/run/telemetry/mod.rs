//! Measurements beside the streams: their files, and their values at the times of frames.

use std::collections::HashMap;
use std::iter;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use pipeline::{Batch, StreamConfig};
use storage::telemetry;

/// The endings of a file of telemetry.
const ENDINGS: [&str; 2] = ["csv", "parquet"];

/// The telemetry of all streams, all of it in memory.
#[derive(Debug)]
pub(crate) struct Telemetry {
    /// The columns, and the file that they were found in first.
    first: Option<(Vec<String>, PathBuf)>,
    /// A stream's files, by the name of the file or URI that they were measured beside.
    streams: Vec<HashMap<String, storage::Telemetry>>,
}

/// A file of telemetry, and what it was measured beside.
#[derive(Debug)]
pub(crate) struct Beside {
    /// The file or URI, as its clips name it.
    pub(crate) item: String,
    pub(crate) path: PathBuf,
    pub(crate) found: storage::Result<storage::Telemetry>,
}

/// Reads what was measured beside a stream, one entry a file or URI: none when it has no
/// telemetry, or when the stream itself cannot be opened, which it says by itself.
///
/// # Errors
/// When the path fits no number of files: one for several, or a folder that lacks some.
pub(crate) fn read(stream: &StreamConfig) -> anyhow::Result<Vec<Beside>> {
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
    let beside = items.iter().map(|item| {
        let path = if path.is_dir() { named_after(path, item)? } else { path.to_owned() };
        let found = telemetry::read(&path);
        Ok(Beside { item: item.to_string(), path, found })
    });
    beside.collect::<anyhow::Result<_>>().with_context(|| format!("stream {name:?}"))
}

/// The one file of a folder that has the name of a stream's file.
fn named_after(folder: &Path, item: &str) -> anyhow::Result<PathBuf> {
    let stem = Path::new(item).file_stem().unwrap_or_default();
    let paths = ENDINGS.map(|it| folder.join(stem).with_added_extension(it));
    match paths.each_ref().map(|it| it.is_file()) {
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
    /// Reads the telemetry of every stream that has some.
    ///
    /// # Errors
    /// Names the stream and the file that cannot be used, or whose columns are not those of the
    /// files before it.
    pub(crate) fn load(config: &pipeline::Config) -> anyhow::Result<Self> {
        let mut telemetry = Self { first: None, streams: Vec::new() };
        for stream in &config.stream {
            telemetry.read(stream)?;
        }
        Ok(telemetry)
    }

    /// Reads the telemetry of a stream that comes to a run that goes on.
    ///
    /// # Errors
    /// As [`Telemetry::load`]; then nothing was added.
    pub(crate) fn add(&mut self, stream: &StreamConfig) -> anyhow::Result<()> {
        let measured = stream.telemetry.is_some();
        if measured && self.first.is_none() {
            bail!(
                "stream {:?}: a run that began without telemetry cannot take any: start it anew",
                stream.name
            );
        }
        self.read(stream)
    }

    /// Forgets the stream that was added last.
    pub(crate) fn forget_last(&mut self) {
        self.streams.pop();
    }

    fn read(&mut self, stream: &StreamConfig) -> anyhow::Result<()> {
        let name = &stream.name;
        let mut files = HashMap::new();
        for Beside { item, path, found } in read(stream)? {
            let found = found.with_context(|| format!("stream {name:?}"))?;
            let (columns, before) =
                self.first.get_or_insert_with(|| (found.columns.clone(), path.clone()));
            if found.columns != *columns {
                bail!(
                    "stream {name:?}: telemetry {path:?} has the columns [{}] and {before:?} \
                     has [{}]: give all files the same columns in the same order",
                    found.columns.join(", "),
                    columns.join(", ")
                );
            }
            files.insert(item, found);
        }
        self.streams.push(files);
        Ok(())
    }

    /// Names of the measured quantities, `[k]`; empty when no stream has telemetry.
    pub(crate) fn columns(&self) -> &[String] {
        self.first.as_ref().map_or(&[], |it| &it.0)
    }

    /// The values at each frame's time, `[n, t, k + 1]`, linear between rows. The last is 1, or 0
    /// with zeros before it where nothing was measured. None when no stream has telemetry.
    pub(crate) fn look_up(&self, batch: &Batch) -> Option<Vec<f32>> {
        let columns = self.columns().len();
        if columns == 0 {
            return None;
        }
        let width = columns + 1;
        let mut values = Vec::with_capacity(batch.times.len() * width);
        for (clip, times) in batch.clips.iter().zip(batch.times.chunks(batch.shape[1])) {
            let file = self.streams[clip.stream].get(&*clip.item);
            for time in times {
                match file.and_then(|it| it.at(*time)) {
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
