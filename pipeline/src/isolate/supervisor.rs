//! Keeps the process of one group alive, and hands out connections to it.

use std::{
    os::{fd::AsFd, unix::net::UnixStream},
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::{control::Order, grants::Grants, process::Process, protocol::Open};
use crate::{Problem, SourceConfig};

/// How often the process is looked after when nobody asks for it.
const TICK: Duration = Duration::from_millis(250);

/// A process that lives shorter than this died at once.
const AT_ONCE: Duration = Duration::from_secs(1);

/// The first and the longest delay before another process when they die at once.
const DELAYS: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(5)];

/// How long a process whose connection broke may take to die.
const DYING: Duration = Duration::from_secs(1);

type Opened = Result<(UnixStream, u64), Problem>;

/// What a stream asks.
#[derive(Debug)]
pub(super) enum Ask {
    /// Open this; the answer is a connection and the number of the process behind it.
    Open { open: Box<Open>, reply: Sender<Opened> },
    /// What became of the process with this number?
    Why { process: u64, reply: Sender<String> },
}

#[derive(Debug)]
pub(super) struct Keeper {
    name: String,
    source: Option<SourceConfig>,
    memory: u64,
    /// Whether the rights of the first process are told to everybody.
    loud: bool,
    process: Option<Process>,
    /// Processes so far, and why the last of them that died did.
    started: u64,
    death: String,
    waiting: Vec<(Box<Open>, Sender<Opened>)>,
    /// Processes in a row that died at once.
    short: u32,
    not_before: Instant,
}

impl Keeper {
    /// For the streams of `name`, whose files are those of `source`.
    pub(super) fn new(name: String, source: Option<SourceConfig>, memory: u64, loud: bool) -> Self {
        Self {
            name,
            source,
            memory,
            loud,
            process: None,
            started: 0,
            death: String::new(),
            waiting: Vec::new(),
            short: 0,
            not_before: Instant::now(),
        }
    }

    /// Until the last stream is gone.
    pub(super) fn run(mut self, asked: &Receiver<Ask>) {
        loop {
            match asked.recv_timeout(self.until_next_look()) {
                Ok(Ask::Open { open, reply }) => self.waiting.push((open, reply)),
                // A stream that was stopped does not wait for its answer.
                Ok(Ask::Why { process, reply }) => drop(reply.send(self.why(process))),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.tend();
        }
    }

    fn until_next_look(&self) -> Duration {
        let delayed = self.process.is_none() && !self.waiting.is_empty();
        let delay = self.not_before.saturating_duration_since(Instant::now());
        if delayed { delay.min(TICK) } else { TICK }
    }

    /// Notices a death, starts the next process when it is time, and opens what waits.
    fn tend(&mut self) {
        self.notice_death();
        let wanted = self.started > 0 || !self.waiting.is_empty();
        if self.process.is_none() && wanted && Instant::now() >= self.not_before {
            self.start();
        }
        while self.process.is_some()
            && let Some((open, reply)) = self.waiting.pop()
        {
            // A stream that was stopped does not wait for its connection.
            drop(reply.send(self.open(open)));
        }
    }

    fn start(&mut self) {
        let grants = Grants::of(self.source.as_ref());
        self.started += 1;
        match Process::start(&self.name, grants, self.memory, self.loud) {
            Ok(process) => {
                self.process = Some(process);
                self.loud = false;
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

    fn open(&mut self, open: Box<Open>) -> Opened {
        if self.process.as_ref().is_some_and(|it| !it.may_open(&open.place)) {
            self.end("it was replaced because the files that it may read changed");
            self.start();
        }
        let (own, other) = UnixStream::pair().map_err(Problem::Unreadable)?;
        let Some(process) = &self.process else {
            return Err(Problem::Crashed(self.death.clone()));
        };
        match process.control.send(&Order::Open(open), Some(other.as_fd())) {
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
                return "its thread ended without a word".into();
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

    /// Sets the delay before the next process after one that lived for `age`.
    fn delay(&mut self, age: Duration) {
        self.short = if age < AT_ONCE { self.short + 1 } else { 0 };
        let [first, longest] = DELAYS;
        let delay = match self.short {
            0 | 1 => Duration::ZERO,
            it => first.saturating_mul(1 << (it - 2).min(8)).min(longest),
        };
        self.not_before = Instant::now() + delay;
    }
}
