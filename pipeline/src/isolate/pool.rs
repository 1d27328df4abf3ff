//! Which streams share a process.

use std::{
    os::unix::net::UnixStream,
    sync::{Arc, Weak},
    thread::{Builder, JoinHandle},
};

use crossbeam_channel::{Receiver, Sender, bounded, select};

use super::{
    protocol::{Open, Place},
    supervisor::{Ask, Keeper},
};
use crate::{
    Config, Error, Fit, Isolation, Problem, Result, StreamConfig,
    source::{self, Opening},
    stop::Stop,
};

/// Questions that wait for a keeper. A stream asks one at a time, and waits for its answer.
const ASKS_WAITING: usize = 8;

/// All groups. Dropping it waits for the processes to be gone; the streams must have ended.
#[derive(Debug)]
pub(crate) struct Fleet {
    isolation: Isolation,
    size: [usize; 2],
    fit: Fit,
    /// Groups of live streams, full or not.
    live: Vec<Weak<Group>>,
    keepers: Vec<JoinHandle<()>>,
}

/// The way to a group's keeper, which ends when the last stream is gone.
#[derive(Debug)]
pub(super) struct Group(pub(super) Sender<Ask>);

/// Where one stream asks for a decoder.
#[derive(Debug)]
pub(crate) struct Door {
    pub(super) group: Arc<Group>,
    pub(super) size: [usize; 2],
    pub(super) fit: Fit,
}

impl Fleet {
    pub(crate) fn new(config: &Config) -> Self {
        let Config { isolation, size, fit, .. } = *config;
        Self { isolation, size, fit, live: Vec::new(), keepers: Vec::new() }
    }

    /// A place for a stream, in a new group if need be; none for a stream that is drawn.
    pub(crate) fn door(&mut self, stream: &StreamConfig) -> Result<Option<Arc<Door>>> {
        if stream.source.is_drawn() {
            return Ok(None);
        }
        // What a process may read is fixed when it begins, so only streams without files share.
        let shares = stream.is_live() && source::reach(&stream.source).is_empty();
        let group = if shares { self.shared()? } else { self.group(Some(stream))? };
        let (size, fit) = (self.size, self.fit);
        Ok(Some(Arc::new(Door { group, size, fit })))
    }

    fn shared(&mut self) -> Result<Arc<Group>> {
        self.live.retain(|it| it.strong_count() > 0);
        let mut open = self.live.iter().filter(|it| it.strong_count() < self.isolation.streams);
        if let Some(group) = open.find_map(Weak::upgrade) {
            return Ok(group);
        }
        let group = self.group(None)?;
        self.live.push(Arc::downgrade(&group));
        Ok(group)
    }

    /// Starts a keeper: of one stream with its files, or of live streams.
    fn group(&mut self, stream: Option<&StreamConfig>) -> Result<Arc<Group>> {
        self.keepers.retain(|it| !it.is_finished());
        let name = stream.map_or_else(|| format!("live-{}", self.live.len()), |it| it.name.clone());
        let source = stream.map(|it| it.source.clone());
        let (asks, asked) = bounded(ASKS_WAITING);
        let first = self.keepers.is_empty();
        let keeper = Keeper::new(name.clone(), source, self.isolation.memory, first);
        let name = format!("keeper-{name}");
        let thread = Builder::new().name(name.clone()).spawn(move || keeper.run(&asked));
        self.keepers.push(thread.map_err(|source| Error::Thread { name, source })?);
        Ok(Arc::new(Group(asks)))
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.keepers.drain(..).for_each(|it| drop(it.join()));
    }
}

impl Door {
    /// A connection to a process that opens `place`, and that process' number; none when the
    /// stream is stopped first.
    pub(super) fn open(
        &self,
        place: Place,
        opening: &Opening,
    ) -> Result<Option<(UnixStream, u64)>, Problem> {
        let (reply, answer) = bounded(1);
        let (stream, clip) = ((*opening.stream).clone(), opening.clip.clone());
        let open = Open { place, stream, clip, size: self.size, fit: self.fit };
        let ask = Ask::Open { open: Box::new(open), reply };
        let sent = select! {
            send(self.group.0, ask) -> sent => sent.is_ok(),
            recv(opening.stop.signal()) -> _ => return Ok(None),
        };
        let gone = || Problem::Crashed("its keeper is gone: this is a bug".into());
        if !sent {
            return Err(gone());
        }
        wait(&answer, &opening.stop)
            .map_or(Ok(None), |it| it.unwrap_or_else(|| Err(gone())).map(Some))
    }

    /// What became of a process.
    pub(super) fn why(&self, process: u64) -> String {
        let (reply, answer) = bounded(1);
        let asked = self.group.0.send(Ask::Why { process, reply });
        let said = asked.ok().and_then(|()| answer.recv().ok());
        said.unwrap_or_else(|| "nobody knows why: this is a bug".into())
    }
}

/// The answer, if one still can come; none when the stream is stopped first.
fn wait<T>(answer: &Receiver<T>, stop: &Stop) -> Option<Option<T>> {
    select! {
        recv(answer) -> it => Some(it.ok()),
        recv(stop.signal()) -> _ => None,
    }
}
