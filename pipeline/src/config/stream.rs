//! One stream: where it comes from, and how it is read.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ensure, positive, refuse};
use crate::{Address, MovingDigits, Result, Synthetic};

/// One entry of the list `[[pipeline.stream]]`.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct StreamConfig {
    /// Name of the stream in logs and tables. No two streams may share a name.
    pub name: String,
    /// Where the frames come from.
    pub source: SourceConfig,
    /// How often clips of this stream are drawn, relative to the other streams; more than 0.
    /// Default: 1.
    #[serde(default = "weight")]
    pub weight: f64,
    /// Whether to read the source again whenever it ends, each time with other clip starts. Not for
    /// live streams. Default: false.
    #[serde(rename = "loop", default)]
    pub repeat: bool,
    /// Measurements along with the frames: a `.csv` or `.parquet` file with a column `time`, in
    /// seconds of stream time, and columns of numbers. For several video files: a folder with one
    /// such file named after each. Default: none.
    #[serde(default)]
    pub telemetry: Option<String>,
    /// Whether the stream is live: read at its own pace, never read again, and reconnected when it
    /// is lost. By default the URI decides: cameras (`rtsp`, `rtsps`, `udp`, `srt`, `rtmp`, `v4l2`)
    /// and playlists over HTTP (`.m3u8`) are live.
    #[serde(default)]
    pub live: Option<bool>,
    /// What happens when clips come faster than they are taken. Default: a live stream drops its
    /// oldest clip, an archive waits.
    #[serde(default)]
    pub when_full: Option<WhenFull>,
    /// Transport of an RTSP camera's packets. Default: `"tcp"`.
    #[serde(default)]
    pub protocol: Protocol,
    /// Seconds for which a camera's packets are buffered to put them in order, 0 or more. Default:
    /// 0.2.
    #[serde(default = "latency")]
    pub latency: f64,
    /// Which kind of decoder is used. Default: `"auto"`.
    #[serde(default)]
    pub decoder: Decoder,
    /// Which frames are decoded. Default: `"dense"`.
    #[serde(default)]
    pub sample: Sample,
    /// Parts of the frame that are painted black before anything else sees it, each `[left, top,
    /// width, height]` in fractions of the frame. Default: none.
    #[serde(default)]
    pub mask: Vec<Region>,
    /// The part of the frame that is used, `[left, top, width, height]` in fractions of the frame.
    /// It is cut out after the mask is painted and before [`Fit`](crate::Fit) applies. Default: the
    /// whole frame.
    #[serde(default)]
    pub crop: Option<Region>,
    /// When a live stream is reconnected, and when it is given up.
    #[serde(default)]
    pub retry: Retry,
}

/// A part of the displayed frame, in fractions of its width and height: `[left, top, width,
/// height]`. For example, `[0.5, 0.0, 0.5, 0.25]` is the right half of the uppermost quarter.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
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

/// What a stream does when its channel of clips is full.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenFull {
    /// Wait, so that no clip is lost. A camera that waits for long is disconnected by its server.
    Wait,
    /// Drop the oldest clip for the new one, and count its frames as dropped.
    DropOldest,
}

/// Transport of an RTSP camera's packets.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// TCP: packets arrive in order, and none is lost.
    #[default]
    Tcp,
    /// UDP: a lost packet damages frames until the next keyframe.
    Udp,
}

/// Which kind of decoder is used.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decoder {
    /// A hardware decoder where there is one, otherwise software.
    #[default]
    Auto,
    /// Software.
    Software,
    /// A hardware decoder; software, with a warning, where there is none.
    Hardware,
}

/// Which frames are decoded.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sample {
    /// All frames.
    #[default]
    Dense,
    /// Only the beginning of each group of pictures (GOP), as long as one clip needs: each GOP
    /// gives one clip that starts at its keyframe. Streams whose GOPs are open, endless or shorter
    /// than a clip are decoded whole, with a warning.
    GopStart,
}

/// When a live stream is reconnected, and when it is given up.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retry {
    /// Seconds without a frame after which a stream that played counts as stalled and is
    /// reconnected. Default: 5.
    pub stall_timeout: f64,
    /// Seconds that the first frame of a connection may take. Default: 15.
    pub connect_timeout: f64,
    /// Seconds before the first new attempt. The delay doubles with each attempt that fails.
    /// Default: 0.25.
    pub initial_delay: f64,
    /// The longest delay, in seconds. Every delay is shortened at random by up to a half, so that
    /// cameras that were lost together do not reconnect together. Default: 30.
    pub max_delay: f64,
    /// Attempts in a row without a frame after which the stream is given up; 0, the default, never
    /// gives up.
    pub max_attempts: u64,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            stall_timeout: 5.0,
            connect_timeout: 15.0,
            initial_delay: 0.25,
            max_delay: 30.0,
            max_attempts: 0,
        }
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

/// Where frames come from, written for example as `{ files = "clips/*.mp4" }`.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum SourceConfig {
    /// A file, a folder (its files, sorted by name), or a glob pattern.
    Files(String),
    /// A URI that GStreamer plays: `rtsp://`, `https://`, `file://` and others. Write a password or
    /// token as `${NAME}`, see [`Address`].
    Uri(Address),
    /// Moving discs that are drawn, not decoded.
    Synthetic(Synthetic),
    /// Digits that move and then change their velocity, drawn in sequences of 9 frames.
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

    /// Whether the stream is live: as `live` says, or else by its URI. Cameras (`rtsp`, `rtsps`,
    /// `udp`, `srt`, `rtmp`, `v4l2`) and playlists over HTTP (`.m3u8`) are live.
    pub fn is_live(&self) -> bool {
        self.live.unwrap_or(match &self.source {
            SourceConfig::Uri(address) => is_live(address),
            SourceConfig::Files(_) | SourceConfig::Synthetic(_) | SourceConfig::MovingDigits(_) => {
                false
            }
        })
    }

    /// What happens when its channel of clips is full.
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
        ensure(
            telemetry,
            &key("telemetry"),
            "must name a file or folder: remove this key for no telemetry",
        )?;
        ensure(
            self.latency >= 0.0 && self.latency.is_finite(),
            &key("latency"),
            "must be 0 s or more",
        )?;
        for (number, region) in self.mask.iter().enumerate() {
            ensure(region.is_inside(), &key(&format!("mask[{number}]")), Region::RULE)?;
        }
        ensure(self.crop.is_none_or(|it| it.is_inside()), &key("crop"), Region::RULE)?;
        let whole = self.crop.is_none() || !self.source.is_drawn();
        ensure(whole, &key("crop"), "drawn frames have the training size: remove this key")?;
        let looped = self.is_live() && self.repeat;
        ensure(!looped, &key("loop"), "a live stream cannot be read again: remove this key")?;
        self.retry.validate(&key("retry"))?;
        match &self.source {
            SourceConfig::Files(it) => {
                let key = key("source.files");
                ensure(!it.is_empty(), &key, "must name a file, folder or glob")?;
                ensure(!it.contains("://"), &key, "is a URI: write it as source.uri")
            }
            SourceConfig::Uri(it) => {
                let problem = it.reveal().err().map(|it| it.to_string());
                ensure(problem.is_none(), &key("source.uri"), &problem.unwrap_or_default())
            }
            SourceConfig::Synthetic(it) => refuse(it.invalid_field(), &key("source.synthetic")),
            SourceConfig::MovingDigits(it) => {
                refuse(it.invalid_field(), &key("source.moving-digits"))
            }
        }
    }
}

impl Retry {
    fn validate(&self, key: &str) -> Result<()> {
        for (name, seconds) in [
            ("stall_timeout", self.stall_timeout),
            ("connect_timeout", self.connect_timeout),
            ("initial_delay", self.initial_delay),
            ("max_delay", self.max_delay),
        ] {
            ensure(positive(seconds), &format!("{key}.{name}"), "must be more than 0 seconds")?;
        }
        let rising = self.max_delay >= self.initial_delay;
        ensure(rising, &format!("{key}.max_delay"), "must not be less than retry.initial_delay")
    }
}

impl Region {
    const RULE: &str = "must be [left, top, width, height] in fractions of the frame, inside it";

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
