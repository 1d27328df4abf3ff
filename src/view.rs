//! What a training run shows through [`crate::serve`].

use std::net::SocketAddr;
use std::time::{Instant, SystemTime};

use model::Report;
use pipeline::{Counts, Ingest, State};
use tracing::info;

use crate::serve::{self, Event, Pace, Publisher, Queue, Snapshot, Stream};
use crate::{Config, progress};

/// Events that are shown.
const EVENTS: usize = 50;

/// A server, and what it shows.
pub(crate) struct View {
    publisher: Publisher,
    shown: Snapshot,
    read: Instant,
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
            streams: config.pipeline.stream.iter().map(|it| stream(&it.name)).collect(),
            events: Vec::new(),
        };
        let batches = ingest.batches().clone();
        let publisher = serve::start(address, shown.clone(), move || batches.len())?;
        info!("the run can be seen at http://{}/", publisher.address());
        Ok(Self { publisher, shown, read: Instant::now() })
    }

    /// Says that the trainer took a batch, or has done `step` steps.
    pub(crate) fn alive(&self, step: u64) {
        self.publisher.beat(step);
    }

    /// Shows a reading of the loss, and what the streams did until then.
    pub(crate) fn show(
        &mut self,
        step: u64,
        report: &Report,
        pace: progress::Pace,
        step_seconds: f64,
        totals: &[(Counts, u64)],
    ) {
        self.shown.step = step;
        self.shown.pace = Pace {
            clips_per_second: pace.clips_per_second,
            step_seconds,
            waiting: pace.waiting,
            clip_age_seconds: None,
        };
        let values = report.values.iter().map(|(name, value)| (name.clone(), f64::from(*value)));
        self.shown.losses = values.collect();
        let seconds = self.read.elapsed().as_secs_f64().max(1e-9);
        self.read = Instant::now();
        let all: u64 = totals.iter().map(|it| it.1).sum();
        for (stream, (counts, trained)) in self.shown.streams.iter_mut().zip(totals) {
            let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
            stream.decoded_per_second = rate(counts.decoded, stream.counts.decoded);
            stream.clips_per_second = rate(counts.clips, stream.counts.clips);
            stream.share = *trained as f64 / all.max(1) as f64;
            if counts.decoded > 0 && stream.state == State::Connecting {
                (stream.state, stream.since) = (State::Playing, SystemTime::now());
                self.shown.events.insert(0, event(stream));
                self.shown.events.truncate(EVENTS);
            }
            (stream.counts, stream.trained) = (*counts, *trained);
        }
        self.publisher.publish(self.shown.clone());
    }
}

fn event(stream: &Stream) -> Event {
    let Stream { name, state, since, epoch, reason, .. } = stream;
    Event {
        time: *since,
        stream: name.clone(),
        state: *state,
        epoch: *epoch,
        reason: reason.clone(),
    }
}

fn stream(name: &str) -> Stream {
    Stream {
        name: name.into(),
        state: State::Connecting,
        since: SystemTime::now(),
        epoch: 0,
        reason: String::new(),
        counts: Counts::default(),
        trained: 0,
        untrained: 0,
        decoded_per_second: 0.0,
        clips_per_second: 0.0,
        share: 0.0,
        thumbnail: None,
    }
}
