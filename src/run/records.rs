//! Metrics and embeddings as records of the tables.

use std::time::SystemTime;

use model::{Embeddings, Report, VectorBatch};
use pipeline::Batch;
use storage::{Metrics, Record};

use crate::run::streams::Streams;
use crate::run::throughput::Throughput;

/// The rows of `metrics` for one step.
pub(crate) fn metrics(step: u64, report: &Report, throughput: &Throughput) -> Record {
    let losses = report.values.iter().map(|(name, value)| (name.clone(), f64::from(*value)));
    let throughput = throughput.metrics().map(|(name, value)| (name.to_owned(), value));
    let values = losses.chain(throughput).collect();
    Record::Metrics(Metrics { step, time: SystemTime::now(), values })
}

/// The rows of `embeddings` for a batch that was trained on: the first frame of every clip, with
/// the losses of the clip.
pub(crate) fn trained_embeddings(
    step: u64,
    streams: &Streams,
    batch: &Batch,
    embedded: Embeddings,
    report: &Report,
) -> Record {
    let others = embedded.others.into_iter().map(|(name, VectorBatch { dim, values })| {
        storage::VectorColumn { name: name.into(), dim, values }
    });
    Record::Embeddings(storage::Embeddings {
        terms: report.per_clip.clone(),
        vectors: others.collect(),
        ..embeddings(step, embedded.encoder.into(), (streams, batch), embedded.frames)
    })
}

/// The rows of `embeddings` for a batch: the first frame of every clip, and where it is from.
pub(crate) fn embeddings(
    step: u64,
    encoder: String,
    (streams, batch): (&Streams, &Batch),
    VectorBatch { dim, values }: VectorBatch,
) -> storage::Embeddings {
    let [_, frames, ..] = batch.shape;
    let clips = || batch.clips.iter();
    storage::Embeddings {
        step,
        encoder,
        stream: clips().map(|clip| streams.name(clip.stream).to_owned()).collect(),
        item: clips().map(|clip| clip.item.to_string()).collect(),
        epoch: clips().map(|clip| clip.epoch).collect(),
        pts: batch.times.chunks(frames).map(|times| times[0]).collect(),
        captured: clips().map(|clip| Some(clip.captured?.time)).collect(),
        captured_by: clips().map(|clip| Some(clip.captured?.clock.name())).collect(),
        terms: Vec::new(),
        dim,
        values,
        vectors: Vec::new(),
    }
}
