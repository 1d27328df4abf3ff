//! Kills the process at a chosen point, so that a test can check what a crash there leaves behind.
//!
//! In a debug build, `ONWARD_FAULT=publish.rename:3` kills the process with SIGKILL when it reaches
//! the point `publish.rename` for the third time. A release build has no points.

use std::env;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use rustix::process::{Signal, getpid, kill_process};

/// The environment variable that names a point and the visit to it at which the process is killed.
pub const VARIABLE: &str = "ONWARD_FAULT";

/// Marks a place before or after a lasting change: a write, a sync, a rename, a removal.
pub fn point(name: &'static str) {
    if cfg!(debug_assertions) {
        visit(name);
    }
}

/// The point at which to kill the process, and the visits left until then.
struct Fault {
    name: String,
    left: AtomicU64,
}

fn visit(name: &str) {
    static FAULT: OnceLock<Option<Fault>> = OnceLock::new();
    let Some(fault) = FAULT.get_or_init(|| env::var(VARIABLE).ok().map(|text| parse(&text))) else {
        return;
    };
    if fault.name == name && fault.left.fetch_sub(1, Ordering::Relaxed) == 1 {
        kill();
    }
}

/// Panics on text that it cannot parse: only tests set the variable, and a test that kills nothing
/// proves nothing.
fn parse(text: &str) -> Fault {
    let fault = text.split_once(':').and_then(|(name, count)| {
        let left = count.parse().ok().filter(|count| *count > 0)?;
        Some(Fault { name: name.to_owned(), left: AtomicU64::new(left) })
    });
    fault.unwrap_or_else(|| panic!("{VARIABLE} is {text:?}: write a point's name, `:` and a count"))
}

fn kill() -> ! {
    let _ = kill_process(getpid(), Signal::KILL);
    // The signal may reach another thread first.
    loop {
        thread::park();
    }
}
