//! What a keeper and its process say to each other, one message a packet.

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

use super::protocol::Open;

/// The longest packet; a config with hundreds of masks is a tenth of it.
const LONGEST: usize = 64 * 1024;

/// How long a packet may find no room before the other side counts as stuck.
const SEND_LIMIT: Duration = Duration::from_secs(5);

#[derive(Debug, Deserialize, Serialize)]
pub(super) enum Order {
    /// A file or folder that will be read.
    Grant(Vec<u8>),
    /// Give up every other right, and memory above so many MiB.
    Confine { memory: u64 },
    /// Serve a stream over the socket that comes along.
    Open(Box<Open>),
    /// Say that you are there.
    Ping,
}

#[derive(Debug, Deserialize, Serialize)]
pub(super) enum Report {
    /// Which rights were given up.
    Confined(String),
    Pong,
}

/// One end of the socket between them. Its other end is gone when receiving fails.
#[derive(Debug)]
pub(super) struct Control(OwnedFd);

impl Control {
    /// Two ends; both are closed in a program that is executed.
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
        let mut along = SendAncillaryBuffer::new(&mut space);
        let sockets = socket.as_slice();
        if !sockets.is_empty() {
            along.push(SendAncillaryMessage::ScmRights(sockets));
        }
        sendmsg(&self.0, &[IoSlice::new(&bytes)], &mut along, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// A message and the socket that came along; none when there is none now.
    pub(super) fn receive<T: DeserializeOwned>(&self) -> io::Result<Option<(T, Option<OwnedFd>)>> {
        let mut bytes = vec![0; LONGEST];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut along = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        let received = match recvmsg(&self.0, &mut [IoSliceMut::new(&mut bytes)], &mut along, flags)
        {
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
            other => other?,
        };
        if received.bytes == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        if received.flags.contains(ReturnFlags::TRUNC) {
            return Err(io::Error::other("a packet of an absurd length"));
        }
        let message = postcard::from_bytes(&bytes[..received.bytes]).map_err(io::Error::other)?;
        let sockets = along.drain().filter_map(|it| match it {
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
