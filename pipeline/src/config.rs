//! What a user writes about the input, and what is wrong with it.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::{Error, MovingDigits, Result, Synthetic, motion::SMALLEST, source};

/// The `[pipeline]` table: which streams, and how they become batches.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Height and width that every frame is scaled to, in pixels.
    pub size: [usize; 2],
    /// What happens when the picture's aspect is not that of `size`.
    #[serde(default)]
    pub fit: Fit,
    /// How a stream is cut into clips.
    pub clip: ClipConfig,
    /// How clips are mixed and stacked.
    pub batch: BatchConfig,
    /// The inputs, at least one.
    pub stream: Vec<StreamConfig>,
}

/// How a picture of another aspect becomes one of the training size.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fit {
    /// Keeps the displayed aspect and cuts off what sticks out, equally on both sides.
    #[default]
    Crop,
    /// Keeps the whole picture and changes its aspect.
    Squash,
}

/// How a stream is cut into clips, by presentation time.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ClipConfig {
    /// Frames in a clip, at least 2.
    pub frames: usize,
    /// Seconds between neighbouring frames of a clip.
    pub interval: f64,
    /// Seconds between the starts of successive clips; 0, the default, puts them back to back,
    /// which is `frames * interval`. A start that falls on the frame of the start before it
    /// gives no clip of its own.
    #[serde(default)]
    pub hop: f64,
    /// Mean absolute difference of neighbouring frames of a clip, in 0..1 over RGB, above which
    /// they belong to different scenes and the clip is dropped. 0, and 1 or more, turn it off.
    #[serde(default = "cut_threshold")]
    pub cut_threshold: f64,
    /// Estimates how the camera moved between neighbouring frames of a clip: shift, turn and
    /// scale of most of the picture. Frames must be at least 32 pixels high and wide.
    #[serde(default)]
    pub camera_motion: bool,
}

/// How clips are mixed and stacked.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct BatchConfig {
    /// Clips in a batch.
    pub clips: usize,
    /// Clips that are held back; each clip of a batch is drawn from them at random.
    #[serde(default = "pool")]
    pub pool: usize,
}

/// One entry of the `[[pipeline.stream]]` list.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct StreamConfig {
    /// A name of its own for logs and tables.
    pub name: String,
    /// Where the frames come from.
    pub source: SourceConfig,
    /// How often clips of this stream are drawn, relative to the other streams.
    #[serde(default = "weight")]
    pub weight: f64,
    /// Reads the source again, with other clip starts, whenever it ends.
    #[serde(rename = "loop", default)]
    pub repeat: bool,
    /// Measurements beside the frames: a `.csv` or `.parquet` with a column `time`, in seconds of
    /// stream time, and columns of numbers. For several files a folder, with one named after
    /// each. Left out, there are none.
    #[serde(default)]
    pub telemetry: Option<String>,
}

/// Where frames come from; written as `{ files = "clips/*.mp4" }` and alike.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum SourceConfig {
    /// A file, a folder (its files, sorted by name), or a glob pattern.
    Files(String),
    /// Any URI that GStreamer plays: `rtsp://`, `https://`, `file://`.
    Uri(String),
    /// Moving shapes that are drawn, not decoded.
    Synthetic(Synthetic),
    /// Digits that move and then turn, drawn in sequences of 9 frames.
    MovingDigits(MovingDigits),
}

fn cut_threshold() -> f64 {
    0.25
}

fn pool() -> usize {
    64
}

fn weight() -> f64 {
    1.0
}

impl Config {
    /// The same without the `user:password@` of any URI: fit for a file that others may read.
    pub fn without_credentials(mut self) -> Self {
        for stream in &mut self.stream {
            if let SourceConfig::Uri(uri) = &mut stream.source {
                *uri = source::without_credentials(uri);
            }
        }
        self
    }
}

impl ClipConfig {
    /// Seconds between the starts of successive clips.
    pub fn hop_seconds(&self) -> f64 {
        if self.hop > 0.0 { self.hop } else { self.frames as f64 * self.interval }
    }

    /// Seconds from the first frame of a clip to its last.
    pub fn span_seconds(&self) -> f64 {
        self.frames.saturating_sub(1) as f64 * self.interval
    }
}

impl Config {
    /// Checks every value that the types alone leave open.
    ///
    /// # Errors
    /// [`Error::Config`] with the dotted key of the first wrong value, as in
    /// `pipeline.clip.frames`.
    pub fn validate(&self) -> Result<()> {
        ensure(!self.size.contains(&0), "size", "height and width must be at least 1 pixel")?;
        ensure(self.size.iter().all(|&it| it <= 16_384), "size", "must be at most 16384 pixels")?;
        self.clip.validate()?;
        let large = !self.clip.camera_motion || self.size.iter().all(|&it| it >= SMALLEST);
        let message = format!("needs a pipeline.size of at least {SMALLEST} pixels");
        ensure(large, "clip.camera_motion", &message)?;
        ensure(self.batch.clips > 0, "batch.clips", "must be at least 1")?;
        ensure(self.batch.pool > 0, "batch.pool", "must be at least 1 (1 turns mixing off)")?;
        ensure(!self.stream.is_empty(), "stream", "has no entry: add a [[pipeline.stream]]")?;
        let mut names = HashSet::new();
        for (idx, stream) in self.stream.iter().enumerate() {
            stream.validate(idx)?;
            let message = format!("the name {:?} is taken by another stream", stream.name);
            ensure(names.insert(&stream.name), &format!("stream[{idx}].name"), &message)?;
        }
        Ok(())
    }
}

impl ClipConfig {
    fn validate(&self) -> Result<()> {
        ensure(self.frames >= 2, "clip.frames", "must be at least 2")?;
        ensure(positive(self.interval), "clip.interval", "must be more than 0 seconds")?;
        ensure(self.hop == 0.0 || positive(self.hop), "clip.hop", "must be 0 seconds or more")?;
        let threshold = self.cut_threshold >= 0.0;
        ensure(threshold, "clip.cut_threshold", "must be 0 (off) or more")
    }
}

impl StreamConfig {
    fn validate(&self, idx: usize) -> Result<()> {
        let key = |field: &str| format!("stream[{idx}].{field}");
        let named = !self.name.trim().is_empty() && !self.name.contains(char::is_control);
        ensure(named, &key("name"), "must not be empty or hold control characters")?;
        ensure(positive(self.weight), &key("weight"), "must be more than 0")?;
        let telemetry = self.telemetry.as_deref() != Some("");
        ensure(telemetry, &key("telemetry"), "must name a file or folder, or be left out")?;
        match &self.source {
            SourceConfig::Files(it) => {
                ensure(!it.is_empty(), &key("source.files"), "must name a file, folder or glob")
            }
            SourceConfig::Uri(it) => {
                ensure(it.contains("://"), &key("source.uri"), "must be a URI, as in rtsp://host/")
            }
            SourceConfig::Synthetic(it) => refuse(it.wrong(), &key("source.synthetic")),
            SourceConfig::MovingDigits(it) => refuse(it.wrong(), &key("source.moving-digits")),
        }
    }
}

fn positive(number: f64) -> bool {
    number > 0.0 && number.is_finite()
}

/// Refuses the field that is wrong, if there is one, of the table at `key`.
fn refuse(wrong: Option<(&str, &str)>, key: &str) -> Result<()> {
    wrong.map_or(Ok(()), |(field, message)| ensure(false, &format!("{key}.{field}"), message))
}

fn ensure(holds: bool, key: &str, message: &str) -> Result<()> {
    if holds {
        return Ok(());
    }
    Err(Error::Config { key: format!("pipeline.{key}"), message: message.into() })
}
