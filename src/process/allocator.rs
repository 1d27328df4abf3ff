//! Limits the number of heaps that glibc's allocator creates.

use std::env;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// glibc's variable for the number of its heaps.
const ARENAS: &str = "MALLOC_ARENA_MAX";

/// Few heaps for many threads. By default glibc creates eight per core, and each heap keeps what
/// was freed in it. Every reconnect of a camera starts and ends a dozen threads, so that the
/// process would grow for hours until all threads have used all heaps.
const FEW: &str = "2";

/// Restarts the program in the same process with few heaps, unless the variable is set already.
/// glibc reads it only once, before `main`.
///
/// The process keeps its id, also as the first process of a container, and has no other thread,
/// no child and no signal handler yet.
pub(crate) fn limit_heaps() {
    if env::var_os(ARENAS).is_some() {
        return;
    }
    let Ok(program) = env::current_exe() else { return };
    let mut arguments = env::args_os();
    let name = arguments.next().unwrap_or_default();
    // `exec` returns only if it failed. The program then runs with the default number of heaps.
    let error = Command::new(program).arg0(name).args(arguments).env(ARENAS, FEW).exec();
    tracing::debug!("running with the default number of heaps: {error}");
}
