//! What can go wrong between a configuration and a batch.

use std::io;

use serde::{Deserialize, Serialize};

/// The errors of this library.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A value of the configuration cannot be used.
    #[error("{key}: {message}")]
    Config {
        /// Dotted path of the value.
        key: String,
        /// What is wrong with it.
        message: String,
    },
    /// A file or URI of a stream cannot be used.
    #[error("stream {stream:?}: {item}: {problem}")]
    Item {
        /// Name of the stream.
        stream: String,
        /// The file, folder, pattern or URI, without credentials.
        item: String,
        /// What is wrong with it, and what to do.
        problem: Problem,
    },
    /// A file that belongs to no stream cannot be read or written.
    #[error("{path}: {problem}")]
    File {
        /// The file.
        path: String,
        /// What is wrong with it, and what to do.
        problem: Problem,
    },
    /// Every file of a folder or glob failed.
    #[error("stream {stream:?}: none of its {count} files could be read; the first: {first}")]
    AllFilesFailed {
        /// Name of the stream.
        stream: String,
        /// Number of files.
        count: usize,
        /// What is wrong with the first.
        first: String,
    },
    /// The pixels of a saved pool do not belong to its state.
    #[error(
        "the pool of the checkpoint has {found} bytes of pixels and needs {wanted} bytes at \
         {size:?}: its file is damaged, or pipeline.size was changed"
    )]
    PoolPixels {
        /// Bytes found.
        found: usize,
        /// Bytes expected.
        wanted: usize,
        /// Height and width of a frame.
        size: [usize; 2],
    },
    /// A whole epoch of a stream gave no clip.
    #[error(
        "stream {stream:?}: no clip of {frames} frames, {interval} s apart, fits: a clip is \
         {span:.2} s long, the longest unbroken run of the {decoded} decoded frames is \
         {longest:.2} s long, and they are {gap:.3} s apart; change clip.frames or clip.interval"
    )]
    NoClip {
        /// Name of the stream.
        stream: String,
        /// Frames per clip.
        frames: usize,
        /// Seconds between them.
        interval: f64,
        /// Seconds from the first to the last.
        span: f64,
        /// Seconds of the longest run without a discontinuity.
        longest: f64,
        /// Median gap between frames, in seconds.
        gap: f64,
        /// Frames decoded so far.
        decoded: u64,
    },
    /// Too many streams were added at once.
    #[error(
        "stream {stream:?} cannot be added now, because too many were added at once: try again"
    )]
    Busy {
        /// Name of the stream.
        stream: String,
    },
    /// A whole epoch of a stream gave no clip because of what the clips show.
    #[error(
        "stream {stream:?}: every clip was dropped: nothing moves in {no_motion} frames, {scene_cut} are \
         at scene cuts and {light_change} where the light changes; change clip.skip_static, \
         clip.cut_threshold or clip.light_threshold"
    )]
    AllClipsDropped {
        /// Name of the stream.
        stream: String,
        /// Frames so far in clips in which nothing moves.
        no_motion: u64,
        /// Frames so far in clips with a scene cut.
        scene_cut: u64,
        /// Frames so far in clips in which the light changed.
        light_change: u64,
    },
    /// The system could not start a thread.
    #[error("could not start the thread {name:?}")]
    Thread {
        /// Name of the thread.
        name: String,
        /// The system's error.
        source: io::Error,
    },
}

/// What is wrong with one file or URI, in words that a person can act on.
#[derive(Debug, Deserialize, Serialize, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// No such file or folder.
    #[error("no such file or folder: check the path")]
    NotFound,
    /// A glob or a folder without files.
    #[error("matches no file: check the pattern or the folder")]
    NoMatch,
    /// Not a glob pattern.
    #[error("is not a valid glob pattern: {0}")]
    Pattern(String),
    /// A text that is not a URI, or that names a secret without a value.
    #[error("{0}")]
    Address(String),
    /// The file exists and cannot be opened.
    #[error("cannot be opened ({0}): check its permissions")]
    Unreadable(#[serde(with = "as_text")] io::Error),
    /// The file has no bytes.
    #[error("is empty (0 bytes): copy or record it again")]
    Empty,
    /// Text, or data of no known kind.
    #[error("is not a video ({0}): remove it from the stream")]
    NotMedia(String),
    /// A container without its index or without streams.
    #[error(
        "contains no playable stream: its index is missing (an mp4 without `moov` was never \
         finished); record it again or repair it"
    )]
    NoIndex,
    /// Media without video.
    #[error("has no video stream (audio or subtitles only): remove it from the stream")]
    NoVideo,
    /// The codec is known, but no installed decoder reads it.
    #[error(
        "needs a decoder that is not installed: {0}; install gstreamer1.0-libav or \
         gstreamer1.0-plugins-bad (Debian)"
    )]
    MissingDecoder(String),
    /// A file of handwritten digits that cannot be used.
    #[error(
        "{place}: {message}; it must be a CSV as scikit-learn's load_digits has it, unpacked: in \
         each row 64 values of 0 to 16 and the label, 0 to 9"
    )]
    Digits {
        /// The file, and the line where there is one.
        place: String,
        /// What is wrong there.
        message: String,
    },
    /// A host that does not answer, a refused connection, a missing remote file.
    #[error("cannot be reached ({0}): check the address, the network and the server")]
    Unreachable(String),
    /// No frame came for too long.
    #[error("stalled: no frame for {0} s")]
    Stalled(f64),
    /// A live source was opened and gave no frame.
    #[error("gave no frame in {0} s: check the camera, or raise retry.connect_timeout")]
    NoFirstFrame(f64),
    /// A live source ended.
    #[error("disconnected: its server ended the stream or closed the connection")]
    Disconnected,
    /// A live source failed too many times in a row.
    #[error("was given up after {attempts} attempts without a frame (retry.max_attempts): {last}")]
    GivenUp {
        /// Number of attempts.
        attempts: u64,
        /// The problem of the last attempt.
        last: Box<Problem>,
    },
    /// The file ended well before its stated duration.
    #[error("ended at {end:.2} s of {duration:.2} s: truncated?")]
    Truncated {
        /// Stream time of the end, in seconds.
        end: f64,
        /// Duration stated by the file, in seconds.
        duration: f64,
    },
    /// The stream ended before its first frame.
    #[error("ended without a single frame: it is damaged or truncated")]
    NoFrames,
    /// Decoding failed for another reason.
    #[error("decoding failed in {element}: {message}")]
    Decode {
        /// The GStreamer element that failed.
        element: String,
        /// Its message.
        message: String,
    },
    /// A video could not be written.
    #[error("could not be written: {0}")]
    Encode(String),
    /// The process that decoded it died.
    #[error("decoding crashed: the decoder process died ({0})")]
    Crashed(String),
    /// GStreamer itself, or one of its standard elements, is missing.
    #[error("GStreamer cannot be used: {0}; install gstreamer1.0-plugins-base and -good (Debian)")]
    GStreamer(String),
}

impl Problem {
    /// Adds the stream and the file or URI that the problem is about.
    pub(crate) fn of(self, stream: &str, item: &str) -> Error {
        Error::Item { stream: stream.into(), item: item.into(), problem: self }
    }

    /// Adds the file that the problem is about.
    pub(crate) fn of_file(self, path: &str) -> Error {
        Error::File { path: path.into(), problem: self }
    }
}

/// A result whose error is [`Error`] unless stated otherwise.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Serialises an error of the system as its text.
mod as_text {
    use std::io;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(error: &io::Error, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(error)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<io::Error, D::Error> {
        String::deserialize(from).map(io::Error::other)
    }
}
