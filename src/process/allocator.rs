//! How the process takes memory from the system.

use std::env;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// glibc's variable for the number of its heaps.
const ARENAS: &str = "MALLOC_ARENA_MAX";

/// Few heaps for many threads. By default glibc has eight a core, each of which keeps what was
/// freed in it; every reconnect of a camera brings a dozen threads up and down, so that a process
/// grows for hours until all heaps have seen all threads.
const FEW: &str = "2";

/// Starts the program again with few heaps, in the same process, unless somebody has chosen: the
/// number is read once, before `main`.
pub(crate) fn settle() {
    if env::var_os(ARENAS).is_some() {
        return;
    }
    let Ok(program) = env::current_exe() else { return };
    let mut arguments = env::args_os();
    let name = arguments.next().unwrap_or_default();
    // It only returns when it failed, and then all goes on with many heaps.
    let error = Command::new(program).arg0(name).args(arguments).env(ARENAS, FEW).exec();
    tracing::debug!("going on with the system's number of heaps: {error}");
}
