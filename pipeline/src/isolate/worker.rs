//! The process that decodes: waits for orders, and for streams that nobody wants any more.

use std::{
    ffi::OsString,
    fs::File,
    io,
    os::{fd::AsFd, unix::ffi::OsStringExt, unix::net::UnixStream},
    path::PathBuf,
    thread::Builder,
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
    process::{Resource, Rlimit, Signal, set_parent_process_death_signal, setrlimit},
    stdio::dup2_stdin,
};

use super::{
    control::{Control, Order, Report},
    protocol::Open,
    sandbox::confine,
    server,
};
use crate::stop::{Stopper, stop};

/// Decodes for another process, which says what over the socket that standard input is, until
/// that process is gone. A program whose streams are isolated calls this, and nothing else, when
/// its only argument is `decode-worker`.
///
/// # Errors
/// When standard input is no such socket: this is not for people.
pub fn decode_worker() -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // A core would hold frames and passwords.
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    let control = Control::new(io::stdin().as_fd().try_clone_to_owned()?)?;
    dup2_stdin(File::open("/dev/null")?)?;
    let mut service = Service { control, grants: Vec::new(), streams: Vec::new() };
    while service.wait()? {}
    Ok(())
}

struct Service {
    control: Control,
    grants: Vec<PathBuf>,
    /// Dropping an entry stops its stream.
    streams: Vec<(UnixStream, Stopper)>,
}

impl Service {
    /// Does what there is to do; false when the parent is gone.
    fn wait(&mut self) -> io::Result<bool> {
        let mut sockets = vec![PollFd::new(&self.control, PollFlags::IN)];
        sockets.extend(self.streams.iter().map(|it| PollFd::new(&it.0, PollFlags::RDHUP)));
        match poll(&mut sockets, None) {
            Err(Errno::INTR) => return Ok(true),
            other => other?,
        };
        let ready: Vec<bool> = sockets.iter().map(|it| !it.revents().is_empty()).collect();
        let mut hung_up = ready[1..].iter();
        self.streams.retain(|_| hung_up.next() != Some(&true));
        if !ready[0] {
            return Ok(true);
        }
        loop {
            match self.control.receive() {
                Ok(Some((order, socket))) => self.obey(order, socket.map(UnixStream::from))?,
                Ok(None) => return Ok(true),
                Err(it) if it.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
                Err(it) => return Err(it),
            }
        }
    }

    fn obey(&mut self, order: Order, socket: Option<UnixStream>) -> io::Result<()> {
        match (order, socket) {
            (Order::Grant(path), _) => self.grants.push(OsString::from_vec(path).into()),
            (Order::Confine { memory }, _) => {
                let rights = confine(&self.grants, memory);
                self.control.send(&Report::Confined(rights), None)?;
            }
            (Order::Open(open), Some(socket)) => self.open(*open, socket)?,
            (Order::Open(_), None) => tracing::warn!("a stream came without a socket"),
            (Order::Ping, _) => self.control.send(&Report::Pong, None)?,
        }
        Ok(())
    }

    fn open(&mut self, open: Open, socket: UnixStream) -> io::Result<()> {
        let (stopper, stop) = stop();
        self.streams.push((socket.try_clone()?, stopper));
        let thread = Builder::new().name(format!("stream-{}", open.stream.name));
        thread.spawn(move || server::serve(open, socket, stop))?;
        Ok(())
    }
}
