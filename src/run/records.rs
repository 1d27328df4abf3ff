//! What the trainer measured, as records of the tables.

use std::time::{Duration, Instant, SystemTime};

use model::{Embeddings, Report, Vectors};
use pipeline::Batch;
use storage::{Metrics, Record};

use crate::run::streams::Streams;
use crate::terminal::progress::Pace;

/// Measures where the time goes between two readings of the loss.
pub(crate) struct Stopwatch {
    since: Instant,
    waited: Duration,
    clips: usize,
    steps: u64,
    /// Sum of the clips' ages, in seconds.
    age: f64,
    reused: usize,
}

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self {
            since: Instant::now(),
            waited: Duration::ZERO,
            clips: 0,
            steps: 0,
            age: 0.0,
            reused: 0,
        }
    }

    /// One more step over a batch, before which the trainer waited.
    pub(crate) fn step(&mut self, batch: &Batch, waited: Duration) {
        self.waited += waited;
        self.clips += batch.clips.len();
        self.age += batch.cut.iter().map(|it| it.elapsed().as_secs_f64()).sum::<f64>();
        self.reused += batch.clips.iter().filter(|it| it.uses > 0).count();
        self.steps += 1;
    }

    /// Clips a second, seconds a step, and the share of time spent waiting; starts anew.
    pub(crate) fn lap(&mut self, loss: f32) -> (Pace, f64) {
        let seconds = self.since.elapsed().as_secs_f64().max(1e-9);
        let pace = Pace {
            loss,
            clips_per_second: self.clips as f64 / seconds,
            waiting: self.waited.as_secs_f64() / seconds,
            clip_age: self.age / self.clips.max(1) as f64,
            reused: self.reused as f64 / self.clips.max(1) as f64,
        };
        let step_seconds = seconds / self.steps.max(1) as f64;
        *self = Self::start();
        (pace, step_seconds)
    }
}

/// The rows of `metrics` for one step.
pub(crate) fn metrics(step: u64, report: &Report, pace: Pace, step_seconds: f64) -> Record {
    let mut values: Vec<(String, f64)> =
        report.values.iter().map(|(name, value)| (name.clone(), f64::from(*value))).collect();
    values.push(("clips_per_second".into(), pace.clips_per_second));
    values.push(("waiting_share".into(), pace.waiting));
    values.push(("clip_age_seconds".into(), pace.clip_age));
    values.push(("reused_share".into(), pace.reused));
    values.push(("step_seconds".into(), step_seconds));
    Record::Metrics(Metrics { step, time: SystemTime::now(), values })
}

/// The rows of `embeddings` for one batch: the first frame of every clip.
pub(crate) fn embeddings(
    step: u64,
    streams: &Streams,
    batch: &Batch,
    embedded: Embeddings,
    report: &Report,
) -> Record {
    let others = embedded
        .others
        .into_iter()
        .map(|(name, Vectors { dim, values })| storage::Vectors { name: name.into(), dim, values });
    Record::Embeddings(storage::Embeddings {
        terms: report.per_clip.clone(),
        vectors: others.collect(),
        ..seen(step, embedded.encoder.into(), (streams, batch), embedded.frames)
    })
}

/// What an encoder saw in the first frame of every clip of a batch, and where that is from.
pub(crate) fn seen(
    step: u64,
    encoder: String,
    (streams, batch): (&Streams, &Batch),
    Vectors { dim, values }: Vectors,
) -> storage::Embeddings {
    let [_, frames, ..] = batch.shape;
    let clips = || batch.clips.iter();
    storage::Embeddings {
        step,
        encoder,
        stream: clips().map(|it| streams.name(it.stream).to_owned()).collect(),
        item: clips().map(|it| it.item.to_string()).collect(),
        pass: clips().map(|it| it.pass).collect(),
        pts: batch.times.chunks(frames).map(|it| it[0]).collect(),
        captured: clips().map(|it| Some(it.captured?.time)).collect(),
        captured_by: clips().map(|it| Some(it.captured?.by.name())).collect(),
        terms: Vec::new(),
        dim,
        values,
        vectors: Vec::new(),
    }
}
