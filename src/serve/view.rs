//! What a training run shows through [`crate::serve`].

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use model::Report;
use pipeline::{Batch, Counts, Ingest, StreamEvent};
use tracing::{debug, info};

use super::{Event, Publisher, Queue, Snapshot, Stream, start, thumbnail};
use crate::Config;
use crate::run::streams::Streams;
use crate::run::throughput::Throughput;

/// Events that are shown.
const EVENTS: usize = 50;

/// Time between two updates of the thumbnails.
const THUMBNAILS_EVERY: Duration = Duration::from_secs(1);

/// A server, and the snapshot that it shows.
pub(crate) struct View {
    publisher: Publisher,
    snapshot: Snapshot,
    /// When the counters of the streams were read.
    streams_read: Instant,
    /// When the thumbnails were updated; none when the config turns them off.
    thumbnails_updated: Option<Instant>,
    /// By index of the stream.
    thumbnails: Vec<Option<String>>,
}

impl View {
    /// Starts a server at `address`.
    pub(crate) fn open(
        address: SocketAddr,
        config: &Config,
        ingest: &Ingest,
    ) -> anyhow::Result<Self> {
        let snapshot = Snapshot {
            run: config.run_name(),
            step: 0,
            steps: config.model.train.steps,
            started: SystemTime::now(),
            throughput: Throughput::default(),
            queue: Queue::default(),
            losses: Vec::new(),
            streams: Vec::new(),
            events: Vec::new(),
        };
        let batches = ingest.batches().clone();
        let publisher = start(address, snapshot.clone(), move || batches.len())?;
        info!("the run can be seen at http://{}/", publisher.address());
        let now = Instant::now();
        Ok(Self {
            publisher,
            snapshot,
            streams_read: now,
            thumbnails_updated: config.thumbnails.then_some(now),
            thumbnails: Vec::new(),
        })
    }

    /// Tells the server that the trainer took a batch, or has done `step` steps.
    pub(crate) fn mark_active(&self, step: u64) {
        self.publisher.mark_active(step);
    }

    /// Adds an event of a stream.
    pub(crate) fn add_event(&mut self, stream: &str, event: &StreamEvent) {
        let StreamEvent { time, state, epoch, reason, .. } = event;
        let (time, state, epoch) = (*time, *state, *epoch);
        let stream = stream.to_owned();
        let event = Event { time, stream, state, epoch, reason: reason.clone() };
        self.snapshot.events.insert(0, event);
        self.snapshot.events.truncate(EVENTS);
    }

    /// Shows the losses and the throughput after `step`.
    pub(crate) fn update_metrics(&mut self, step: u64, report: &Report, throughput: Throughput) {
        self.snapshot.step = step;
        self.snapshot.throughput = throughput;
        let losses = report.values.iter().map(|(name, value)| (name.clone(), f64::from(*value)));
        self.snapshot.losses = losses.collect();
        self.publisher.publish(self.snapshot.clone());
    }

    /// Keeps a small picture of each stream of a batch, if the config asks for it.
    pub(crate) fn update_thumbnails(&mut self, batch: &Batch) {
        let is_due = |updated: &Instant| updated.elapsed() >= THUMBNAILS_EVERY;
        if !self.thumbnails_updated.as_ref().is_some_and(is_due) {
            return;
        }
        self.thumbnails_updated = Some(Instant::now());
        for (idx, clip) in batch.clips.iter().enumerate() {
            if self.thumbnails.len() <= clip.stream {
                self.thumbnails.resize(clip.stream + 1, None);
            }
            match thumbnail::first_frame(batch, idx) {
                Ok(picture) => self.thumbnails[clip.stream] = Some(picture),
                Err(err) => debug!("no thumbnail: {err:#}"),
            }
        }
    }

    /// Shows the states and the counters of the streams.
    pub(crate) fn update_streams(&mut self, streams: &Streams, totals: &[Counts]) {
        let seconds = self.streams_read.elapsed().as_secs_f64().max(1e-9);
        self.streams_read = Instant::now();
        let all: u64 = totals.iter().map(|counts| counts.trained).sum();
        let before = std::mem::take(&mut self.snapshot.streams);
        for (idx, (stream, counts)) in streams.all().iter().zip(totals).enumerate() {
            let last = before.get(idx).map(|stream| stream.counts).unwrap_or_default();
            let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
            self.snapshot.streams.push(Stream {
                name: stream.name().to_owned(),
                state: stream.state,
                since: stream.since,
                epoch: stream.epoch,
                reason: stream.reason.clone(),
                counts: *counts,
                decoded_per_second: rate(counts.decoded, last.decoded),
                clips_per_second: rate(counts.clips, last.clips),
                share: counts.trained as f64 / all.max(1) as f64,
                thumbnail: self.thumbnails.get(idx).cloned().flatten(),
            });
        }
        self.publisher.publish(self.snapshot.clone());
    }
}
