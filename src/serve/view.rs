//! What a training run shows through [`crate::serve`].

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use model::Report;
use pipeline::{Batch, Counts, Ingest};
use tracing::info;

use super::picture;
use crate::Config;
use crate::run::streams::Streams;
use crate::serve::{self, Event, Pace, Publisher, Queue, Snapshot, Stream};
use crate::terminal::progress;

/// Events that are shown.
const EVENTS: usize = 50;

/// How often the pictures are renewed.
const PICTURES: Duration = Duration::from_secs(1);

/// A server, and what it shows.
pub(crate) struct View {
    publisher: Publisher,
    shown: Snapshot,
    read: Instant,
    /// When the pictures were renewed; none when the config wants none.
    pictures: Option<Instant>,
    thumbnails: Vec<Option<String>>,
}

impl View {
    pub(crate) fn open(
        address: SocketAddr,
        config: &Config,
        ingest: &Ingest,
    ) -> anyhow::Result<Self> {
        let shown = Snapshot {
            run: config.run_name(),
            step: 0,
            steps: config.model.train.steps,
            started: SystemTime::now(),
            pace: Pace::default(),
            queue: Queue::default(),
            losses: Vec::new(),
            streams: Vec::new(),
            events: Vec::new(),
        };
        let batches = ingest.batches().clone();
        let publisher = serve::start(address, shown.clone(), move || batches.len())?;
        info!("the run can be seen at http://{}/", publisher.address());
        let pictures = config.thumbnails.then(Instant::now);
        Ok(Self { publisher, shown, read: Instant::now(), pictures, thumbnails: Vec::new() })
    }

    /// Says that the trainer took a batch, or has done `step` steps.
    pub(crate) fn alive(&self, step: u64) {
        self.publisher.beat(step);
    }

    /// Takes note of what happened to a stream.
    pub(crate) fn note(&mut self, stream: &str, event: &pipeline::Event) {
        let pipeline::Event { time, state, epoch, reason, .. } = event;
        let (time, state, epoch) = (*time, *state, *epoch);
        let stream = stream.to_owned();
        let event = Event { time, stream, state, epoch, reason: reason.clone() };
        self.shown.events.insert(0, event);
        self.shown.events.truncate(EVENTS);
    }

    /// Takes note of a reading of the loss.
    pub(crate) fn learn(
        &mut self,
        step: u64,
        report: &Report,
        pace: progress::Pace,
        step_seconds: f64,
    ) {
        self.shown.step = step;
        self.shown.pace = Pace {
            clips_per_second: pace.clips_per_second,
            step_seconds,
            waiting: pace.waiting,
            clip_age_seconds: Some(pace.clip_age),
        };
        let values = report.values.iter().map(|(name, value)| (name.clone(), f64::from(*value)));
        self.shown.losses = values.collect();
        self.publisher.publish(self.shown.clone());
    }

    /// Keeps a small picture of each stream of a batch, where the config wants them.
    pub(crate) fn picture(&mut self, batch: &Batch) {
        let Some(renewed) = self.pictures.filter(|it| it.elapsed() >= PICTURES) else { return };
        self.pictures = Some(renewed + renewed.elapsed());
        for (idx, clip) in batch.clips.iter().enumerate() {
            if self.thumbnails.len() <= clip.stream {
                self.thumbnails.resize(clip.stream + 1, None);
            }
            self.thumbnails[clip.stream] = Some(picture::first_frame(batch, idx));
        }
    }

    /// Shows what the streams did.
    pub(crate) fn refresh(&mut self, streams: &Streams, totals: &[(Counts, u64)]) {
        let seconds = self.read.elapsed().as_secs_f64().max(1e-9);
        self.read = Instant::now();
        let all: u64 = totals.iter().map(|it| it.1).sum();
        let before = std::mem::take(&mut self.shown.streams);
        for (idx, (stream, (counts, trained))) in streams.all().iter().zip(totals).enumerate() {
            let known = before.get(idx).map(|it| it.counts).unwrap_or_default();
            let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
            self.shown.streams.push(Stream {
                name: stream.name().to_owned(),
                state: stream.state,
                since: stream.since,
                epoch: stream.epoch,
                reason: stream.reason.clone(),
                counts: *counts,
                trained: *trained,
                untrained: 0,
                decoded_per_second: rate(counts.decoded, known.decoded),
                clips_per_second: rate(counts.clips, known.clips),
                share: *trained as f64 / all.max(1) as f64,
                thumbnail: self.thumbnails.get(idx).cloned().flatten(),
            });
        }
        self.publisher.publish(self.shown.clone());
    }
}
