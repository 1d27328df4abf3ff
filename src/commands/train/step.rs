//! One training step, and what is recorded of it.

use std::fs;
use std::time::Duration;

use model::Report;
use pipeline::{Batch, ClipInfo};
use storage::checkpoint_names::step_name;
use tracing::{debug, warn};

use super::Training;
use super::events::run_event;
use crate::commands::replay;
use crate::run::throughput::ThroughputMeter;
use crate::run::{clips, records};

/// The clips of a step.
pub(super) struct StepClips {
    step: u64,
    clips: Vec<ClipInfo>,
    times: Vec<f64>,
}

impl Training<'_> {
    /// Trains on a batch that the trainer waited for.
    pub(super) fn step(
        &mut self,
        mut batch: Batch,
        data_wait: Duration,
        meter: &mut ThroughputMeter,
    ) -> anyhow::Result<()> {
        let config = self.config;
        self.step += 1;
        storage::disk::fault::point("step");
        let step = self.step;
        let is_logged =
            step.is_multiple_of(config.log_every) || step == 1 || step == config.model.train.steps;
        let is_embedded = config.embed_every > 0 && step.is_multiple_of(config.embed_every);
        self.remember_clips(&batch);
        if let Some(view) = &mut self.view {
            view.update_thumbnails(&batch);
        }
        if config.checkpoint.keep_batches {
            replay::save_batch(&config.storage.dir, step, &batch)?;
        }
        let clips = clips::upload(&mut batch, &self.telemetry, &self.device);
        // Before the step: the embeddings and the losses of a row are of the same weights.
        let embeddings = is_embedded.then(|| self.trainer.embed(&clips));
        let report = self.trainer.step(&clips, is_logged || is_embedded);
        let report = report.map_err(|err| self.explain(err))?;
        self.ingest.trained(&batch);
        self.ledger.add_trained(&batch.clips);
        self.progress.advance(step);
        self.mark_active();
        meter.add_step(&batch, data_wait);
        let Some(report) = report else { return Ok(()) };
        if let Some(embeddings) = embeddings {
            self.recent_embeddings.push(&embeddings.frames);
            let streams = &self.streams;
            self.store
                .write(records::trained_embeddings(step, streams, &batch, embeddings, &report))?;
        }
        self.record(&report, meter)
    }

    /// Stores and shows the losses of the last step, and the counters of the streams.
    fn record(&mut self, report: &Report, meter: &mut ThroughputMeter) -> anyhow::Result<()> {
        self.recent_clips.clear();
        let step = self.step;
        let loss = report.values.first().map_or(f32::NAN, |(_, value)| *value);
        let throughput = meter.read();
        self.store.write(records::metrics(step, report, &throughput))?;
        if let Some(view) = &mut self.view {
            view.update_metrics(step, report, throughput);
        }
        self.store_stream_events()?;
        self.write_ledger()?;
        self.progress.show(step, loss, &throughput);
        for warning in &report.warnings {
            warn!("step {step}: {}", warning.message);
        }
        let messages = report.warnings.iter().map(|warning| warning.message.clone());
        self.store_events(messages.map(|message| run_event("warning", message)).collect())?;
        debug!("step {step}: {:?}", report.values);
        Ok(())
    }

    /// Tells the server that the trainer is not stuck.
    pub(super) fn mark_active(&self) {
        if let Some(view) = &self.view {
            view.mark_active(self.step);
        }
    }

    fn remember_clips(&mut self, batch: &Batch) {
        let Batch { clips, times, .. } = batch;
        let (clips, times) = (clips.clone(), times.clone());
        self.recent_clips.push_back(StepClips { step: self.step, clips, times });
    }

    /// An error of the trainer with what to do about it. If the training diverged, the weights are
    /// saved for inspection.
    pub(super) fn explain(&self, err: model::Error) -> anyhow::Error {
        match err {
            model::Error::Diverged { .. } => self.save_diverged(err),
            err => err.into(),
        }
    }

    /// Saves the weights, and which clips the last steps trained on.
    fn save_diverged(&self, err: model::Error) -> anyhow::Error {
        let folder = self.config.storage.dir.join(format!("diverged/{}", step_name(self.step)));
        let saved = fs::create_dir_all(&folder)
            .map_err(anyhow::Error::new)
            .and_then(|()| Ok(self.trainer.save(&folder)?))
            .and_then(|()| Ok(fs::write(folder.join("clips.json"), self.clips_json())?));
        let err = anyhow::Error::new(err);
        match saved {
            Ok(()) => err.context(format!(
                "training diverged; {} holds the weights and the origin of the last clips; `onward \
                 replay {}` finds where the first NaN arose",
                folder.display(),
                self.config.storage.dir.display()
            )),
            Err(save_err) => err
                .context(format!("training diverged, and saving its weights failed: {save_err:#}")),
        }
    }

    fn clips_json(&self) -> String {
        let clips = self.recent_clips.iter().flat_map(|step| {
            let frames = step.times.len() / step.clips.len().max(1);
            let times = step.times.chunks(frames.max(1));
            step.clips.iter().zip(times).map(|(clip, times)| {
                serde_json::json!({
                    "step": step.step, "stream": self.streams.name(clip.stream),
                    "item": &*clip.item, "epoch": clip.epoch, "times": times,
                })
            })
        });
        serde_json::Value::from_iter(clips).to_string()
    }
}
