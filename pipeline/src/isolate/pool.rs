//! Assigns streams to worker processes.

use std::{
    os::unix::net::UnixStream,
    sync::{Arc, Weak},
    thread::{Builder, JoinHandle},
};

use crossbeam_channel::{Receiver, Sender, bounded, select};

use super::{
    protocol::{Location, OpenRequest},
    supervisor::{Supervisor, WorkerRequest},
};
use crate::{
    Config, Error, Fit, Isolation, Problem, Result, StreamConfig,
    source::{self, SourceContext},
    stop::Stop,
};

/// Requests that wait for a supervisor. A stream sends one at a time, and waits for its answer.
const REQUESTS_WAITING: usize = 8;

/// All worker processes. Dropping it waits until they are gone; the streams must have ended.
#[derive(Debug)]
pub(crate) struct WorkerPool {
    isolation: Isolation,
    size: [usize; 2],
    fit: Fit,
    /// Processes that live streams share, full or not.
    shared_groups: Vec<Weak<WorkerGroup>>,
    supervisors: Vec<JoinHandle<()>>,
}

/// The channel to a supervisor, which ends when the last stream has dropped it.
#[derive(Debug)]
pub(super) struct WorkerGroup(pub(super) Sender<WorkerRequest>);

/// What a stream needs to open items in its worker process.
#[derive(Debug)]
pub(crate) struct WorkerHandle {
    pub(super) group: Arc<WorkerGroup>,
    pub(super) size: [usize; 2],
    pub(super) fit: Fit,
}

impl WorkerPool {
    pub(crate) fn new(config: &Config) -> Self {
        let Config { isolation, size, fit, .. } = *config;
        Self { isolation, size, fit, shared_groups: Vec::new(), supervisors: Vec::new() }
    }

    /// The worker process for a stream, a new one if needed; none for a stream that is drawn.
    pub(crate) fn handle_for(
        &mut self,
        stream: &StreamConfig,
    ) -> Result<Option<Arc<WorkerHandle>>> {
        if stream.source.is_drawn() {
            return Ok(None);
        }
        // What a process may read is fixed when it starts, so only streams without files share one.
        let shares = stream.is_live() && source::readable_paths(&stream.source).is_empty();
        let group = if shares { self.share_group()? } else { self.start_group(Some(stream))? };
        let (size, fit) = (self.size, self.fit);
        Ok(Some(Arc::new(WorkerHandle { group, size, fit })))
    }

    fn share_group(&mut self) -> Result<Arc<WorkerGroup>> {
        self.shared_groups.retain(|it| it.strong_count() > 0);
        let mut open =
            self.shared_groups.iter().filter(|it| it.strong_count() < self.isolation.streams);
        if let Some(group) = open.find_map(Weak::upgrade) {
            return Ok(group);
        }
        let group = self.start_group(None)?;
        self.shared_groups.push(Arc::downgrade(&group));
        Ok(group)
    }

    /// Starts a supervisor, for one stream with its files or for live streams.
    fn start_group(&mut self, stream: Option<&StreamConfig>) -> Result<Arc<WorkerGroup>> {
        self.supervisors.retain(|it| !it.is_finished());
        let name = stream
            .map_or_else(|| format!("live-{}", self.shared_groups.len()), |it| it.name.clone());
        let source = stream.map(|it| it.source.clone());
        let (requests, received) = bounded(REQUESTS_WAITING);
        let first = self.supervisors.is_empty();
        let supervisor = Supervisor::new(name.clone(), source, self.isolation.memory, first);
        let name = format!("supervisor-{name}");
        let thread = Builder::new().name(name.clone()).spawn(move || supervisor.run(&received));
        self.supervisors.push(thread.map_err(|source| Error::Thread { name, source })?);
        Ok(Arc::new(WorkerGroup(requests)))
    }
}

impl Drop for WorkerPool {
    fn drop(&mut self) {
        self.supervisors.drain(..).for_each(|it| drop(it.join()));
    }
}

impl WorkerHandle {
    /// A connection to a process that opens `location`, and the number of that process; none when
    /// the stream is stopped first.
    pub(super) fn open(
        &self,
        location: Location,
        context: &SourceContext,
    ) -> Result<Option<(UnixStream, u64)>, Problem> {
        let (reply, answer) = bounded(1);
        let (stream, clip) = ((*context.stream).clone(), context.clip.clone());
        let open = OpenRequest { location, stream, clip, size: self.size, fit: self.fit };
        let request = WorkerRequest::Open { open: Box::new(open), reply };
        let sent = select! {
            send(self.group.0, request) -> sent => sent.is_ok(),
            recv(context.stop.signal()) -> _ => return Ok(None),
        };
        let gone = || Problem::Crashed("its supervisor is gone; please report this bug".into());
        if !sent {
            return Err(gone());
        }
        wait(&answer, &context.stop)
            .map_or(Ok(None), |it| it.unwrap_or_else(|| Err(gone())).map(Some))
    }

    /// Why a process died.
    pub(super) fn why(&self, process: u64) -> String {
        let (reply, answer) = bounded(1);
        let sent = self.group.0.send(WorkerRequest::Why { process, reply });
        let reason = sent.ok().and_then(|()| answer.recv().ok());
        reason.unwrap_or_else(|| "the cause is unknown; please report this bug".into())
    }
}

/// The answer, if one can still come; none when the stream is stopped first.
fn wait<T>(answer: &Receiver<T>, stop: &Stop) -> Option<Option<T>> {
    select! {
        recv(answer) -> it => Some(it.ok()),
        recv(stop.signal()) -> _ => None,
    }
}
