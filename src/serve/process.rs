//! What the process costs its machine, as Linux says.

use std::fs;

use serde::Serialize;

/// Numbers of `/proc/self`; none where it is not there.
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
            // Reading the folder holds one of them.
            open_files: files.map(|it| (it.count() as u64).saturating_sub(1)),
            threads: field(&status, "Threads:"),
        }
    }
}

fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|it| it.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}
