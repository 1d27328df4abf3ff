//! Processes that a process started, by what Linux says of them.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

/// Decoder processes of a run.
pub(crate) fn decoders(run: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").unwrap().map(|it| it.unwrap().file_name());
    let ids = entries.filter_map(|it| it.to_str()?.parse().ok());
    let mut found: Vec<u32> =
        ids.filter(|it| is_decoder(*it) && parent(*it) == Some(run)).collect();
    found.sort();
    found
}

/// Whether a process lives, waits for no one to reap it, and decodes.
pub(crate) fn is_decoder(id: u32) -> bool {
    // A zombie has no command line.
    arguments(id).get(1).is_some_and(|it| it == "decode-worker")
}

/// The words with which a process was started.
pub(crate) fn arguments(id: u32) -> Vec<String> {
    let line = fs::read_to_string(format!("/proc/{id}/cmdline")).unwrap_or_default();
    line.split_terminator('\0').map(String::from).collect()
}

/// A line of `/proc/ID/status`, or of another of its files.
pub(crate) fn status(id: u32, file: &str, name: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{id}/{file}")).unwrap();
    let line = text.lines().find_map(|it| it.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).trim().into()
}

/// Sends a signal by its name, as often as asked; false if the process was gone before.
pub(crate) fn send(id: u32, signal: &str) -> bool {
    let sent = Command::new("kill").args(["-s", signal, &id.to_string()]).output().unwrap();
    sent.status.success()
}

/// Waits until something holds.
pub(crate) fn eventually(what: &str, holds: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < until, "waited in vain: {what}");
        std::thread::yield_now();
    }
}

fn parent(id: u32) -> Option<u32> {
    let text = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    text.lines().find_map(|it| it.strip_prefix("PPid:")?.trim().parse().ok())
}
