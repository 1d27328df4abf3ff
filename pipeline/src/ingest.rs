//! The threads: one a stream, and one that batches.

use std::{
    mem,
    thread::{Builder, JoinHandle},
};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::{
    Batch, ClipInfo, Config, Counts, Error, Event, Outcome, Result, StreamConfig, StreamReport,
    batch::{BATCHES_WAITING, Batcher},
    draw::{Draw, Input},
    ledger::{BatcherEnd, Fates, Owned, StreamEnd, report},
    outlet::Outlet,
    random,
    report::{Pulses, Reporter},
    stop::{Stop, Stopper, stop},
    stream::Task,
    worker::Fleet,
};

/// Clips that wait for the batcher, a stream: enough to decode on while a batch is stacked.
pub(crate) const CLIPS_WAITING: usize = 4;

/// Events that wait for the caller, of all streams together. A stream that has more to tell
/// waits; nothing is dropped.
const EVENTS_WAITING: usize = 1024;

/// Streams that can be added between two looks of the batcher.
const JOINING: usize = 64;

/// Running streams, and the batches made of them.
///
/// Dropping it stops every thread and waits for it; [`Ingest::finish`] also says what became
/// of every frame.
#[derive(Debug)]
pub struct Ingest {
    config: Config,
    seed: u64,
    streams: Vec<Running>,
    batches: Receiver<Batch>,
    events: (Sender<Event>, Receiver<Event>),
    joining: Sender<Input>,
    stopper: Option<Stopper>,
    batcher: Option<JoinHandle<BatcherEnd>>,
    /// The processes that decode, where they are asked for. The streams end first.
    fleet: Option<Fleet>,
}

/// One stream and its thread.
#[derive(Debug)]
struct Running {
    name: String,
    latest: Counts,
    trained: u64,
    pulses: Receiver<Counts>,
    stopper: Option<Stopper>,
    thread: Option<JoinHandle<StreamEnd>>,
}

/// Starts one thread a stream and one that batches.
///
/// With archived streams alone, the same configuration and seed give the same clips in the same
/// order, whatever the timing of the threads, as long as the sources give the same frames.
///
/// # Errors
/// [`Error::Config`] when the configuration is wrong, [`Error::Thread`] when the system gives
/// no thread. A source that cannot be read fails its own stream only, see
/// [`StreamReport::outcome`].
pub fn start(config: &Config, seed: u64) -> Result<Ingest> {
    config.validate()?;
    let (stopper, stop) = stop();
    let (batch_sender, batches) = bounded(BATCHES_WAITING);
    let (joining, joined) = bounded(JOINING.max(config.stream.len()));
    let mut ingest = Ingest {
        config: config.clone(),
        seed,
        streams: Vec::with_capacity(config.stream.len()),
        batches,
        events: bounded(EVENTS_WAITING),
        joining,
        stopper: Some(stopper),
        batcher: None,
        fleet: config.isolate.then(|| Fleet::new(config)),
    };
    for stream in &config.stream {
        ingest.add(stream)?;
    }
    let batcher = Batcher {
        config: config.batch.clone(),
        size: config.size,
        draw: Draw::new(Vec::new(), joined, stop.clone()),
        random: random::batcher(seed),
        batches: batch_sender,
        stop,
    };
    ingest.batcher = Some(spawn("batcher".into(), move || batcher.run())?);
    Ok(ingest)
}

fn spawn<T: Send + 'static>(
    name: String,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>> {
    Builder::new().name(name.clone()).spawn(work).map_err(|source| Error::Thread { name, source })
}

impl Ingest {
    /// Adds a stream to those that run, and returns its number. As soon as one of them is live,
    /// the order of clips depends on time.
    ///
    /// # Errors
    /// [`Error::Thread`] when the system gives no thread, [`Error::Busy`] when the batcher has
    /// not looked at the streams that were added before.
    pub fn add(&mut self, stream: &StreamConfig) -> Result<usize> {
        let idx = self.streams.len();
        let (stopper, stop): (Stopper, Stop) = stop();
        let door = self.fleet.as_mut().map_or(Ok(None), |it| it.door(stream))?;
        let (sender, clips) = bounded(CLIPS_WAITING);
        let pulses = Pulses::new();
        let running = Running {
            name: stream.name.clone(),
            latest: Counts::default(),
            trained: 0,
            pulses: pulses.receiver(),
            stopper: Some(stopper),
            thread: None,
        };
        let outlet = Outlet::new(sender, &clips, stream.when_full(), stop.clone());
        let reporter = Reporter::new(idx, self.events.0.clone(), pulses, stop.clone());
        let input = Input::new(clips, stream.weight, stream.is_live());
        let busy = |_| Error::Busy { stream: stream.name.clone() };
        self.joining.try_send(input).map_err(busy)?;
        self.streams.push(running);
        let task = Task::new(&self.config, stream, idx, (self.seed, stop)).through(door);
        let name = format!("stream-{}", stream.name);
        self.streams[idx].thread = Some(spawn(name, move || task.follow(outlet, reporter))?);
        Ok(idx)
    }

    /// Stops a stream; its clips that were cut are still trained on. What becomes of it is told
    /// as an event.
    pub fn remove(&mut self, stream: usize) {
        if let Some(running) = self.streams.get_mut(stream) {
            running.stopper = None;
        }
    }

    /// The batches, at most two of them waiting; disconnected when every stream has ended.
    pub fn batches(&self) -> &Receiver<Batch> {
        &self.batches
    }

    /// What happens to streams, in the order in which it happens.
    pub fn events(&self) -> &Receiver<Event> {
        &self.events.1
    }

    /// Names of all streams by their number, those that were removed among them.
    pub fn names(&self) -> Vec<&str> {
        self.streams.iter().map(|it| it.name.as_str()).collect()
    }

    /// Says that the caller trained on these clips.
    pub fn trained(&mut self, batch: &[ClipInfo]) {
        for clip in batch {
            let stream = &mut self.streams[clip.stream];
            stream.trained += clip.owned;
            // The pool mixes clips, so that the newest totals need not come last.
            if clip.counts.decoded > stream.latest.decoded {
                stream.latest = clip.counts;
            }
        }
    }

    /// For each stream its newest totals, and its trained frames. The totals of an archive are
    /// those that came with a trained clip, so that they depend on the seed alone.
    pub fn snapshot(&mut self) -> Vec<(Counts, u64)> {
        let streams = self.streams.iter_mut();
        streams
            .map(|it| {
                if let Ok(counts) = it.pulses.try_recv() {
                    it.latest = counts;
                }
                (it.latest, it.trained)
            })
            .collect()
    }

    /// Stops every thread, waits for it, and accounts for every decoded frame.
    pub fn finish(mut self) -> Vec<StreamReport> {
        self.stop();
        let mut unread = Owned::default();
        self.batches.iter().flat_map(|it| it.clips).for_each(|it| unread.add(&it));
        let batcher = self.batcher.take().and_then(|it| it.join().ok()).unwrap_or_default();
        let streams = mem::take(&mut self.streams);
        (streams.into_iter().enumerate())
            .map(|(idx, stream)| {
                let end = stream.thread.and_then(|it| it.join().ok());
                let end = end.unwrap_or_else(|| panicked(stream.latest));
                let fates = Fates {
                    sent: batcher.sent.of(idx),
                    left: batcher.left.of(idx),
                    unread: unread.of(idx),
                    trained: stream.trained,
                };
                report(&stream.name, end, fates)
            })
            .collect()
    }

    fn stop(&mut self) {
        self.stopper = None;
        self.streams.iter_mut().for_each(|it| it.stopper = None);
    }
}

impl Drop for Ingest {
    fn drop(&mut self) {
        // Every wait of a thread also waits for this.
        self.stop();
        self.streams.drain(..).filter_map(|it| it.thread).for_each(|it| drop(it.join()));
        self.batcher.take().map(JoinHandle::join);
    }
}

fn panicked(counts: Counts) -> StreamEnd {
    let outcome = Outcome::Failed("its thread panicked: this is a bug".into());
    StreamEnd { outcome, counts, unsent: 0, problems: Vec::new() }
}
