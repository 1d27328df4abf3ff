//! Signals as channels.

use std::convert::Infallible;
use std::thread::Builder;

use anyhow::Context as _;
use crossbeam_channel::{Receiver, bounded};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Exit status after a second Ctrl-C, as shells give it.
const INTERRUPTED: i32 = 130;

/// What somebody outside asks of a run.
pub(crate) struct Requests {
    /// Disconnected by the first Ctrl-C or SIGTERM; a second one exits at once.
    pub(crate) stop: Receiver<Infallible>,
    /// One message for SIGHUP: read the list of streams again.
    pub(crate) reload: Receiver<()>,
}

/// Listens for signals from now on.
pub(crate) fn listen() -> anyhow::Result<Requests> {
    let mut signals =
        Signals::new([SIGINT, SIGTERM, SIGHUP]).context("could not listen for Ctrl-C")?;
    let (stopper, stop) = bounded(0);
    let (reloads, reload) = bounded(1);
    let listen = move || {
        let mut stopper = Some(stopper);
        for signal in signals.forever() {
            if signal == SIGHUP {
                // One that waits already will read what is there then.
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
