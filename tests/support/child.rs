//! The program as a child process that cannot outlive its test.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

/// How long a test waits before it fails. Nothing takes as long, even on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);
/// How often something is looked at that gives no sign of itself.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A process whose standard error is read line by line; dropping it kills the process.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
    seen: String,
    stdout: Option<JoinHandle<String>>,
}

/// A process that ended.
#[derive(Debug)]
pub(crate) struct Done {
    /// Exit status; `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a command to its end.
pub(crate) fn finish(command: Command) -> Done {
    Running::start(command).finish()
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let stdout = thread("stdout", move || {
            let mut text = String::new();
            stdout.read_to_string(&mut text).unwrap();
            text
        });
        let (sender, lines) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        thread("stderr", move || {
            stderr.lines().map_while(Result::ok).try_for_each(|it| sender.send(it)).ok();
        });
        Self { child, lines, seen: String::new(), stdout: Some(stdout) }
    }

    /// Waits for a line on standard error that contains `part`, and returns it.
    pub(crate) fn wait_for(&mut self, part: &str) -> String {
        let until = Instant::now() + PATIENCE;
        while self.next_line(until).unwrap_or_else(|| self.give_up(part)) {
            if let Some(line) = self.seen.lines().next_back().filter(|it| it.contains(part)) {
                return line.to_owned();
            }
        }
        self.give_up(part)
    }

    /// Waits until standard error contains all of these, in any order.
    pub(crate) fn wait_for_all(&mut self, parts: &[&str]) {
        let until = Instant::now() + PATIENCE;
        while let Some(part) = parts.iter().find(|it| !self.seen.contains(**it)) {
            if !self.next_line(until).unwrap_or_else(|| self.give_up(part)) {
                self.give_up(part);
            }
        }
    }

    /// Waits until something holds outside of the process. It is looked at every few moments and
    /// after every line on standard error; a process that ends before that fails the test.
    pub(crate) fn until(&mut self, what: &str, holds: impl Fn() -> bool) {
        let until = Instant::now() + PATIENCE;
        while !holds() {
            let ended = self.next_line(Instant::now() + LOOK_EVERY) == Some(false);
            if (ended && !holds()) || Instant::now() > until {
                self.give_up(what);
            }
        }
    }

    /// The number of its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status().unwrap();
        assert!(sent.success(), "kill -s {name} gave {sent}");
    }

    /// Waits until the process ends.
    pub(crate) fn finish(mut self) -> Done {
        let until = Instant::now() + PATIENCE;
        while self.next_line(until).unwrap_or_else(|| self.give_up("the end")) {}
        let code = self.child.wait().unwrap().code();
        let stdout = self.stdout.take().unwrap().join().unwrap();
        Done { code, stdout, stderr: std::mem::take(&mut self.seen) }
    }

    /// Takes a line of standard error: false at its end, `None` when no line comes in time.
    fn next_line(&mut self, until: Instant) -> Option<bool> {
        match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                self.seen += &(line + "\n");
                Some(true)
            }
            Err(RecvTimeoutError::Disconnected) => Some(false),
            Err(RecvTimeoutError::Timeout) => None,
        }
    }

    fn give_up(&self, what: &str) -> ! {
        panic!("{what:?} did not come; standard error so far:\n{}", self.seen)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Done {
    /// The exit status is this one, and nothing panicked.
    pub(crate) fn ended_with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        assert!(!self.stderr.contains("panicked"), "{self}");
        self
    }

    /// Standard error contains all of these.
    pub(crate) fn complains(self, parts: &[&str]) -> Self {
        parts.iter().for_each(|it| assert!(self.stderr.contains(it), "no {it:?} in\n{self}"));
        self
    }

    /// Standard output contains all of these.
    pub(crate) fn prints(self, parts: &[&str]) -> Self {
        parts.iter().for_each(|it| assert!(self.stdout.contains(it), "no {it:?} in\n{self}"));
        self
    }
}

impl std::fmt::Display for Done {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { code, stdout, stderr } = self;
        write!(f, "exit status {code:?}\n-- stdout --\n{stdout}\n-- stderr --\n{stderr}")
    }
}

fn thread<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    Builder::new().name(name.into()).spawn(work).unwrap()
}
