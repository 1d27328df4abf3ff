//! The threads: one a stream, and one that batches.

mod ledger;
mod memory;
mod resume;

use std::{
    mem,
    thread::{Builder, JoinHandle},
};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::{
    Batch, Config, Counts, Error, Event, Result, StreamConfig,
    clip::Clip,
    isolate::Fleet,
    mix::{BATCHES_WAITING, Batcher, Draw, Input, Pool},
    random,
    stop::{Stop, Stopper, stop},
    stream::{Outlet, Pulses, Reporter, Start, Task},
};

use ledger::{Fates, Owned, report};
use resume::Total;

pub use ledger::{Outcome, StreamReport};
pub use resume::{Mark, Packed, Standing};

pub(crate) use ledger::{BatcherEnd, StreamEnd};
pub(crate) use resume::Reached;

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
    mark: Mark,
    batches: Receiver<Batch>,
    events: (Sender<Event>, Receiver<Event>),
    joining: Sender<Input>,
    /// Clips of streams that had ended before: there are none.
    ended: Vec<Receiver<Clip>>,
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
    /// Of them, those that a run before trained on.
    trained_before: u64,
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
    resume(config, seed, Standing::default())
}

/// Starts where another run stood, as [`Ingest::standing`] gave it: with archived streams alone
/// the same configuration and seed give the batches that would have come there.
///
/// A stream goes on by its name. What became of a live one since then is not known; frames of
/// its that were between the decoder and the pool are counted as unfinished. Clips of a stream
/// that the configuration has no more leave the pool.
///
/// # Errors
/// As [`start`].
pub fn resume(config: &Config, seed: u64, standing: Standing) -> Result<Ingest> {
    config.validate()?;
    let (stopper, stop) = stop();
    let (batch_sender, batches) = bounded(BATCHES_WAITING);
    let (joining, joined) = bounded(JOINING.max(config.stream.len()));
    let mut ingest = Ingest {
        config: config.clone(),
        seed,
        streams: Vec::with_capacity(config.stream.len()),
        mark: Mark::default(),
        batches,
        events: bounded(EVENTS_WAITING),
        joining,
        ended: Vec::new(),
        stopper: Some(stopper),
        batcher: None,
        fleet: config.isolate.then(|| Fleet::new(config)),
    };
    ingest.mark = standing.mark.renumbered(|idx| {
        let is_it = |it: &StreamConfig| standing.number(&it.name) == Some(idx);
        config.stream.iter().position(is_it)
    });
    for stream in &config.stream {
        let total = standing.number(&stream.name).map(|it| standing.streams[it].clone());
        ingest.join(stream, total.unwrap_or_default())?;
    }
    let Mark { words, pool, was_full, reached } = ingest.mark.clone();
    let mut random = random::batcher(seed);
    random.set_word_pos(words);
    let batcher = Batcher {
        config: config.batch.clone(),
        size: config.size,
        draw: Draw::new(joined, reached, mem::take(&mut ingest.ended), stop.clone()),
        pool: Pool::new(&config.batch, pool, was_full),
        random,
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
        self.join(stream, Total::default())
    }

    /// Adds a stream that goes on from `total`.
    fn join(&mut self, stream: &StreamConfig, total: Total) -> Result<usize> {
        let idx = self.streams.len();
        let live = stream.is_live();
        let Reached { place, next, ended, counts } =
            self.mark.reached.get(&idx).cloned().unwrap_or_default();
        let (stopper, stop): (Stopper, Stop) = stop();
        let door = self.fleet.as_mut().map_or(Ok(None), |it| it.door(stream))?;
        let (sender, clips) = bounded(CLIPS_WAITING);
        let pulses = Pulses::new();
        let running = Running {
            name: stream.name.clone(),
            latest: total.counts,
            trained: total.trained,
            trained_before: total.trained,
            pulses: pulses.receiver(),
            stopper: Some(stopper),
            thread: None,
        };
        let outlet = Outlet::new(sender, &clips, stream.when_full(), stop.clone());
        let start = if live {
            let counts = self.lost(idx, total.counts, total.trained);
            Start { counts, ..Start::default() }
        } else {
            let otherwise = self.lost(idx, counts, total.trained);
            // Clips that have no place came from another kind of source.
            let counts = if place.label.is_empty() { otherwise } else { place.counts };
            Start { counts, from: place, drawn: next, otherwise }
        };
        // A connection that was lost unseen has had its number.
        let epoch = if total.counts.decoded > 0 { total.counts.reconnects + 1 } else { 0 };
        let reporter = Reporter::new(idx, self.events.0.clone(), pulses, stop.clone());
        let reporter = reporter.from(if live { epoch } else { 0 });
        if ended && !live {
            self.ended.push(clips);
        } else {
            let input = Input::new(idx, clips, stream.weight, live);
            let busy = |_| Error::Busy { stream: stream.name.clone() };
            self.joining.try_send(input).map_err(busy)?;
        }
        self.streams.push(running);
        let task = Task::new(&self.config, stream, idx, (self.seed, stop)).from(start);
        let task = task.through(door);
        let name = format!("stream-{}", stream.name);
        self.streams[idx].thread = Some(spawn(name, move || task.follow(outlet, reporter))?);
        Ok(idx)
    }

    /// The totals of a stream that cannot be read again: frames that a run before left between the
    /// decoder and the pool are unfinished.
    fn lost(&self, idx: usize, mut counts: Counts, trained: u64) -> Counts {
        let pooled = self.mark.pool.iter().filter(|it| it.info.stream == idx);
        let kept = trained + pooled.map(|it| it.info.owned).sum::<u64>();
        counts.unfinished += counts.decoded.saturating_sub(kept + counts.skipped());
        counts
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

    /// Says that the caller trained on a batch.
    pub fn trained(&mut self, batch: &Batch) {
        self.mark = batch.mark.clone();
        for clip in &batch.clips {
            let stream = &mut self.streams[clip.stream];
            stream.trained += clip.owned;
            // The pool mixes clips, so that the newest totals need not come last.
            if clip.counts.decoded > stream.latest.decoded {
                stream.latest = clip.counts;
            }
        }
    }

    /// Where all streams stand after the last batch that was trained on.
    pub fn standing(&mut self) -> Standing {
        let totals = self.snapshot().into_iter().zip(&self.streams);
        let totals = totals.map(|((counts, trained), stream)| {
            let name = stream.name.clone();
            Total { name, counts, trained }
        });
        Standing { streams: totals.collect(), mark: self.mark.clone() }
    }

    /// For each stream its newest totals, and its trained frames. The totals of an archive are
    /// those that came with a trained clip, so that they depend on the seed alone.
    pub fn snapshot(&mut self) -> Vec<(Counts, u64)> {
        let streams = self.streams.iter_mut();
        streams
            .map(|it| {
                if let Ok(counts) = it.pulses.try_recv()
                    && counts.decoded >= it.latest.decoded
                {
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
                    sent: stream.trained_before + batcher.sent.of(idx),
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
