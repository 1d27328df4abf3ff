//! The thread that answers.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, TryRecvError};
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};

use super::http::Connection;
use super::state::{News, State};

pub(super) const LISTENER: Token = Token(0);
pub(super) const NEWS: Token = Token(1);
const FIRST_CLIENT: usize = 2;

/// Clients at a time. One more takes the place of the one that has been there longest.
const CLIENTS: usize = 64;
/// How often clients that take too long are looked for, and a listener that failed is asked anew.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// All clients, in one thread that never waits for any of them: a client that sends nothing, or
/// reads nothing, costs a file descriptor for a few seconds. An executor would do no more, and
/// would bring threads of its own beside those that train.
pub(super) struct Server {
    pub(super) poll: Poll,
    pub(super) listener: TcpListener,
    pub(super) news: Receiver<News>,
    pub(super) state: State,
    pub(super) clients: BTreeMap<usize, Connection>,
    pub(super) accepted: usize,
}

impl Server {
    /// Answers until the sender of the news is dropped.
    pub(super) fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(CLIENTS);
        while self.is_wanted() {
            match self.poll.poll(&mut events, Some(LOOK_EVERY)) {
                Err(err) if err.kind() != io::ErrorKind::Interrupted => return Err(err),
                _ => {}
            }
            for event in &events {
                self.serve(event.token().0);
            }
            self.accept();
            let now = Instant::now();
            self.clients.retain(|_, it| !it.is_over(now));
        }
        Ok(())
    }

    /// Takes in the news; false when no more will come.
    fn is_wanted(&mut self) -> bool {
        loop {
            match self.news.try_recv() {
                Ok(news) => self.state.apply(news),
                Err(err) => return err == TryRecvError::Empty,
            }
        }
    }

    /// Lets everybody in who waits. An error is the client's, or passes (no descriptor is free).
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
            // What it sent before it was registered makes no event.
            self.serve(id);
        }
    }

    fn serve(&mut self, id: usize) {
        let Self { clients, state, .. } = self;
        let goes_on = clients.get_mut(&id).map(|it| it.go_on(|path| state.answer(path)));
        if goes_on == Some(false) {
            clients.remove(&id);
        }
    }
}
