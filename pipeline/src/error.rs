//! What can go wrong between a configuration and a batch.

use std::io;

use serde::{Deserialize, Serialize};

/// Everything that can go wrong in this library.
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
    /// Every file of a folder or glob failed.
    #[error("stream {stream:?}: none of its {count} files could be read; the first: {first}")]
    EveryFile {
        /// Name of the stream.
        stream: String,
        /// How many files there are.
        count: usize,
        /// What is wrong with the first.
        first: String,
    },
    /// The pictures of a pool are not those that belong to it.
    #[error(
        "the pool of the checkpoint has {found} bytes of pictures and needs {wanted} bytes at \
         {size:?}: its file is damaged, or pipeline.size was changed"
    )]
    Standing {
        /// Bytes that are there.
        found: usize,
        /// Bytes that should be.
        wanted: usize,
        /// Height and width of a picture.
        size: [usize; 2],
    },
    /// A whole reading of a stream gave no clip.
    #[error(
        "stream {stream:?}: no clip of {frames} frames, {interval} s apart, fits: a clip is \
         {span:.2} s long, the longest unbroken piece of the {decoded} decoded frames is \
         {longest:.2} s long, and they are {gap:.3} s apart; change clip.frames or clip.interval"
    )]
    NoClip {
        /// Name of the stream.
        stream: String,
        /// Frames in a clip.
        frames: usize,
        /// Seconds between them.
        interval: f64,
        /// Seconds from the first to the last.
        span: f64,
        /// Seconds of the longest piece without a discontinuity.
        longest: f64,
        /// Typical gap between frames, in seconds.
        gap: f64,
        /// Frames decoded so far.
        decoded: u64,
    },
    /// Too many streams were added at once.
    #[error("stream {stream:?} cannot be added now: too many were added at once; try again")]
    Busy {
        /// Name of the stream.
        stream: String,
    },
    /// A whole reading of a stream gave no clip because of what the clips show.
    #[error(
        "stream {stream:?}: every clip was dropped: nothing moves in {still} frames, {cut} are at \
         scene cuts and {light} where the light changes; change clip.skip_static, \
         clip.cut_threshold or clip.light_threshold"
    )]
    NothingKept {
        /// Name of the stream.
        stream: String,
        /// Frames so far in clips in which nothing moves.
        still: u64,
        /// Frames so far in clips with a scene cut.
        cut: u64,
        /// Frames so far in clips in which the light changes.
        light: u64,
    },
    /// The system gave no thread.
    #[error("could not start the thread {name:?}")]
    Thread {
        /// What the thread was for.
        name: String,
        /// The system's answer.
        source: io::Error,
    },
}

/// What is wrong with one file or URI, said so that a person can act.
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
    /// An address that is no URI, or that names a secret which is not there.
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
    /// Media without pictures.
    #[error("has no video stream (audio or subtitles only): remove it from the stream")]
    NoVideo,
    /// The codec is known but nothing installed decodes it.
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
    /// Nothing came for too long.
    #[error("stalled: no frame for {0} s")]
    Stalled(f64),
    /// A live source was opened and gave no frame.
    #[error("gave no frame in {0} s: check the camera, or raise retry.connect")]
    Silent(f64),
    /// A live source ended.
    #[error("went away: its server ended the stream or closed the connection")]
    WentAway,
    /// A live source stayed away for too many attempts.
    #[error("was given up after {attempts} attempts without a frame (retry.attempts): {last}")]
    GivenUp {
        /// How many there were.
        attempts: u64,
        /// What was wrong with the last.
        last: Box<Problem>,
    },
    /// The end came well before the duration that the file states.
    #[error("ended at {end:.2} s of {duration:.2} s: truncated?")]
    Truncated {
        /// Stream time of the end, in seconds.
        end: f64,
        /// Duration stated by the file, in seconds.
        duration: f64,
    },
    /// The stream ended before its first frame.
    #[error("ended without a single frame: it is damaged or cut off")]
    NoFrames,
    /// Decoding failed for another reason.
    #[error("decoding failed in {element}: {message}")]
    Decode {
        /// The GStreamer element that failed.
        element: String,
        /// What it said.
        message: String,
    },
    /// The process that decoded it is gone.
    #[error("decoding crashed: the decoder process died ({0})")]
    Crashed(String),
    /// GStreamer itself, or one of its standard elements, is missing.
    #[error("GStreamer cannot be used: {0}; install gstreamer1.0-plugins-base and -good (Debian)")]
    GStreamer(String),
}

impl Problem {
    /// Names the stream and the file or URI that the problem is about.
    pub(crate) fn of(self, stream: &str, item: &str) -> Error {
        Error::Item { stream: stream.into(), item: item.into(), problem: self }
    }
}

/// A result whose error is [`Error`] unless said otherwise.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the system between processes: what it says is kept.
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
