//! What a user writes about the input, and which values are refused.

mod address;
mod stream;

use std::collections::HashSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

pub use address::Address;
pub(crate) use address::Revealed;
pub use stream::{Decoder, Protocol, Region, Retry, Sample, SourceConfig, StreamConfig, WhenFull};

/// The `[pipeline]` table: which streams are read, and how they become batches.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "PipelineConfig")]
pub struct Config {
    /// Height and width that every frame is scaled to, in pixels, 1 to 16384 each.
    pub size: [usize; 2],
    /// How a frame whose aspect is not that of `size` is fitted. Default: `"crop"`.
    #[serde(default)]
    pub fit: Fit,
    /// How a stream is cut into clips.
    pub clip: ClipConfig,
    /// How clips are mixed and stacked.
    pub batch: BatchConfig,
    /// Whether to decode in child processes. A decoder that crashes then interrupts only its own
    /// streams, until a new process has started. Default: false.
    #[serde(default)]
    pub isolate: bool,
    /// Settings of these child processes.
    #[serde(default)]
    pub isolation: Isolation,
    /// The streams, at least one.
    pub stream: Vec<StreamConfig>,
}

/// Settings of the processes that decode, if [`Config::isolate`] is set.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Isolation {
    /// Live streams per process. Each archive has a process of its own, so that a file that crashes
    /// its decoder affects no other stream. Default: 4.
    pub streams: usize,
    /// Most memory that a process may map, in MiB; 0 sets no limit. Default: 4096.
    pub memory: u64,
}

impl Default for Isolation {
    fn default() -> Self {
        Self { streams: 4, memory: 4096 }
    }
}

/// How a frame of another aspect is fitted to the training size.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fit {
    /// Keep the displayed aspect and cut off what is too large, equally on both sides.
    #[default]
    Crop,
    /// Keep the whole frame and change its aspect.
    Squash,
}

/// How a stream is cut into clips, by presentation time.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ClipConfig {
    /// Frames per clip, at least 2.
    pub frames: usize,
    /// Seconds between neighbouring frames of a clip, more than 0.
    pub interval: f64,
    /// Seconds between the starts of successive clips. 0, the default, puts clips back to back:
    /// `frames * interval`. Of several starts nearest to the same frame, one is used.
    #[serde(default)]
    pub hop: f64,
    /// Scene cut: a clip is dropped when the mean absolute difference of two neighbouring frames,
    /// in 0..1 over RGB, is above this. 0, and 1 or more, turn the check off. Default: 0.25.
    #[serde(default = "cut_threshold")]
    pub cut_threshold: f64,
    /// Change of light: a clip is dropped when the mean brightness of two neighbouring frames, in
    /// 0..1 over RGB, differs by more than this (lightning, lamps), or when colour appears or
    /// disappears between them, as in a camera that switches to infrared. 0, and 1 or more, turn
    /// the check off. Frames between those of a clip are not checked. Default: 0.2.
    #[serde(default = "light_threshold")]
    pub light_threshold: f64,
    /// Nothing moves: a clip is dropped when the mean absolute difference of all its neighbouring
    /// frames, in 0..1 over RGB, is below this; less than 1. 0, the default, keeps all clips.
    /// People who pass a fixed camera make about 0.015 in half a second.
    #[serde(default)]
    pub skip_static: f64,
    /// Whether to estimate how the camera moved between neighbouring frames of a clip: shift,
    /// rotation and scale of most of the frame. Frames must be at least 32 pixels high and wide.
    /// Default: false.
    #[serde(default)]
    pub camera_motion: bool,
}

/// How clips are mixed and stacked.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub struct BatchConfig {
    /// Clips per batch, at least 1.
    pub clips: usize,
    /// Clips that are held back and mixed: each clip of a batch is drawn from them at random. 1
    /// turns mixing off. Default: 64.
    #[serde(default = "pool")]
    pub pool: usize,
    /// How often a clip may be drawn again. With live streams a clip is drawn again only while
    /// there is no new one, so that a trainer that is faster than its cameras stays busy. With
    /// archives alone, every clip is drawn this often again. Default: 0.
    #[serde(default)]
    pub reuse: u32,
    /// Whether the clips that are left at the end of all streams make a last, smaller batch.
    #[serde(skip)]
    pub remainder: bool,
}

/// Side of the smallest frame whose camera motion can be estimated, in pixels.
pub(crate) const SMALLEST_MOTION_FRAME: usize = 32;

fn cut_threshold() -> f64 {
    0.25
}

fn light_threshold() -> f64 {
    0.2
}

fn pool() -> usize {
    64
}

impl Config {
    /// A configuration with every other value at its default.
    pub fn new(
        size: [usize; 2],
        clip: ClipConfig,
        batch: BatchConfig,
        stream: Vec<StreamConfig>,
    ) -> Self {
        let (isolate, isolation) = (false, Isolation::default());
        Self { size, fit: Fit::default(), clip, batch, isolate, isolation, stream }
    }
}

impl BatchConfig {
    /// Batches of `clips` clips, each drawn once from a pool of `pool`.
    pub fn new(clips: usize, pool: usize) -> Self {
        Self { clips, pool, reuse: 0, remainder: false }
    }
}

impl ClipConfig {
    /// Clips of `frames` frames, `interval` seconds apart, back to back, with every check off.
    pub fn new(frames: usize, interval: f64) -> Self {
        Self {
            frames,
            interval,
            hop: 0.0,
            cut_threshold: 0.0,
            light_threshold: 0.0,
            skip_static: 0.0,
            camera_motion: false,
        }
    }

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
    /// Checks every value that its type alone does not.
    ///
    /// # Errors
    /// [`Error::Config`] with the dotted key of the first wrong value, as in
    /// `pipeline.clip.frames`.
    pub fn validate(&self) -> Result<()> {
        ensure(!self.size.contains(&0), "size", "height and width must be at least 1 pixel")?;
        ensure(self.size.iter().all(|&it| it <= 16_384), "size", "must be at most 16384 pixels")?;
        self.clip.validate()?;
        let large =
            !self.clip.camera_motion || self.size.iter().all(|&it| it >= SMALLEST_MOTION_FRAME);
        let message = format!("needs a pipeline.size of at least {SMALLEST_MOTION_FRAME} pixels");
        ensure(large, "clip.camera_motion", &message)?;
        ensure(self.batch.clips > 0, "batch.clips", "must be at least 1")?;
        ensure(self.batch.pool > 0, "batch.pool", "must be at least 1 (1 turns mixing off)")?;
        ensure(self.isolation.streams > 0, "isolation.streams", "must be at least 1")?;
        ensure(!self.stream.is_empty(), "stream", "is empty: add a [[pipeline.stream]]")?;
        let mut names = HashSet::new();
        for (idx, stream) in self.stream.iter().enumerate() {
            stream.validate(idx)?;
            let message = format!("another stream is named {:?}: choose another name", stream.name);
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
        ensure(threshold, "clip.cut_threshold", "must be 0 (off) or more")?;
        let light = self.light_threshold >= 0.0;
        ensure(light, "clip.light_threshold", "must be 0 (off) or more")?;
        let skip_static = (0.0..1.0).contains(&self.skip_static);
        ensure(skip_static, "clip.skip_static", "must be 0 (off) or more, and less than 1")
    }
}

fn positive(number: f64) -> bool {
    number > 0.0 && number.is_finite()
}

/// Refuses the wrong field of the table at `key`, if there is one.
fn refuse(wrong: Option<(&str, &str)>, key: &str) -> Result<()> {
    wrong.map_or(Ok(()), |(field, message)| ensure(false, &format!("{key}.{field}"), message))
}

fn ensure(holds: bool, key: &str, message: &str) -> Result<()> {
    if holds {
        return Ok(());
    }
    Err(Error::Config { key: format!("pipeline.{key}"), message: message.into() })
}
