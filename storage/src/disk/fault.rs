//! Kills the process at a chosen point, so that a test can see what a crash there leaves.
//!
//! In a debug build `ONWARD_FAULT=publish.rename:3` kills the process with SIGKILL as it passes the
//! point `publish.rename` for the third time. A release build has no points.

use std::env;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use rustix::process::{Signal, getpid, kill_process};

/// The variable that names a point and says at which passing of it the process dies.
pub const VARIABLE: &str = "ONWARD_FAULT";

/// A place before or after something that lasts: a write, a sync, a rename, a removal.
pub fn point(name: &'static str) {
    if cfg!(debug_assertions) {
        pass(name);
    }
}

/// Where to die, and passings until then.
struct Fault {
    name: String,
    left: AtomicU64,
}

fn pass(name: &str) {
    static FAULT: OnceLock<Option<Fault>> = OnceLock::new();
    let Some(fault) = FAULT.get_or_init(|| env::var(VARIABLE).ok().map(|it| parse(&it))) else {
        return;
    };
    if fault.name == name && fault.left.fetch_sub(1, Ordering::Relaxed) == 1 {
        die();
    }
}

/// Panics where the words are wrong: only tests write them, and one that kills nothing shows
/// nothing.
fn parse(text: &str) -> Fault {
    let fault = text.split_once(':').and_then(|(name, count)| {
        let left = count.parse().ok().filter(|it| *it > 0)?;
        Some(Fault { name: name.to_owned(), left: AtomicU64::new(left) })
    });
    fault.unwrap_or_else(|| panic!("{VARIABLE} is {text:?}, not a point's name, `:` and a count"))
}

fn die() -> ! {
    let _ = kill_process(getpid(), Signal::KILL);
    // The signal may reach another thread first.
    loop {
        thread::park();
    }
}
