//! Resources of the process, from Linux.

use std::fs;

use serde::Serialize;

/// Numbers from `/proc/self`; none where it does not exist.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Process {
    pub(super) resident_bytes: Option<u64>,
    pub(super) open_files: Option<u64>,
    pub(super) threads: Option<u64>,
}

impl Process {
    pub(super) fn read() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let files = fs::read_dir("/proc/self/fd").ok();
        Self {
            resident_bytes: field(&status, "VmRSS:").map(|kib| kib * 1024),
            // Reading the folder opens one file itself.
            open_files: files.map(|files| (files.count() as u64).saturating_sub(1)),
            threads: field(&status, "Threads:"),
        }
    }
}

fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}
