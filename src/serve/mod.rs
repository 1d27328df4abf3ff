//! A run seen from outside: a page for people, metrics for Prometheus, probes for supervisors.
//!
//! ```text
//! trainer ──beat, publish──▶ [64, oldest first out] ──▶ thread "serve" ◀──HTTP── /, /metrics, ...
//! ```
//!
//! Nothing here is waited for by the trainer, and nothing that a client does reaches it.

mod history;
mod http;
mod metrics;
mod picture;
mod process;
mod server;
mod snapshot;
mod state;
#[cfg(test)]
mod tests;
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

use self::server::{LISTENER, NEWS, Server};
pub(crate) use self::snapshot::{Event, Pace, Queue, Snapshot, Stream};
use self::state::{Beat, News, Patience, State};

/// News that wait for the server's thread, which takes them within milliseconds. When it is full,
/// the oldest go.
const NEWS_WAITING: usize = 64;

/// The trainer's end of a server. Dropping it ends the server.
#[derive(Debug)]
pub(crate) struct Publisher {
    address: SocketAddr,
    news: Option<Sender<News>>,
    /// The other end of `news`, to make room.
    oldest: Receiver<News>,
    waker: Arc<Waker>,
    thread: Option<JoinHandle<()>>,
}

/// Starts to answer at `address`, with `first` until something newer is published. `waiting` tells
/// how many batches wait for the trainer at the moment of the call.
///
/// # Errors
/// When the address cannot be listened on.
pub(crate) fn start(
    address: SocketAddr,
    first: Snapshot,
    waiting: impl Fn() -> usize + Send + 'static,
) -> anyhow::Result<Publisher> {
    start_with(address, State::new(first, Patience::default(), Box::new(waiting)))
}

fn start_with(address: SocketAddr, state: State) -> anyhow::Result<Publisher> {
    // An address that others can reach is the choice of whoever typed it; there is no other way.
    let mut listener = TcpListener::bind(address).with_context(|| {
        format!("could not listen on {address}: choose another address or port with --listen")
    })?;
    let address = listener.local_addr()?;
    let poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let waker = Arc::new(Waker::new(poll.registry(), NEWS)?);
    let (sender, news) = bounded(NEWS_WAITING);
    let oldest = news.clone();
    let server = Server { poll, listener, news, state, clients: BTreeMap::new(), accepted: 0 };
    let thread = Builder::new().name("serve".into()).spawn(move || {
        if let Err(err) = server.run() {
            error!("the page and the metrics are gone, training goes on: {err}");
        }
    })?;
    Ok(Publisher { address, news: Some(sender), oldest, waker, thread: Some(thread) })
}

impl Publisher {
    /// Where it listens; with the port that the system chose, if the port was 0.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Says that the trainer is alive: it took a batch, or has done `step` steps. Call it at both,
    /// so that waiting for data does not look like a stuck trainer. Never blocks.
    pub(crate) fn beat(&self, step: u64) {
        self.send(News::Beat(Beat { step, time: SystemTime::now(), at: Instant::now() }));
    }

    /// Replaces what is shown. The losses go to the curves when the step is a new one. Never
    /// blocks.
    pub(crate) fn publish(&self, snapshot: Snapshot) {
        self.send(News::Snapshot(Box::new(snapshot)));
    }

    fn send(&self, news: News) {
        let Some(sender) = &self.news else { return };
        if let Err(TrySendError::Full(news)) = sender.try_send(news) {
            self.oldest.try_recv().ok();
            sender.try_send(news).ok();
        }
        self.waker.wake().ok();
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.news = None;
        self.waker.wake().ok();
        // It waits for nothing but the waker, and for no client.
        self.thread.take().map(JoinHandle::join);
    }
}
