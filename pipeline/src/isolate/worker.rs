//! The worker process: executes commands of its supervisor, one thread per stream.

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
    control::{Control, WorkerCommand, WorkerReply},
    protocol::OpenRequest,
    sandbox::confine,
    server,
};
use crate::stop::{Stopper, stop};

/// Runs this process as a decoder: takes commands over the socket that is its standard input, until
/// the parent is gone. A program whose streams are isolated must call this, and nothing else, when
/// its only argument is `decode-worker`.
///
/// # Errors
/// When standard input is not such a socket: this is not a command for people.
pub fn decode_worker() -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // A core dump would hold frames and passwords.
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    let control = Control::new(io::stdin().as_fd().try_clone_to_owned()?)?;
    dup2_stdin(File::open("/dev/null")?)?;
    let mut worker = Worker { control, grants: Vec::new(), streams: Vec::new() };
    while worker.wait()? {}
    Ok(())
}

struct Worker {
    control: Control,
    grants: Vec<PathBuf>,
    /// Dropping an entry stops its stream.
    streams: Vec<(UnixStream, Stopper)>,
}

impl Worker {
    /// Executes what there is; false when the parent is gone.
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
                Ok(Some((order, socket))) => self.execute(order, socket.map(UnixStream::from))?,
                Ok(None) => return Ok(true),
                Err(it) if it.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
                Err(it) => return Err(it),
            }
        }
    }

    fn execute(&mut self, order: WorkerCommand, socket: Option<UnixStream>) -> io::Result<()> {
        match (order, socket) {
            (WorkerCommand::Grant(path), _) => self.grants.push(OsString::from_vec(path).into()),
            (WorkerCommand::Confine { memory }, _) => {
                let rights = confine(&self.grants, memory);
                self.control.send(&WorkerReply::Confined(rights), None)?;
            }
            (WorkerCommand::Open(open), Some(socket)) => self.open(*open, socket)?,
            (WorkerCommand::Open(_), None) => tracing::warn!("a stream came without a socket"),
            (WorkerCommand::Ping, _) => self.control.send(&WorkerReply::Pong, None)?,
        }
        Ok(())
    }

    fn open(&mut self, open: OpenRequest, socket: UnixStream) -> io::Result<()> {
        let (stopper, stop) = stop();
        self.streams.push((socket.try_clone()?, stopper));
        let thread = Builder::new().name(format!("stream-{}", open.stream.name));
        thread.spawn(move || server::serve(open, socket, stop))?;
        Ok(())
    }
}
