//! Ctrl-C and SIGTERM as a channel: its disconnection is the signal.

use std::convert::Infallible;

use anyhow::Context as _;
use crossbeam_channel::{Receiver, bounded};

/// Exit status after a second Ctrl-C, as shells give it.
const INTERRUPTED: i32 = 130;

/// Disconnected by the first Ctrl-C, SIGTERM or SIGHUP; a second one exits at once.
pub(crate) fn receiver() -> anyhow::Result<Receiver<Infallible>> {
    let (sender, receiver) = bounded(0);
    let mut sender = Some(sender);
    ctrlc::set_handler(move || {
        if sender.take().is_none() {
            std::process::exit(INTERRUPTED);
        }
    })
    .context("could not listen for Ctrl-C")?;
    Ok(receiver)
}
