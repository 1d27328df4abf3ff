//! Messages between a supervisor and its process, one per packet.

use std::{
    io::{self, ErrorKind, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg,
    sendmsg, socketpair, sockopt,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::protocol::OpenRequest;

/// The longest packet. A config with hundreds of masks takes a tenth of it.
const LONGEST: usize = 64 * 1024;

/// How long sending may block before the other side counts as stuck.
const SEND_LIMIT: Duration = Duration::from_secs(5);

#[derive(Debug, Deserialize, Serialize)]
pub(super) enum WorkerCommand {
    /// A file or folder that the process may read.
    Grant(Vec<u8>),
    /// Give up every other right, and memory above this many MiB.
    Confine { memory: u64 },
    /// Serve a stream over the socket that comes with this message.
    Open(Box<OpenRequest>),
    /// Answer [`WorkerReply::Pong`].
    Ping,
}

#[derive(Debug, Deserialize, Serialize)]
pub(super) enum WorkerReply {
    /// Which rights the process gave up.
    Confined(String),
    Pong,
}

/// One end of the socket between them. When receiving fails, the other end is gone.
#[derive(Debug)]
pub(super) struct Control(OwnedFd);

impl Control {
    /// Two ends. Both are closed when a program is executed.
    pub(super) fn pair() -> io::Result<(Self, OwnedFd)> {
        let (family, kind) = (AddressFamily::UNIX, SocketType::SEQPACKET);
        let (own, other) = socketpair(family, kind, SocketFlags::CLOEXEC, None)?;
        Ok((Self::new(own)?, other))
    }

    pub(super) fn new(socket: OwnedFd) -> io::Result<Self> {
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(SEND_LIMIT))?;
        Ok(Self(socket))
    }

    pub(super) fn send(
        &self,
        message: &impl Serialize,
        socket: Option<BorrowedFd<'_>>,
    ) -> io::Result<()> {
        let bytes = postcard::to_stdvec(message).map_err(io::Error::other)?;
        if bytes.len() > LONGEST {
            return Err(io::Error::other("a stream's configuration is too long"));
        }
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let sockets = socket.as_slice();
        if !sockets.is_empty() {
            ancillary.push(SendAncillaryMessage::ScmRights(sockets));
        }
        sendmsg(&self.0, &[IoSlice::new(&bytes)], &mut ancillary, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// A message and the socket that came with it; none if there is none now.
    pub(super) fn receive<T: DeserializeOwned>(&self) -> io::Result<Option<(T, Option<OwnedFd>)>> {
        let mut bytes = vec![0; LONGEST];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        let received =
            match recvmsg(&self.0, &mut [IoSliceMut::new(&mut bytes)], &mut ancillary, flags) {
                Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
                other => other?,
            };
        if received.bytes == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        if received.flags.contains(ReturnFlags::TRUNC) {
            return Err(io::Error::other("a packet is longer than the limit"));
        }
        let message = postcard::from_bytes(&bytes[..received.bytes]).map_err(io::Error::other)?;
        let sockets = ancillary.drain().filter_map(|it| match it {
            RecvAncillaryMessage::ScmRights(sockets) => Some(sockets),
            _ => None,
        });
        Ok(Some((message, sockets.flatten().next())))
    }
}

impl AsFd for Control {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
