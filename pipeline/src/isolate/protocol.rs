//! Messages between the thread of a stream and the thread that decodes for it.

use std::{
    ffi::OsString,
    io::{self, BufReader, ErrorKind, Read, Write},
    mem,
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        net::UnixStream,
    },
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    CaptureTime, ClipConfig, Fit, Problem, StreamConfig,
    config::Revealed,
    source::{Item, RunStart, SideCounts},
};

/// The longest message, without pixels.
const LONGEST: usize = 1 << 20;

/// Everything that a process needs to open a stream.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct OpenRequest {
    pub(super) location: Location,
    pub(super) stream: StreamConfig,
    pub(super) clip: ClipConfig,
    pub(super) size: [usize; 2],
    pub(super) fit: Fit,
}

/// A file or URI.
#[derive(Debug, Deserialize, Serialize)]
pub(super) enum Location {
    /// A path, which need not be UTF-8.
    File(Vec<u8>),
    /// The real URI, and what is removed from messages about it. The process has neither the
    /// environment nor the files that hold the secrets.
    Uri { uri: String, secrets: Vec<(String, String)> },
}

#[derive(Debug, Deserialize, Serialize)]
pub(super) enum FrameRequest {
    /// The next frame. Of those before it, only these may still be requested.
    Next { held: Vec<u64> },
    /// The pixels of a frame: RGB of the training size.
    Pixels(u64),
}

#[derive(Debug, Deserialize, Serialize)]
pub(super) enum Response {
    /// The source is open.
    Opened,
    Frame(FrameHeader, SideCounts),
    /// There is no further frame.
    End(Option<Problem>, SideCounts),
    /// The pixels follow.
    Pixels,
    /// The frame cannot be scaled.
    Unusable(Problem),
}

/// A frame without its image.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(super) struct FrameHeader {
    pub(super) number: u64,
    pub(super) time: f64,
    pub(super) discontinuity: bool,
    pub(super) captured: Option<CaptureTime>,
    pub(super) run_start: Option<RunStart>,
}

/// Messages over a socket, each after its length.
#[derive(Debug)]
pub(super) struct MessageSocket {
    socket: BufReader<UnixStream>,
    bytes: Vec<u8>,
}

impl Location {
    /// The location of a file or URI.
    ///
    /// # Errors
    /// [`Problem::Address`] when a secret has no value, [`Problem::NotFound`] for a drawn source.
    pub(super) fn of(item: &Item) -> Result<Self, Problem> {
        let revealed = match item {
            Item::File(path) => return Ok(Self::File(path.as_os_str().as_bytes().to_vec())),
            Item::Uri(address) => address.reveal()?,
            Item::Revealed(revealed) => revealed.clone(),
            Item::Synthetic(_) | Item::MovingDigits(_) => return Err(Problem::NotFound),
        };
        let (uri, secrets) = revealed.into_parts();
        Ok(Self::Uri { uri, secrets })
    }

    pub(super) fn item(self) -> Item {
        match self {
            Self::File(path) => Item::File(OsString::from_vec(path).into()),
            Self::Uri { uri, secrets } => Item::Revealed(Revealed::from_parts(uri, secrets)),
        }
    }
}

impl MessageSocket {
    /// Messages over this socket. A wait calls `patient` as often as reads time out.
    pub(super) fn new(socket: UnixStream) -> Self {
        Self { socket: BufReader::new(socket), bytes: Vec::new() }
    }

    /// Sends a message, and the bytes that follow it.
    pub(super) fn send(&mut self, message: &impl Serialize, body: &[u8]) -> io::Result<()> {
        let mut bytes = mem::take(&mut self.bytes);
        bytes.clear();
        bytes.extend([0; 4]);
        let mut bytes = postcard::to_extend(message, bytes).map_err(io::Error::other)?;
        let length = u32::try_from(bytes.len() - 4).map_err(io::Error::other)?;
        bytes[..4].copy_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(body);
        let sent = self.socket.get_mut().write_all(&bytes);
        self.bytes = bytes;
        sent
    }

    /// Waits for a message as long as `patient` returns true; none when it returned false first.
    pub(super) fn receive<T: DeserializeOwned>(
        &mut self,
        patient: &dyn Fn() -> bool,
    ) -> io::Result<Option<T>> {
        let mut length = [0; 4];
        if !self.fill(&mut length, patient)? {
            return Ok(None);
        }
        let length = u32::from_le_bytes(length) as usize;
        if length > LONGEST {
            return Err(io::Error::other("a message is longer than the limit"));
        }
        let mut bytes = mem::take(&mut self.bytes);
        bytes.resize(length, 0);
        let filled = self.fill(&mut bytes, patient);
        let message = match filled {
            Ok(true) => postcard::from_bytes(&bytes).map(Some).map_err(io::Error::other),
            Ok(false) => Ok(None),
            Err(error) => Err(error),
        };
        self.bytes = bytes;
        message
    }

    /// Fills `bytes`; false when `patient` returned false first.
    pub(super) fn fill(
        &mut self,
        bytes: &mut [u8],
        patient: &dyn Fn() -> bool,
    ) -> io::Result<bool> {
        let mut filled = 0;
        while filled < bytes.len() {
            match self.socket.read(&mut bytes[filled..]) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(read) => filled += read,
                Err(it) if it.kind() == ErrorKind::Interrupted => {}
                Err(it) if it.kind() == ErrorKind::WouldBlock => {
                    if !patient() {
                        return Ok(false);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}
