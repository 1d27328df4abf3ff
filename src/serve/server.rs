//! The thread that serves all clients.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, TryRecvError};
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};

use super::http::Connection;
use super::state::{ServerState, Update};

pub(super) const LISTENER: Token = Token(0);
pub(super) const UPDATES: Token = Token(1);
const FIRST_CLIENT: usize = 2;

/// The most clients at a time. One more replaces the oldest.
const CLIENTS: usize = 64;
/// How often slow clients are disconnected, and a listener that failed is tried again.
const CLEAN_UP_EVERY: Duration = Duration::from_secs(1);

/// Serves all clients in one thread that never waits for any of them: a client that sends or reads
/// nothing costs a file descriptor for a few seconds. An async runtime would do no more, and would
/// add threads to those that train.
pub(super) struct Server {
    pub(super) poll: Poll,
    pub(super) listener: TcpListener,
    pub(super) updates: Receiver<Update>,
    pub(super) state: ServerState,
    pub(super) clients: BTreeMap<usize, Connection>,
    pub(super) accepted: usize,
}

impl Server {
    /// Serves until the sender of the updates is dropped.
    pub(super) fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(CLIENTS);
        while self.apply_updates() {
            match self.poll.poll(&mut events, Some(CLEAN_UP_EVERY)) {
                Err(err) if err.kind() != io::ErrorKind::Interrupted => return Err(err),
                _ => {}
            }
            for event in &events {
                self.serve(event.token().0);
            }
            self.accept();
            let now = Instant::now();
            self.clients.retain(|_, client| !client.is_late(now));
        }
        Ok(())
    }

    /// Applies all updates. False when no more will come.
    fn apply_updates(&mut self) -> bool {
        loop {
            match self.updates.try_recv() {
                Ok(update) => self.state.apply(update),
                Err(err) => return err == TryRecvError::Empty,
            }
        }
    }

    /// Accepts all waiting clients. An error is either the client's, or temporary (no free descriptor).
    fn accept(&mut self) {
        while let Ok((mut socket, _)) = self.listener.accept() {
            let id = FIRST_CLIENT + self.accepted;
            self.accepted += 1;
            let interest = Interest::READABLE | Interest::WRITABLE;
            if self.poll.registry().register(&mut socket, Token(id), interest).is_err() {
                continue;
            }
            if self.clients.len() == CLIENTS {
                self.clients.pop_first();
            }
            self.clients.insert(id, Connection::new(socket));
            // There is no event for what it sent before it was registered.
            self.serve(id);
        }
    }

    fn serve(&mut self, id: usize) {
        let Self { clients, state, .. } = self;
        let is_open = clients.get_mut(&id).map(|client| client.advance(|path| state.respond(path)));
        if is_open == Some(false) {
            clients.remove(&id);
        }
    }
}
