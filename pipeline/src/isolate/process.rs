//! One decoder process, as its keeper sees it.

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
    control::{Control, Order, Report},
    grants::Grants,
    protocol::Place,
};

/// How long a process may be silent when it was asked whether it is there.
const SILENCE: Duration = Duration::from_secs(10);

/// How long it may take to get ready: GStreamer looks at all plugins when one is new.
const PREPARATION: Duration = Duration::from_secs(120);

/// How often it is asked.
const PING: Duration = Duration::from_secs(1);

/// What a process is told of its surroundings; a name that ends in `_` is a prefix.
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

/// A child that is killed when it is dropped.
#[derive(Debug)]
pub(super) struct Process {
    name: String,
    pub(super) control: Control,
    child: Child,
    grants: Grants,
    born: Instant,
    /// Since when it owes an answer.
    asked: Option<Instant>,
    answered: Instant,
    ready: bool,
    loud: bool,
}

impl Process {
    pub(super) fn start(name: &str, grants: Grants, memory: u64, loud: bool) -> io::Result<Self> {
        let (control, other) = Control::pair()?;
        let mut child = command().stdin(Stdio::from(other)).spawn()?;
        let stderr = child.stderr.take();
        let now = Instant::now();
        let process = Self {
            name: name.into(),
            control,
            child,
            grants,
            born: now,
            asked: Some(now),
            answered: now,
            ready: false,
            loud,
        };
        if let Some(stderr) = stderr {
            let name = process.name.clone();
            let thread = Builder::new().name(format!("stderr-{name}"));
            thread.spawn(move || repeat(&name, stderr))?;
        }
        for path in process.grants.paths() {
            let path = path.as_os_str().as_bytes().to_vec();
            process.control.send(&Order::Grant(path), None)?;
        }
        process.control.send(&Order::Confine { memory }, None)?;
        Ok(process)
    }

    pub(super) fn age(&self) -> Duration {
        self.born.elapsed()
    }

    /// Whether it was granted what this needs, as it is now.
    pub(super) fn may_open(&self, place: &Place) -> bool {
        self.grants.cover(place)
    }

    /// Takes what it says, and asks whether it is there. Tells how it died, if it did.
    pub(super) fn listen(&mut self) -> Option<String> {
        loop {
            match self.control.receive() {
                Ok(Some((report, _))) => self.take(report),
                Ok(None) => break,
                Err(_) => return Some(self.reap()),
            }
        }
        let limit = if self.ready { SILENCE } else { PREPARATION };
        if self.asked.is_some_and(|it| it.elapsed() > limit) {
            self.reap();
            return Some(format!("it said nothing for {} s and was killed", limit.as_secs()));
        }
        if self.asked.is_none() && self.answered.elapsed() > PING {
            self.asked = Some(Instant::now());
            // If it cannot be asked, it is dead, and the next look will find out.
            let _ = self.control.send(&Order::Ping, None);
        }
        None
    }

    fn take(&mut self, report: Report) {
        self.asked = None;
        self.answered = Instant::now();
        let Report::Confined(rights) = report else { return };
        self.ready = true;
        let (name, id, age) = (&self.name, self.child.id(), self.age());
        tracing::debug!("the decoder process {id} of {name} is ready after {age:.2?}: {rights}");
        if self.loud {
            tracing::info!("decoder processes: {rights}");
        }
    }

    /// Waits until there is something to listen to; false at the deadline.
    pub(super) fn wait(&self, until: Instant) -> bool {
        let left = until.saturating_duration_since(Instant::now());
        let left = Timespec { tv_sec: 0, tv_nsec: left.as_nanos().min(999_999_999) as i64 };
        let mut sockets = [PollFd::new(&self.control, PollFlags::IN)];
        // An interrupted wait counts as one that was worth it: the deadline is looked at again.
        poll(&mut sockets, Some(&left)).map_or(Instant::now() < until, |it| it > 0)
    }

    fn reap(&mut self) -> String {
        // Without its control socket it is on its way out, or of no use.
        let _ = self.child.kill();
        self.child.wait().map_or_else(|it| it.to_string(), describe)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.reap();
    }
}

/// This very program, even if the file was replaced since it was started.
fn command() -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg0(env::args_os().next().unwrap_or_else(|| "onward".into()));
    command.arg("decode-worker").stdout(Stdio::null()).stderr(Stdio::piped());
    command.env_clear().envs(env::vars_os().filter(|it| is_told(&it.0)));
    // Each arena reserves 64 MiB, which would count as memory of the process.
    command.env("MALLOC_ARENA_MAX", "4");
    // GIO would look for a proxy in a database that it may not open.
    command.env("GSETTINGS_BACKEND", "memory");
    command
}

fn is_told(name: &OsStr) -> bool {
    let name = name.as_bytes();
    let fits = |known: &&str| match known.strip_suffix('_') {
        Some(_) => name.starts_with(known.as_bytes()),
        None => name == known.as_bytes(),
    };
    ENVIRONMENT.iter().any(fits)
}

/// Logs what a process writes: its own log with the level of each line, and what libraries print.
fn repeat(name: &str, stderr: ChildStderr) {
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
    fn a_process_is_told_no_secret_of_the_surroundings() {
        for told in ["PATH", "HOME", "GST_PLUGIN_PATH", "XDG_CACHE_HOME", "https_proxy"] {
            assert!(is_told(OsStr::new(told)), "{told}");
        }
        for secret in ["CAMERA_PASSWORD", "AWS_SECRET_ACCESS_KEY", "PATHS", "CREDENTIALS_DIRECTORY"]
        {
            assert!(!is_told(OsStr::new(secret)), "{secret}");
        }
    }

    #[test]
    fn a_death_is_described_in_words() {
        let described = [11, 9, 64, 3 << 8].map(|it| describe(ExitStatus::from_raw(it)));
        assert_eq!(described, ["SIGSEGV", "SIGKILL", "signal 64", "exit status 3"]);
    }
}
