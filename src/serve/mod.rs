//! The state of a run over HTTP: a page for people, metrics for Prometheus, and health checks.
//!
//! ```text
//! trainer ──updates──▶ [64, drops the oldest] ──▶ thread "serve" ◀──HTTP── /, /metrics, ...
//! ```
//!
//! The trainer never waits for this module, and no client can affect it.

mod history;
mod http;
mod metrics;
mod process;
mod routes;
mod server;
mod snapshot;
mod state;
#[cfg(test)]
mod tests;
mod thumbnail;
pub(crate) mod view;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::{Instant, SystemTime};

use anyhow::Context as _;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use mio::net::TcpListener;
use mio::{Interest, Poll, Waker};
use tracing::error;

use self::server::{LISTENER, Server, UPDATES};
pub(crate) use self::snapshot::{Event, Queue, Snapshot, Stream};
use self::state::{Activity, ServerState, StuckAfter, Update};

/// Updates that wait for the server's thread, which takes them within milliseconds. When there are
/// more, the oldest are dropped.
const QUEUED_UPDATES: usize = 64;

/// Sends updates to the server. Dropping it ends the server.
#[derive(Debug)]
pub(crate) struct Publisher {
    address: SocketAddr,
    updates: Option<Sender<Update>>,
    /// The other end of the channel, to drop the oldest update.
    oldest: Receiver<Update>,
    waker: Arc<Waker>,
    thread: Option<JoinHandle<()>>,
}

/// Starts to serve `first` at `address`, until something newer is published. `queued_batches` gives
/// the number of batches that wait for the trainer at the moment.
///
/// # Errors
/// The address cannot be used.
pub(crate) fn start(
    address: SocketAddr,
    first: Snapshot,
    queued_batches: impl Fn() -> usize + Send + 'static,
) -> anyhow::Result<Publisher> {
    let state = ServerState::new(first, StuckAfter::default(), Box::new(queued_batches));
    start_with(address, state)
}

fn start_with(address: SocketAddr, state: ServerState) -> anyhow::Result<Publisher> {
    // An address that others can reach is the user's choice: there is no default address.
    let mut listener = TcpListener::bind(address).with_context(|| {
        format!("could not listen on {address}: choose another address or port with --listen")
    })?;
    let address = listener.local_addr()?;
    let poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let waker = Arc::new(Waker::new(poll.registry(), UPDATES)?);
    let (sender, updates) = bounded(QUEUED_UPDATES);
    let oldest = updates.clone();
    let server = Server { poll, listener, updates, state, clients: BTreeMap::new(), accepted: 0 };
    let thread = Builder::new().name("serve".into()).spawn(move || {
        if let Err(err) = server.run() {
            error!("the page and the metrics are no longer served, and training continues: {err}");
        }
    })?;
    Ok(Publisher { address, updates: Some(sender), oldest, waker, thread: Some(thread) })
}

impl Publisher {
    /// The address that it listens on, with the port that the system chose if the port was 0.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Says that the trainer took a batch, or has done `step` steps. Call it at both, so that a
    /// trainer that waits for data does not look stuck. Never blocks.
    pub(crate) fn mark_active(&self, step: u64) {
        let activity = Activity { step, time: SystemTime::now(), instant: Instant::now() };
        self.send(Update::Activity(activity));
    }

    /// Replaces the snapshot. The losses of a new step are added to the curves. Never blocks.
    pub(crate) fn publish(&self, snapshot: Snapshot) {
        self.send(Update::Snapshot(Box::new(snapshot)));
    }

    fn send(&self, update: Update) {
        let Some(sender) = &self.updates else { return };
        if let Err(TrySendError::Full(update)) = sender.try_send(update) {
            self.oldest.try_recv().ok();
            sender.try_send(update).ok();
        }
        self.waker.wake().ok();
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.updates = None;
        self.waker.wake().ok();
        // The thread waits for no client, so that the join is quick.
        self.thread.take().map(JoinHandle::join);
    }
}
