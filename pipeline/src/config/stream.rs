//! One stream: where it comes from, and how it is read.

use serde::{Deserialize, Serialize};

use super::{ensure, positive, refuse};
use crate::{Address, MovingDigits, Result, Synthetic};

/// One entry of the `[[pipeline.stream]]` list.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
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
    /// Whether it is live: read at its own pace and never again, reconnected when it goes away.
    /// Left out, the address decides, see [`StreamConfig::is_live`].
    #[serde(default)]
    pub live: Option<bool>,
    /// What happens when its clips are not taken as fast as they come. Left out, a live stream
    /// drops its oldest clip and every other waits.
    #[serde(default)]
    pub when_full: Option<WhenFull>,
    /// How a camera's packets travel.
    #[serde(default)]
    pub protocol: Protocol,
    /// Seconds of a camera's packets that are held back to put them in order.
    #[serde(default = "latency")]
    pub latency: f64,
    /// Which kind of decoder reads it.
    #[serde(default)]
    pub decoder: Decoder,
    /// Which of its frames are decoded.
    #[serde(default)]
    pub sample: Sample,
    /// Parts of the picture that are painted black before anything else sees the frame.
    #[serde(default)]
    pub mask: Vec<Region>,
    /// The part of the picture that is used; the whole picture when left out. It is cut out
    /// before [`Fit`](crate::Fit) applies, and after the mask is painted.
    #[serde(default)]
    pub crop: Option<Region>,
    /// When a live stream counts as gone, and when it is tried again.
    #[serde(default)]
    pub retry: Retry,
}

/// A part of the displayed picture, in fractions of its width and height: `[left, top, width,
/// height]`, as in `[0.5, 0.0, 0.5, 0.25]` for the right half of the uppermost quarter.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(from = "[f64; 4]", into = "[f64; 4]")]
pub struct Region {
    /// Distance from the left edge.
    pub left: f64,
    /// Distance from the upper edge.
    pub top: f64,
    /// Width of the part.
    pub width: f64,
    /// Height of the part.
    pub height: f64,
}

/// What a stream does when its channel is full of clips that nobody has taken.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenFull {
    /// Waits, so that nothing is lost. A camera that waits for long is dropped by its server.
    Wait,
    /// Drops its oldest clip for the new one, and counts the frames.
    DropOldest,
}

/// How the packets of an RTSP camera travel.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// In order and whole.
    #[default]
    Tcp,
    /// Datagrams: a lost one damages pictures up to the next key frame.
    Udp,
}

/// Which kind of decoder is chosen.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decoder {
    /// A hardware decoder where one is present, software elsewhere.
    #[default]
    Auto,
    /// Software only.
    Software,
    /// Hardware; software with a warning where there is none.
    Hardware,
}

/// Which frames are decoded.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sample {
    /// All of them.
    #[default]
    Dense,
    /// Of each group of pictures the beginning that one clip needs; the clip starts at the key
    /// frame. All of them in streams whose groups are open, or do not end.
    KeyframePairs,
}

/// When a live stream counts as gone, and when it is tried again.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retry {
    /// Seconds without a frame after which a stream that played has stalled.
    pub stall: f64,
    /// Seconds that the first frame may take.
    pub connect: f64,
    /// Seconds before the first new attempt; the delay doubles with each that fails.
    pub first: f64,
    /// The longest delay, in seconds. Every delay is shortened at random by up to a half, so
    /// that cameras that went away together do not come back together.
    pub longest: f64,
    /// Attempts in a row without a frame after which the stream is given up; 0 means never.
    pub attempts: u64,
}

impl Default for Retry {
    fn default() -> Self {
        Self { stall: 5.0, connect: 15.0, first: 0.25, longest: 30.0, attempts: 0 }
    }
}

impl From<[f64; 4]> for Region {
    fn from([left, top, width, height]: [f64; 4]) -> Self {
        Self { left, top, width, height }
    }
}

impl From<Region> for [f64; 4] {
    fn from(Region { left, top, width, height }: Region) -> Self {
        [left, top, width, height]
    }
}

/// Where frames come from; written as `{ files = "clips/*.mp4" }` and alike.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum SourceConfig {
    /// A file, a folder (its files, sorted by name), or a glob pattern.
    Files(String),
    /// Any URI that GStreamer plays: `rtsp://`, `https://`, `file://`. A password or token is best
    /// written as `${NAME}`, see [`Address`].
    Uri(Address),
    /// Moving shapes that are drawn, not decoded.
    Synthetic(Synthetic),
    /// Digits that move and then turn, drawn in sequences of 9 frames.
    MovingDigits(MovingDigits),
}

impl StreamConfig {
    /// A stream with every other value at its default.
    pub fn new(name: &str, source: SourceConfig) -> Self {
        Self {
            name: name.into(),
            source,
            weight: weight(),
            repeat: false,
            telemetry: None,
            live: None,
            when_full: None,
            protocol: Protocol::default(),
            latency: latency(),
            decoder: Decoder::default(),
            sample: Sample::default(),
            mask: Vec::new(),
            crop: None,
            retry: Retry::default(),
        }
    }

    /// Whether it is live. Cameras (`rtsp`, `rtsps`, `udp`, `srt`, `rtmp`, `v4l2`) are, and so
    /// are playlists over HTTP (`.m3u8`), unless `live` says otherwise.
    pub fn is_live(&self) -> bool {
        self.live.unwrap_or(match &self.source {
            SourceConfig::Uri(address) => is_live(address),
            SourceConfig::Files(_) | SourceConfig::Synthetic(_) | SourceConfig::MovingDigits(_) => {
                false
            }
        })
    }

    /// What happens when its channel is full.
    pub fn when_full(&self) -> WhenFull {
        let default = if self.is_live() { WhenFull::DropOldest } else { WhenFull::Wait };
        self.when_full.unwrap_or(default)
    }

    pub(super) fn validate(&self, idx: usize) -> Result<()> {
        let key = |field: &str| format!("stream[{idx}].{field}");
        let named = !self.name.trim().is_empty() && !self.name.contains(char::is_control);
        ensure(named, &key("name"), "must not be empty or hold control characters")?;
        ensure(positive(self.weight), &key("weight"), "must be more than 0")?;
        let telemetry = self.telemetry.as_deref() != Some("");
        ensure(telemetry, &key("telemetry"), "must name a file or folder, or be left out")?;
        ensure(
            self.latency >= 0.0 && self.latency.is_finite(),
            &key("latency"),
            "must be 0 s or more",
        )?;
        for (place, region) in self.mask.iter().enumerate() {
            ensure(region.is_inside(), &key(&format!("mask[{place}]")), Region::RULE)?;
        }
        ensure(self.crop.is_none_or(|it| it.is_inside()), &key("crop"), Region::RULE)?;
        let whole = self.crop.is_none() || !self.source.is_drawn();
        ensure(whole, &key("crop"), "drawn pictures have the training size: leave it out")?;
        let looped = self.is_live() && self.repeat;
        ensure(!looped, &key("loop"), "a live stream cannot be read again: leave it out")?;
        self.retry.validate(&key("retry"))?;
        match &self.source {
            SourceConfig::Files(it) => {
                let key = key("source.files");
                ensure(!it.is_empty(), &key, "must name a file, folder or glob")?;
                ensure(!it.contains("://"), &key, "is an address: write it as source.uri")
            }
            SourceConfig::Uri(it) => {
                let problem = it.reveal().err().map(|it| it.to_string());
                ensure(problem.is_none(), &key("source.uri"), &problem.unwrap_or_default())
            }
            SourceConfig::Synthetic(it) => refuse(it.wrong(), &key("source.synthetic")),
            SourceConfig::MovingDigits(it) => refuse(it.wrong(), &key("source.moving-digits")),
        }
    }
}

impl Retry {
    fn validate(&self, key: &str) -> Result<()> {
        for (name, seconds) in [
            ("stall", self.stall),
            ("connect", self.connect),
            ("first", self.first),
            ("longest", self.longest),
        ] {
            ensure(positive(seconds), &format!("{key}.{name}"), "must be more than 0 seconds")?;
        }
        let rising = self.longest >= self.first;
        ensure(rising, &format!("{key}.longest"), "must not be less than retry.first")
    }
}

impl Region {
    const RULE: &str = "must be [left, top, width, height] in fractions of the picture, inside it";

    fn is_inside(&self) -> bool {
        let Self { left, top, width, height } = *self;
        left >= 0.0
            && top >= 0.0
            && positive(width)
            && positive(height)
            && left + width <= 1.0 + 1e-9
            && top + height <= 1.0 + 1e-9
    }
}

fn is_live(address: &Address) -> bool {
    match address.scheme().to_ascii_lowercase().as_str() {
        "rtsp" | "rtsps" | "rtspt" | "rtspu" | "udp" | "srt" | "rtmp" | "rtmps" | "v4l2" => true,
        "http" | "https" => address.is_playlist(),
        _ => false,
    }
}

fn weight() -> f64 {
    1.0
}

fn latency() -> f64 {
    0.2
}
