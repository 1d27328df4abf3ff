//! Runs everything: one thread per stream, and one that batches.
//!
//! ```text
//! mod            starts, resumes and stops the threads
//! stream_report  how a stream ended: every decoded frame has an outcome
//! resume         the state from which another run resumes, and its form in files
//! memory         an upper bound of the memory that the pixels take
//! ```

mod memory;
mod resume;
mod stream_report;

use std::{
    mem,
    thread::{Builder, JoinHandle},
};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::{
    Batch, Config, Counts, Error, Result, StreamConfig, StreamEvent,
    clip::Clip,
    isolate::WorkerPool,
    mix::{
        BATCHES_WAITING, Batcher, BatcherReport, BatcherState, ClipDraw, MixInput, NewFrames, Pool,
        StreamProgress,
    },
    random,
    stop::{Stop, Stopper, stop},
    stream::{ClipSender, LatestCounts, Reporter, StartPoint, StreamEnd, StreamTask, ThreadReport},
};

use resume::StreamTotals;
use stream_report::{FrameFlow, report};

pub use resume::{ResumeState, SavedState};
pub use stream_report::StreamReport;

/// Clips per stream that wait for the batcher: enough to keep decoding while a batch is stacked.
pub(crate) const CLIPS_WAITING: usize = 4;

/// Events that wait for the caller, of all streams together. When there are more, the stream that
/// sends one waits; none is dropped.
const EVENTS_WAITING: usize = 1024;

/// Streams that can be added before the batcher takes them in.
const JOINING: usize = 64;

/// Running streams, and the batches made of them.
///
/// Dropping it stops every thread and waits for it. [`Ingest::finish`] also returns the outcome of
/// every frame.
#[derive(Debug)]
pub struct Ingest {
    config: Config,
    seed: u64,
    streams: Vec<RunningStream>,
    /// The state of the batcher after the last batch that was trained on.
    batcher_state: BatcherState,
    batches: Receiver<Batch>,
    events: (Sender<StreamEvent>, Receiver<StreamEvent>),
    joining: Sender<MixInput>,
    /// Channels of archives that had ended when the run resumed. No clip comes out of them.
    ended: Vec<Receiver<Clip>>,
    stopper: Option<Stopper>,
    batcher: Option<JoinHandle<BatcherReport>>,
    /// The worker processes, if decoding is isolated. The streams end before they do.
    workers: Option<WorkerPool>,
}

/// One stream and its thread.
#[derive(Debug)]
struct RunningStream {
    name: String,
    /// The newest totals of its thread that are known here.
    latest: Counts,
    trained: u64,
    /// Frames of `trained` that an earlier run trained on.
    trained_before: u64,
    latest_counts: Receiver<Counts>,
    stopper: Option<Stopper>,
    thread: Option<JoinHandle<ThreadReport>>,
}

/// Starts one thread per stream and one that batches.
///
/// With archives alone, the same configuration and seed give the same clips in the same order,
/// whatever the timing of the threads, as long as the sources give the same frames.
///
/// # Errors
/// [`Error::Config`] when the configuration is wrong, [`Error::Thread`] when a thread cannot be
/// started. A source that cannot be read fails only its own stream, see [`StreamReport::end`].
pub fn start(config: &Config, seed: u64) -> Result<Ingest> {
    resume(config, seed, ResumeState::default())
}

/// Resumes another run from the state that [`Ingest::resume_state`] gave. With archives alone, the
/// same configuration and seed give the same batches as an uninterrupted run.
///
/// Streams are matched by name. Frames of a live stream that were between its decoder and the pool
/// are counted as unfinished. Clips of a stream that is no longer in the configuration are removed
/// from the pool.
///
/// # Errors
/// As [`start`].
pub fn resume(config: &Config, seed: u64, from: ResumeState) -> Result<Ingest> {
    config.validate()?;
    let (stopper, stop) = stop();
    let (batch_sender, batches) = bounded(BATCHES_WAITING);
    let (joining, joined) = bounded(JOINING.max(config.stream.len()));
    let mut ingest = Ingest {
        config: config.clone(),
        seed,
        streams: Vec::with_capacity(config.stream.len()),
        batcher_state: BatcherState::default(),
        batches,
        events: bounded(EVENTS_WAITING),
        joining,
        ended: Vec::new(),
        stopper: Some(stopper),
        batcher: None,
        workers: config.isolate.then(|| WorkerPool::new(config)),
    };
    ingest.batcher_state = from.batcher.renumbered(|idx| {
        let is_same = |it: &StreamConfig| from.number(&it.name) == Some(idx);
        config.stream.iter().position(is_same)
    });
    for stream in &config.stream {
        let totals = from.number(&stream.name).map(|it| from.streams[it].clone());
        ingest.join(stream, totals.unwrap_or_default())?;
    }
    let BatcherState { random_words, pool, was_full, progress } = ingest.batcher_state.clone();
    let mut random = random::batcher(seed);
    random.set_word_pos(random_words);
    let batcher = Batcher {
        config: config.batch.clone(),
        size: config.size,
        draw: ClipDraw::new(joined, progress, mem::take(&mut ingest.ended), stop.clone()),
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
    /// Adds a stream to those that run, and returns its number. With a live stream the order of
    /// clips depends on time.
    ///
    /// # Errors
    /// [`Error::Thread`] when a thread cannot be started, [`Error::Busy`] when too many streams were
    /// added at once.
    pub fn add(&mut self, stream: &StreamConfig) -> Result<usize> {
        self.join(stream, StreamTotals::default())
    }

    /// Adds a stream that resumes from `totals`.
    fn join(&mut self, stream: &StreamConfig, totals: StreamTotals) -> Result<usize> {
        let idx = self.streams.len();
        let live = stream.is_live();
        let StreamProgress { cursor, next, ended, counts } =
            self.batcher_state.progress.get(&idx).cloned().unwrap_or_default();
        let (stopper, stop): (Stopper, Stop) = stop();
        let worker = self.workers.as_mut().map_or(Ok(None), |it| it.handle_for(stream))?;
        let trained = totals.counts.trained;
        let mut totals = totals.counts.before_training();
        if live && counts.decoded > totals.decoded {
            // The pool may hold clips that are newer than the totals, which come once per second.
            totals = counts.before_training();
        }
        let (sender, clips) = bounded(CLIPS_WAITING);
        let latest_counts = LatestCounts::new();
        let running = RunningStream {
            name: stream.name.clone(),
            latest: totals,
            trained,
            trained_before: trained,
            latest_counts: latest_counts.receiver(),
            stopper: Some(stopper),
            thread: None,
        };
        let outlet = ClipSender::new(sender, &clips, stream.when_full(), stop.clone());
        let start = if live {
            let counts = self.lose_in_flight(idx, totals, trained);
            StartPoint { counts, ..StartPoint::default() }
        } else {
            let fallback_counts = self.lose_in_flight(idx, counts, trained);
            // Without a cursor, the clips came from another kind of source.
            let counts = if cursor.label.is_empty() { fallback_counts } else { cursor.counts };
            StartPoint { counts, from: cursor, drawn: next, fallback_counts }
        };
        // The connection that was lost with the earlier run had a number, too.
        let epoch = if totals.decoded > 0 { totals.reconnects + 1 } else { 0 };
        let reporter = Reporter::new(idx, self.events.0.clone(), latest_counts, stop.clone());
        let reporter = reporter.starting_at(if live { epoch } else { 0 });
        if ended && !live {
            self.ended.push(clips);
        } else {
            let input = MixInput::new(idx, clips, stream.weight, live);
            let busy = |_| Error::Busy { stream: stream.name.clone() };
            self.joining.try_send(input).map_err(busy)?;
        }
        self.streams.push(running);
        let task = StreamTask::new(&self.config, stream, idx, (self.seed, stop)).starting_at(start);
        let task = task.decoded_by(worker);
        let name = format!("stream-{}", stream.name);
        self.streams[idx].thread = Some(spawn(name, move || task.run(outlet, reporter))?);
        Ok(idx)
    }

    /// The totals of a stream that cannot be read again: frames that the earlier run left between
    /// the decoder and the pool are unfinished.
    fn lose_in_flight(&self, idx: usize, mut counts: Counts, trained: u64) -> Counts {
        let pooled = self.batcher_state.pool.iter().filter(|it| it.info.stream == idx);
        let kept = trained + pooled.map(|it| it.info.new_frames).sum::<u64>();
        counts.unfinished += counts.decoded.saturating_sub(kept + counts.skipped());
        counts
    }

    /// Stops a stream. Its clips that were cut are still trained on. An event reports its end.
    pub fn remove(&mut self, stream: usize) {
        if let Some(running) = self.streams.get_mut(stream) {
            running.stopper = None;
        }
    }

    /// The batches, of which at most two wait. Disconnected when every stream has ended.
    pub fn batches(&self) -> &Receiver<Batch> {
        &self.batches
    }

    /// Changes of the streams' states, in order.
    pub fn events(&self) -> &Receiver<StreamEvent> {
        &self.events.1
    }

    /// Names of all streams by number, including removed ones.
    pub fn names(&self) -> Vec<&str> {
        self.streams.iter().map(|it| it.name.as_str()).collect()
    }

    /// Notes that the caller trained on a batch.
    pub fn trained(&mut self, batch: &Batch) {
        self.batcher_state = batch.state.clone();
        for clip in &batch.clips {
            let stream = &mut self.streams[clip.stream];
            stream.trained += clip.new_frames;
            // The pool mixes clips, so the newest totals need not come last.
            if clip.counts.decoded > stream.latest.decoded {
                stream.latest = clip.counts;
            }
        }
    }

    /// The state after the last batch that was trained on, to resume another run from.
    pub fn resume_state(&mut self) -> ResumeState {
        let totals = self.snapshot().into_iter().zip(&self.streams);
        let totals =
            totals.map(|(counts, stream)| StreamTotals { name: stream.name.clone(), counts });
        ResumeState { streams: totals.collect(), batcher: self.batcher_state.clone() }
    }

    /// The newest totals of each stream, with `trained` filled in. Those of an archive came with a
    /// trained clip, so that they depend on the seed alone.
    pub fn snapshot(&mut self) -> Vec<Counts> {
        let streams = self.streams.iter_mut();
        streams
            .map(|it| {
                if let Ok(counts) = it.latest_counts.try_recv()
                    && counts.decoded >= it.latest.decoded
                {
                    it.latest = counts;
                }
                Counts { trained: it.trained, ..it.latest }
            })
            .collect()
    }

    /// Stops every thread, waits for it, and returns the outcome of every decoded frame.
    pub fn finish(mut self) -> Vec<StreamReport> {
        self.stop();
        let mut unread = NewFrames::default();
        self.batches.iter().flat_map(|it| it.clips).for_each(|it| unread.add(&it));
        let batcher = self.batcher.take().and_then(|it| it.join().ok()).unwrap_or_default();
        let streams = mem::take(&mut self.streams);
        (streams.into_iter().enumerate())
            .map(|(idx, stream)| {
                let end = stream.thread.and_then(|it| it.join().ok());
                let end = end.unwrap_or_else(|| panicked(stream.latest));
                let flow = FrameFlow {
                    sent: stream.trained_before + batcher.sent.of(idx),
                    left: batcher.left.of(idx),
                    unread: unread.of(idx),
                    trained: stream.trained,
                };
                report(&stream.name, end, flow)
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
        // Every blocking call of a thread also watches this signal.
        self.stop();
        self.streams.drain(..).filter_map(|it| it.thread).for_each(|it| drop(it.join()));
        self.batcher.take().map(JoinHandle::join);
    }
}

fn panicked(counts: Counts) -> ThreadReport {
    let end = StreamEnd::Failed("its thread panicked; please report this bug".into());
    ThreadReport { end, counts, unsent: 0, problems: Vec::new() }
}
