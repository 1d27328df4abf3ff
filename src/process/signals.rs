//! Signals as channels.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::Builder;

use anyhow::Context as _;
use crossbeam_channel::{Receiver, bounded};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals;

/// Exit status of a shell for a program that SIGINT ended.
const INTERRUPTED: i32 = 130;
/// Exit status of a shell for a program that SIGTERM ended.
const TERMINATED: i32 = 143;

/// What signals ask a run to do.
pub(crate) struct Requests {
    /// Disconnected by the first Ctrl-C or SIGTERM. A second one ends the process at once.
    pub(crate) stop: Receiver<Infallible>,
    /// One message for SIGHUP: read the list of streams again.
    pub(crate) reload: Receiver<()>,
}

/// Ends the process on Ctrl-C and SIGTERM when it is the first one of a container. The kernel
/// ignores these signals for such a process unless it has a handler.
///
/// For commands that have nothing to save; the others call [`listen`].
pub(crate) fn end_first_process() -> anyhow::Result<()> {
    if std::process::id() != 1 {
        return Ok(());
    }
    for (signal, status) in [(SIGINT, INTERRUPTED), (SIGTERM, TERMINATED)] {
        let always = Arc::new(AtomicBool::new(true));
        flag::register_conditional_shutdown(signal, status, always)
            .context("could not listen for SIGTERM")?;
    }
    Ok(())
}

/// Starts to listen for signals.
pub(crate) fn listen() -> anyhow::Result<Requests> {
    let mut signals =
        Signals::new([SIGINT, SIGTERM, SIGHUP]).context("could not listen for Ctrl-C")?;
    let (stopper, stop) = bounded(0);
    let (reloads, reload) = bounded(1);
    let listen = move || {
        let mut stopper = Some(stopper);
        for signal in signals.forever() {
            if signal == SIGHUP {
                // If a request is pending, it will read the newest list.
                let _ = reloads.try_send(());
            } else if stopper.take().is_none() {
                std::process::exit(INTERRUPTED);
            }
        }
    };
    let thread = Builder::new().name("signals".to_owned()).spawn(listen);
    thread.context("could not start the thread that listens for Ctrl-C")?;
    Ok(Requests { stop, reload })
}
