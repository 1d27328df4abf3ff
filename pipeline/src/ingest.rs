//! The threads: one a stream, and one that batches.

use std::{
    mem,
    thread::{Builder, JoinHandle},
};

use crossbeam_channel::{Receiver, bounded};

use crate::{
    Batch, ClipInfo, Config, Counts, Error, Outcome, Result, StreamReport,
    batch::{BATCHES_WAITING, Batcher, count},
    draw::{Draw, Input},
    ledger::{BatcherEnd, Fates, StreamEnd, report},
    random,
    stop::{Stop, Stopper, stop},
    stream::Task,
};

/// Clips that wait for the batcher, a stream: enough to decode on while a batch is stacked.
/// A full channel makes its stream wait; nothing is dropped.
pub(crate) const CLIPS_WAITING: usize = 4;

/// Running streams, and the batches made of them.
///
/// Dropping it stops every thread and waits for it; [`Ingest::finish`] also says what became
/// of every frame.
#[derive(Debug)]
pub struct Ingest {
    names: Vec<String>,
    latest: Vec<Counts>,
    trained: Vec<u64>,
    batches: Receiver<Batch>,
    stopper: Option<Stopper>,
    streams: Vec<JoinHandle<StreamEnd>>,
    batcher: Option<JoinHandle<BatcherEnd>>,
}

/// Starts one thread a stream and one that batches.
///
/// The same configuration and seed give the same clips in the same order, whatever the timing
/// of the threads, as long as the sources give the same frames.
///
/// # Errors
/// [`Error::Config`] when the configuration is wrong, [`Error::Thread`] when the system gives
/// no thread. A source that cannot be read fails its own stream only, see
/// [`StreamReport::outcome`].
pub fn start(config: &Config, seed: u64) -> Result<Ingest> {
    config.validate()?;
    let (stopper, stop) = stop();
    let (batch_sender, batches) = bounded(BATCHES_WAITING);
    let (senders, inputs) = (config.stream.iter())
        .map(|it| {
            let (sender, clips) = bounded(CLIPS_WAITING);
            (sender, Input { clips, weight: it.weight })
        })
        .unzip::<_, _, Vec<_>, Vec<_>>();
    let batcher = Batcher {
        config: config.batch.clone(),
        size: config.size,
        streams: config.stream.len(),
        draw: Draw::new(inputs, stop.clone()),
        random: random::batcher(seed),
        batches: batch_sender,
        stop: stop.clone(),
    };
    let mut ingest = Ingest::new(config, batches, stopper);
    ingest.batcher = Some(spawn("batcher".into(), move || batcher.run())?);
    for (idx, clips) in senders.into_iter().enumerate() {
        let task = Task::new(config, idx, seed);
        let stop: Stop = stop.clone();
        let name = format!("stream-{}", config.stream[idx].name);
        ingest.streams.push(spawn(name, move || task.follow(&clips, &stop))?);
    }
    Ok(ingest)
}

fn spawn<T: Send + 'static>(
    name: String,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>> {
    Builder::new().name(name.clone()).spawn(work).map_err(|source| Error::Thread { name, source })
}

impl Ingest {
    fn new(config: &Config, batches: Receiver<Batch>, stopper: Stopper) -> Self {
        let n_streams = config.stream.len();
        Self {
            names: config.stream.iter().map(|it| it.name.clone()).collect(),
            latest: vec![Counts::default(); n_streams],
            trained: vec![0; n_streams],
            batches,
            stopper: Some(stopper),
            streams: Vec::with_capacity(n_streams),
            batcher: None,
        }
    }

    /// The batches, at most two of them waiting; disconnected when every stream has ended.
    pub fn batches(&self) -> &Receiver<Batch> {
        &self.batches
    }

    /// Says that the caller trained on these clips.
    pub fn trained(&mut self, batch: &[ClipInfo]) {
        count(&mut self.trained, batch);
        for clip in batch {
            let latest = &mut self.latest[clip.stream];
            // The pool mixes clips, so that the newest totals need not come last.
            if clip.counts.decoded >= latest.decoded {
                *latest = clip.counts;
            }
        }
    }

    /// For each stream the newest totals that came with a trained clip, and its trained frames.
    pub fn snapshot(&self) -> Vec<(Counts, u64)> {
        self.latest.iter().copied().zip(self.trained.iter().copied()).collect()
    }

    /// Stops every thread, waits for it, and accounts for every decoded frame.
    pub fn finish(mut self) -> Vec<StreamReport> {
        self.stopper = None;
        let n_streams = self.names.len();
        let mut unread = vec![0; n_streams];
        self.batches.iter().for_each(|it| count(&mut unread, &it.clips));
        let batcher = self.batcher.take().and_then(|it| it.join().ok());
        let batcher = batcher
            .unwrap_or_else(|| BatcherEnd { sent: vec![0; n_streams], left: vec![0; n_streams] });
        let streams = mem::take(&mut self.streams);
        (streams.into_iter().enumerate())
            .map(|(idx, thread)| {
                let end = thread.join().unwrap_or_else(|_| panicked(self.latest[idx]));
                let fates = Fates {
                    sent: batcher.sent[idx],
                    left: batcher.left[idx],
                    unread: unread[idx],
                    trained: self.trained[idx],
                };
                report(&self.names[idx], end, fates)
            })
            .collect()
    }
}

impl Drop for Ingest {
    fn drop(&mut self) {
        // Every wait of a thread also waits for this.
        self.stopper = None;
        self.streams.drain(..).for_each(|it| drop(it.join()));
        self.batcher.take().map(JoinHandle::join);
    }
}

fn panicked(counts: Counts) -> StreamEnd {
    let outcome = Outcome::Failed("its thread panicked: this is a bug".into());
    StreamEnd { outcome, counts, unsent: 0, problems: Vec::new() }
}
