//! One worker process, as its supervisor sees it.

use std::{
    env,
    ffi::OsStr,
    io::{self, BufRead, BufReader},
    os::unix::{
        ffi::OsStrExt,
        process::{CommandExt, ExitStatusExt},
    },
    process::{Child, ChildStderr, Command, ExitStatus, Stdio},
    thread::Builder,
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{
    control::{Control, WorkerCommand, WorkerReply},
    grants::FileGrants,
    protocol::Location,
};

/// How long a process may take to answer a ping.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long it may take to get ready. GStreamer scans all plugins when one is new.
const START_TIMEOUT: Duration = Duration::from_secs(120);

/// How often it is pinged.
const PING_INTERVAL: Duration = Duration::from_secs(1);

/// Environment variables that a process inherits. A name that ends in `_` is a prefix.
const ENVIRONMENT: [&str; 16] = [
    "PATH",
    "HOME",
    "LANG",
    "TZ",
    "LD_LIBRARY_PATH",
    "XDG_",
    "GST_",
    "LIBVA_",
    "CUDA_",
    "NVIDIA_",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
];

/// A child that is killed when this is dropped.
#[derive(Debug)]
pub(super) struct WorkerProcess {
    name: String,
    pub(super) control: Control,
    child: Child,
    grants: FileGrants,
    started: Instant,
    /// Since when it owes an answer.
    pinged: Option<Instant>,
    answered: Instant,
    ready: bool,
    announce: bool,
}

impl WorkerProcess {
    pub(super) fn start(
        name: &str,
        grants: FileGrants,
        memory: u64,
        announce: bool,
    ) -> io::Result<Self> {
        let (control, other) = Control::pair()?;
        let mut child = command().stdin(Stdio::from(other)).spawn()?;
        let stderr = child.stderr.take();
        let now = Instant::now();
        let process = Self {
            name: name.into(),
            control,
            child,
            grants,
            started: now,
            pinged: Some(now),
            answered: now,
            ready: false,
            announce,
        };
        if let Some(stderr) = stderr {
            let name = process.name.clone();
            let thread = Builder::new().name(format!("stderr-{name}"));
            thread.spawn(move || log_lines(&name, stderr))?;
        }
        for path in process.grants.paths() {
            let path = path.as_os_str().as_bytes().to_vec();
            process.control.send(&WorkerCommand::Grant(path), None)?;
        }
        process.control.send(&WorkerCommand::Confine { memory }, None)?;
        Ok(process)
    }

    pub(super) fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// Whether it was granted what this needs, as it is now.
    pub(super) fn may_open(&self, location: &Location) -> bool {
        self.grants.cover(location)
    }

    /// Takes its messages, and pings it. Returns how it died, if it did.
    pub(super) fn listen(&mut self) -> Option<String> {
        loop {
            match self.control.receive() {
                Ok(Some((report, _))) => self.take(report),
                Ok(None) => break,
                Err(_) => return Some(self.reap()),
            }
        }
        let limit = if self.ready { ANSWER_TIMEOUT } else { START_TIMEOUT };
        if self.pinged.is_some_and(|it| it.elapsed() > limit) {
            self.reap();
            return Some(format!("it did not answer for {} s and was killed", limit.as_secs()));
        }
        if self.pinged.is_none() && self.answered.elapsed() > PING_INTERVAL {
            self.pinged = Some(Instant::now());
            // If this fails, the process is dead, and the next call notices.
            let _ = self.control.send(&WorkerCommand::Ping, None);
        }
        None
    }

    fn take(&mut self, report: WorkerReply) {
        self.pinged = None;
        self.answered = Instant::now();
        let WorkerReply::Confined(rights) = report else { return };
        self.ready = true;
        let (name, id, age) = (&self.name, self.child.id(), self.age());
        tracing::debug!("decoder process {id} of {name} is ready after {age:.2?}: {rights}");
        if self.announce {
            tracing::info!("decoder processes: {rights}");
        }
    }

    /// Waits until there is a message; false at the deadline.
    pub(super) fn wait(&self, until: Instant) -> bool {
        let left = until.saturating_duration_since(Instant::now());
        let left = Timespec { tv_sec: 0, tv_nsec: left.as_nanos().min(999_999_999) as i64 };
        let mut sockets = [PollFd::new(&self.control, PollFlags::IN)];
        // An interrupted wait counts as a message: the caller looks at the deadline again.
        poll(&mut sockets, Some(&left)).map_or(Instant::now() < until, |it| it > 0)
    }

    fn reap(&mut self) -> String {
        // Without its control socket the process is ending, or of no use.
        let _ = self.child.kill();
        self.child.wait().map_or_else(|it| it.to_string(), describe)
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        self.reap();
    }
}

/// This program, even if its file was replaced since it was started.
fn command() -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg0(env::args_os().next().unwrap_or_else(|| "onward".into()));
    command.arg("decode-worker").stdout(Stdio::null()).stderr(Stdio::piped());
    command.env_clear().envs(env::vars_os().filter(|it| is_inherited(&it.0)));
    // Each arena reserves 64 MiB, which would count as memory of the process.
    command.env("MALLOC_ARENA_MAX", "4");
    // GIO would otherwise look for a proxy in a database that it may not open.
    command.env("GSETTINGS_BACKEND", "memory");
    command
}

fn is_inherited(name: &OsStr) -> bool {
    let name = name.as_bytes();
    let fits = |known: &&str| match known.strip_suffix('_') {
        Some(_) => name.starts_with(known.as_bytes()),
        None => name == known.as_bytes(),
    };
    ENVIRONMENT.iter().any(fits)
}

/// Logs what a process writes to standard error: its own log lines with their level, and what
/// libraries print.
fn log_lines(name: &str, stderr: ChildStderr) {
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        let (level, text) = line.trim_start().split_once(' ').unwrap_or_default();
        match level {
            "ERROR" => tracing::error!("decoder of {name}: {text}"),
            "INFO" => tracing::info!("decoder of {name}: {text}"),
            "DEBUG" | "TRACE" => tracing::debug!("decoder of {name}: {text}"),
            "WARN" => tracing::warn!("decoder of {name}: {text}"),
            _ => tracing::warn!("decoder of {name}: {line}"),
        }
    }
}

fn describe(status: ExitStatus) -> String {
    const NAMES: [(i32, &str); 9] = [
        (libc::SIGILL, "SIGILL"),
        (libc::SIGTRAP, "SIGTRAP"),
        (libc::SIGABRT, "SIGABRT"),
        (libc::SIGBUS, "SIGBUS"),
        (libc::SIGFPE, "SIGFPE"),
        (libc::SIGKILL, "SIGKILL"),
        (libc::SIGSEGV, "SIGSEGV"),
        (libc::SIGTERM, "SIGTERM"),
        (libc::SIGSYS, "SIGSYS"),
    ];
    match (status.signal(), status.code()) {
        (Some(signal), _) => match NAMES.iter().find(|it| it.0 == signal) {
            Some((_, name)) => (*name).into(),
            None => format!("signal {signal}"),
        },
        (None, Some(code)) => format!("exit status {code}"),
        (None, None) => status.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_inherited_no_secret_of_the_surroundings() {
        for name in ["PATH", "HOME", "GST_PLUGIN_PATH", "XDG_CACHE_HOME", "https_proxy"] {
            assert!(is_inherited(OsStr::new(name)), "{name}");
        }
        for secret in ["CAMERA_PASSWORD", "AWS_SECRET_ACCESS_KEY", "PATHS", "CREDENTIALS_DIRECTORY"]
        {
            assert!(!is_inherited(OsStr::new(secret)), "{secret}");
        }
    }

    #[test]
    fn an_exit_status_is_described_in_words() {
        let described = [11, 9, 64, 3 << 8].map(|it| describe(ExitStatus::from_raw(it)));
        assert_eq!(described, ["SIGSEGV", "SIGKILL", "signal 64", "exit status 3"]);
    }
}
