//! What a user writes about the input, and what is wrong with it.

mod address;
mod stream;

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::{Error, Result, clip::camera_motion::SMALLEST};

pub use address::Address;
pub(crate) use address::Revealed;
pub use stream::{Decoder, Protocol, Region, Retry, Sample, SourceConfig, StreamConfig, WhenFull};

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
    /// Decodes in child processes, so that a decoder that crashes takes only its own streams with
    /// it, and only for the moment that a new process needs.
    #[serde(default)]
    pub isolate: bool,
    /// How the child processes are made, when there are any.
    #[serde(default)]
    pub isolation: Isolation,
    /// The inputs, at least one.
    pub stream: Vec<StreamConfig>,
}

/// The processes that decode when [`Config::isolate`] is set.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Isolation {
    /// Live streams that share a process. Every archive has one of its own, so that a file that
    /// crashes its decoder costs no other stream its place.
    pub streams: usize,
    /// The most memory that a process may map, in MiB; 0 sets no limit.
    pub memory: u64,
}

impl Default for Isolation {
    fn default() -> Self {
        Self { streams: 4, memory: 4096 }
    }
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
    /// Change of the mean brightness of neighbouring frames of a clip, in 0..1 over RGB, above
    /// which the light itself changed (lightning, lamps) and the clip is dropped. So it is when
    /// colour goes or comes between the two, as in a camera that turns to infrared. 0, and 1 or
    /// more, turn both off. Frames between those of a clip are not looked at: a flash that falls
    /// there is neither seen nor trained on.
    #[serde(default = "light_threshold")]
    pub light_threshold: f64,
    /// Mean absolute difference of neighbouring frames of a clip, in 0..1 over RGB, below which
    /// nothing moves: a clip whose neighbours are all so alike is dropped. 0, the default, keeps
    /// all of them. People who pass a fixed camera make about 0.015 in half a second.
    #[serde(default)]
    pub skip_static: f64,
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
    /// How often a clip may be drawn again. With live streams that happens when no new clip is
    /// there, so that a trainer faster than its cameras stays busy; with archives alone each clip
    /// is drawn so often.
    #[serde(default)]
    pub reuse: u32,
    /// Whether the clips that are left when all streams have ended make a last, smaller batch.
    #[serde(skip)]
    pub remainder: bool,
}

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
    /// Batches of clips of `stream`, frames scaled to `size` and cropped, decoded in this process.
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
    /// Batches of `clips` clips, drawn once each from a pool of `pool`.
    pub fn new(clips: usize, pool: usize) -> Self {
        Self { clips, pool, reuse: 0, remainder: false }
    }
}

impl ClipConfig {
    /// Clips of `frames` frames, `interval` seconds apart, back to back, none of them dropped for
    /// what they show.
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
        ensure(self.isolation.streams > 0, "isolation.streams", "must be at least 1")?;
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
        ensure(threshold, "clip.cut_threshold", "must be 0 (off) or more")?;
        let light = self.light_threshold >= 0.0;
        ensure(light, "clip.light_threshold", "must be 0 (off) or more")?;
        let still = (0.0..1.0).contains(&self.skip_static);
        ensure(still, "clip.skip_static", "must be 0 (off) or more, and less than 1")
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
