//! Keeps one worker process alive, and opens connections to it.

use std::{
    os::{fd::AsFd, unix::net::UnixStream},
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::{
    control::WorkerCommand, grants::FileGrants, process::WorkerProcess, protocol::OpenRequest,
};
use crate::{Problem, SourceConfig};

/// How often the process is checked when there is no request.
const CHECK_INTERVAL: Duration = Duration::from_millis(250);

/// A process that lives shorter than this died at once.
const AT_ONCE: Duration = Duration::from_secs(1);

/// The first and the longest delay before the next process when they die at once.
const DELAYS: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(5)];

/// How long a process whose connection broke may take to die.
const DYING: Duration = Duration::from_secs(1);

type Opened = Result<(UnixStream, u64), Problem>;

/// A request of a stream.
#[derive(Debug)]
pub(super) enum WorkerRequest {
    /// Open this. The answer is a connection, and the number of the process behind it.
    Open { open: Box<OpenRequest>, reply: Sender<Opened> },
    /// Why did the process with this number die?
    Why { process: u64, reply: Sender<String> },
}

#[derive(Debug)]
pub(super) struct Supervisor {
    name: String,
    source: Option<SourceConfig>,
    memory: u64,
    /// Whether to log the rights of the next process at level info.
    announce: bool,
    process: Option<WorkerProcess>,
    /// Number of processes so far, and why the last of them died.
    started: u64,
    death: String,
    waiting: Vec<(Box<OpenRequest>, Sender<Opened>)>,
    /// Processes in a row that died at once.
    died_at_once: u32,
    not_before: Instant,
}

impl Supervisor {
    /// For the streams named `name`, which may read the files of `source`.
    pub(super) fn new(
        name: String,
        source: Option<SourceConfig>,
        memory: u64,
        announce: bool,
    ) -> Self {
        Self {
            name,
            source,
            memory,
            announce,
            process: None,
            started: 0,
            death: String::new(),
            waiting: Vec::new(),
            died_at_once: 0,
            not_before: Instant::now(),
        }
    }

    /// Runs until the last stream is gone.
    pub(super) fn run(mut self, requests: &Receiver<WorkerRequest>) {
        loop {
            match requests.recv_timeout(self.until_next_check()) {
                Ok(WorkerRequest::Open { open, reply }) => self.waiting.push((open, reply)),
                // A stopped stream does not wait for its answer.
                Ok(WorkerRequest::Why { process, reply }) => drop(reply.send(self.why(process))),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.update();
        }
    }

    fn until_next_check(&self) -> Duration {
        let delayed = self.process.is_none() && !self.waiting.is_empty();
        let delay = self.not_before.saturating_duration_since(Instant::now());
        if delayed { delay.min(CHECK_INTERVAL) } else { CHECK_INTERVAL }
    }

    /// Notices a death, starts the next process when it is due, and opens what waits.
    fn update(&mut self) {
        self.notice_death();
        let wanted = self.started > 0 || !self.waiting.is_empty();
        if self.process.is_none() && wanted && Instant::now() >= self.not_before {
            self.start();
        }
        while self.process.is_some()
            && let Some((open, reply)) = self.waiting.pop()
        {
            // A stopped stream does not wait for its connection.
            drop(reply.send(self.open(open)));
        }
    }

    fn start(&mut self) {
        let grants = FileGrants::of(self.source.as_ref());
        self.started += 1;
        match WorkerProcess::start(&self.name, grants, self.memory, self.announce) {
            Ok(process) => {
                self.process = Some(process);
                self.announce = false;
            }
            Err(error) => {
                self.delay(Duration::ZERO);
                let why = format!("it could not be started: {error}");
                for (_, reply) in self.waiting.drain(..) {
                    drop(reply.send(Err(Problem::Crashed(why.clone()))));
                }
                self.death = why;
            }
        }
    }

    fn open(&mut self, open: Box<OpenRequest>) -> Opened {
        if self.process.as_ref().is_some_and(|it| !it.may_open(&open.location)) {
            self.end("it was replaced because its files changed");
            self.start();
        }
        let (own, other) = UnixStream::pair().map_err(Problem::Unreadable)?;
        let Some(process) = &self.process else {
            return Err(Problem::Crashed(self.death.clone()));
        };
        match process.control.send(&WorkerCommand::Open(open), Some(other.as_fd())) {
            Ok(()) => Ok((own, self.started)),
            Err(error) => {
                self.notice_death();
                let why =
                    if self.process.is_none() { self.death.clone() } else { error.to_string() };
                Err(Problem::Crashed(why))
            }
        }
    }

    fn why(&mut self, process: u64) -> String {
        if process == self.started {
            let until = Instant::now() + DYING;
            while let Some(it) = &self.process
                && it.wait(until)
            {
                self.notice_death();
            }
            if self.process.is_some() {
                return "its thread ended without a message".into();
            }
        }
        self.death.clone()
    }

    fn notice_death(&mut self) {
        let Some(process) = &mut self.process else { return };
        let Some(death) = process.listen() else { return };
        let age = process.age();
        self.process = None;
        self.delay(age);
        tracing::info!("the decoder process of {} died ({death})", self.name);
        self.death = death;
    }

    /// Ends a process that did nothing wrong.
    fn end(&mut self, why: &str) {
        self.process = None;
        self.death = why.into();
    }

    /// Sets the delay before the next process, given the age of the one that died.
    fn delay(&mut self, age: Duration) {
        self.died_at_once = if age < AT_ONCE { self.died_at_once + 1 } else { 0 };
        let [first, longest] = DELAYS;
        let delay = match self.died_at_once {
            0 | 1 => Duration::ZERO,
            it => first.saturating_mul(1 << (it - 2).min(8)).min(longest),
        };
        self.not_before = Instant::now() + delay;
    }
}
