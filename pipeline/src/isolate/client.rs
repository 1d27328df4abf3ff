//! The parent's side of a stream that a worker process decodes.

use std::{
    cell::RefCell, io, iter, mem, os::unix::net::UnixStream, rc::Rc, sync::Arc, time::Duration,
};

use super::{
    pool::WorkerHandle,
    protocol::{FrameHeader, FrameRequest, Location, MessageSocket, Response},
};
use crate::{
    Problem,
    picture::Scaler,
    source::{Image, Item, SideCounters, SideCounts, SourceContext, SourceFrame, SourceFrames},
    stop::Stop,
};

/// How often a wait looks at the stop signal.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// An image that the worker process holds.
#[derive(Debug)]
struct RemoteFrame {
    connection: Rc<RefCell<Connection>>,
    number: u64,
}

/// The connection to the thread that decodes.
#[derive(Debug)]
struct Connection {
    messages: MessageSocket,
    worker: Arc<WorkerHandle>,
    /// Number of the process, among those of its supervisor.
    process: u64,
    /// Numbers of frames whose pixels may still be requested.
    held: Vec<u64>,
    side_counters: Arc<SideCounters>,
    /// The totals of the worker that are already counted.
    side_counts: SideCounts,
    /// Why the process died.
    death: Option<String>,
}

/// Requests frames, one at a time.
struct RemoteFrames {
    connection: Rc<RefCell<Connection>>,
    stop: Stop,
    ended: bool,
}

/// Opens a file or URI in a worker process.
///
/// # Errors
/// The problem that the worker reports, and [`Problem::Crashed`] when it dies.
pub(crate) fn open(
    item: &Item,
    context: &SourceContext,
    worker: &Arc<WorkerHandle>,
) -> Result<SourceFrames, Problem> {
    let location = Location::of(item)?;
    let Some((socket, process)) = worker.open(location, context)? else {
        return Ok(Box::new(iter::empty()));
    };
    let mut connection =
        Connection::new(socket, process, context, worker).map_err(Problem::Unreadable)?;
    match connection.answer(&|| !context.stop.is_set())? {
        None => Ok(Box::new(iter::empty())),
        Some(Response::End(Some(problem), _)) => Err(problem),
        Some(Response::Opened) => Ok(Box::new(RemoteFrames {
            connection: Rc::new(RefCell::new(connection)),
            stop: context.stop.clone(),
            ended: false,
        })),
        Some(other) => Err(unexpected(&other)),
    }
}

impl Connection {
    fn new(
        socket: UnixStream,
        process: u64,
        context: &SourceContext,
        worker: &Arc<WorkerHandle>,
    ) -> io::Result<Self> {
        socket.set_read_timeout(Some(POLL_INTERVAL))?;
        Ok(Self {
            messages: MessageSocket::new(socket),
            worker: worker.clone(),
            process,
            held: Vec::new(),
            side_counters: context.side_counters.clone(),
            side_counts: SideCounts::default(),
            death: None,
        })
    }

    /// The next message; none when `patient` returned false first.
    fn answer(&mut self, patient: &dyn Fn() -> bool) -> Result<Option<Response>, Problem> {
        let answer = self.messages.receive(patient);
        answer.map_err(|it| self.crashed(&it))
    }

    fn next(&mut self, stop: &Stop) -> Result<Option<FrameHeader>, Problem> {
        let request = FrameRequest::Next { held: self.held.clone() };
        self.messages.send(&request, &[]).map_err(|it| self.crashed(&it))?;
        match self.answer(&|| !stop.is_set())? {
            None => Ok(None),
            Some(Response::Frame(header, side_counts)) => {
                self.count(side_counts);
                self.held.push(header.number);
                Ok(Some(header))
            }
            Some(Response::End(problem, side_counts)) => {
                self.count(side_counts);
                problem.map_or(Ok(None), Err)
            }
            Some(other) => Err(unexpected(&other)),
        }
    }

    fn pixels(&mut self, number: u64, [height, width]: [usize; 2]) -> Result<Arc<[u8]>, Problem> {
        let sent = self.messages.send(&FrameRequest::Pixels(number), &[]);
        sent.map_err(|it| self.crashed(&it))?;
        // The worker answers at once, or its supervisor kills it.
        match self.answer(&|| true)? {
            Some(Response::Pixels) => {}
            Some(Response::Unusable(problem)) => return Err(problem),
            other => return Err(unexpected(&other)),
        }
        let mut pixels: Arc<[u8]> = iter::repeat_n(0, height * width * 3).collect();
        let bytes = Arc::get_mut(&mut pixels).unwrap_or_default();
        self.messages.fill(bytes, &|| true).map_err(|it| self.crashed(&it))?;
        Ok(pixels)
    }

    /// Adds what the worker counted since its last message.
    fn count(&mut self, now: SideCounts) {
        let before = mem::replace(&mut self.side_counts, now);
        self.side_counters.add(now.since(before));
    }

    /// The problem to report when the connection broke: why the process died.
    fn crashed(&mut self, error: &io::Error) -> Problem {
        tracing::debug!("the connection to a decoder process broke: {error}");
        let death = self.death.get_or_insert_with(|| self.worker.why(self.process));
        Problem::Crashed(death.clone())
    }
}

impl Iterator for RemoteFrames {
    type Item = Result<SourceFrame, Problem>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.connection.borrow_mut().next(&self.stop).transpose();
        self.ended = !matches!(next, Some(Ok(_)));
        next.map(|it| it.map(|it| self.frame(it)))
    }
}

impl RemoteFrames {
    fn frame(&self, header: FrameHeader) -> SourceFrame {
        let FrameHeader { number, time, discontinuity, captured, run_start } = header;
        let image = Box::new(RemoteFrame { connection: self.connection.clone(), number });
        SourceFrame { time, discontinuity, captured, run_start, image }
    }
}

impl Image for RemoteFrame {
    fn pixels(&self, scaler: &mut Scaler) -> Result<Arc<[u8]>, Problem> {
        self.connection.borrow_mut().pixels(self.number, scaler.size())
    }
}

impl Drop for RemoteFrame {
    fn drop(&mut self) {
        self.connection.borrow_mut().held.retain(|it| *it != self.number);
    }
}

fn unexpected(answer: &dyn std::fmt::Debug) -> Problem {
    Problem::Crashed(format!("it sent an unexpected message: {answer:?}"))
}
