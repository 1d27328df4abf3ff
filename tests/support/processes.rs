//! Processes that are not the test's own children, as Linux shows them.

use std::fs;
use std::os::fd::OwnedFd;
use std::process::Command;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::child::PATIENCE;

/// How long a process may take to die of a signal before the signal is sent again.
const DEATH: Duration = Duration::from_millis(50);

/// The decoder processes of a run, in the order of their starts.
pub(crate) fn decoders(run: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").unwrap().map(|it| it.unwrap().file_name());
    let ids = entries.filter_map(|it| it.to_str()?.parse().ok());
    let mut found: Vec<u32> =
        ids.filter(|it| is_decoder(*it) && parent(*it) == Some(run)).collect();
    found.sort();
    found
}

/// Whether a process decodes, and has not ended.
pub(crate) fn is_decoder(id: u32) -> bool {
    // A zombie has no command line.
    arguments(id).get(1).is_some_and(|it| it == "decode-worker")
}

/// The command line of a process.
pub(crate) fn arguments(id: u32) -> Vec<String> {
    let line = fs::read_to_string(format!("/proc/{id}/cmdline")).unwrap_or_default();
    line.split_terminator('\0').map(String::from).collect()
}

/// What follows `name` in `/proc/ID/FILE`.
pub(crate) fn status(id: u32, file: &str, name: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{id}/{file}")).unwrap();
    let line = text.lines().find_map(|it| it.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).trim().into()
}

/// Sends a signal by its name; false if the process had ended before.
pub(crate) fn send(id: u32, signal: &str) -> bool {
    let sent = Command::new("kill").args(["-s", signal, &id.to_string()]).output().unwrap();
    sent.status.success()
}

/// Sends a signal until the process has ended: the handler of Rust's standard library takes the
/// first SIGSEGV that no memory access caused.
pub(crate) fn kill(id: u32, signal: &str) {
    let Some(process) = open(id) else { return };
    let times = PATIENCE.as_millis() / DEATH.as_millis();
    let dead = (0..times).any(|_| {
        send(id, signal);
        ends_within(&process, DEATH)
    });
    assert!(dead, "process {id} survived {times} signals {signal}");
}

/// Waits until a process has ended.
pub(crate) fn wait_for_end(id: u32) {
    let Some(process) = open(id) else { return };
    assert!(ends_within(&process, PATIENCE), "process {id} has not ended");
}

/// A process that can be waited for; none if it is gone.
fn open(id: u32) -> Option<OwnedFd> {
    let id = Pid::from_raw(id.try_into().unwrap()).unwrap();
    match pidfd_open(id, PidfdFlags::empty()) {
        Err(Errno::SRCH) => None,
        opened => Some(opened.unwrap()),
    }
}

fn ends_within(process: &OwnedFd, patience: Duration) -> bool {
    let timeout = Timespec::try_from(patience).unwrap();
    poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&timeout)).unwrap() > 0
}

fn parent(id: u32) -> Option<u32> {
    let text = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    text.lines().find_map(|it| it.strip_prefix("PPid:")?.trim().parse().ok())
}
