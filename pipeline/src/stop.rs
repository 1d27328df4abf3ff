//! A stop signal: dropping the [`Stopper`] disconnects a channel that carries no message.

use std::{convert::Infallible, time::Duration};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

/// Stops everything that holds the other end when it is dropped.
#[derive(Debug)]
pub(crate) struct Stopper(#[expect(dead_code, reason = "held for its drop")] Sender<Infallible>);

/// Tells whether the [`Stopper`] was dropped.
#[derive(Clone, Debug)]
pub(crate) struct Stop(Receiver<Infallible>);

pub(crate) fn stop() -> (Stopper, Stop) {
    let (sender, receiver) = bounded(0);
    (Stopper(sender), Stop(receiver))
}

impl Stop {
    pub(crate) fn is_set(&self) -> bool {
        self.sleep(Duration::ZERO)
    }

    /// Sleeps. Returns early, and true, when the stopper is dropped.
    pub(crate) fn sleep(&self, duration: Duration) -> bool {
        self.0.recv_timeout(duration) == Err(RecvTimeoutError::Disconnected)
    }

    /// Becomes ready when the stopper is dropped; for `select!`.
    pub(crate) fn signal(&self) -> &Receiver<Infallible> {
        &self.0
    }
}
