//! One step, and what is told of it.

use std::fs;
use std::time::Duration;

use model::Report;
use pipeline::{Batch, ClipInfo};
use tracing::{debug, warn};

use super::Run;
use super::events::event;
use crate::commands::replay;
use crate::run::clips;
use crate::run::records::{self, Stopwatch};

/// A step and the clips that it trained on.
pub(super) struct Origin {
    step: u64,
    clips: Vec<ClipInfo>,
    times: Vec<f64>,
}

impl Run<'_> {
    pub(super) fn step(
        &mut self,
        mut batch: Batch,
        waited: Duration,
        watch: &mut Stopwatch,
    ) -> anyhow::Result<()> {
        let config = self.config;
        self.step += 1;
        storage::fault::point("step");
        let step = self.step;
        let log =
            step.is_multiple_of(config.log_every) || step == 1 || step == config.model.train.steps;
        let embed = config.embed_every > 0 && step.is_multiple_of(config.embed_every);
        self.remember(&batch);
        if let Some(view) = &mut self.view {
            view.picture(&batch);
        }
        if config.checkpoint.keep_batches {
            replay::keep(&config.storage.dir, step, &batch)?;
        }
        let clips = clips::upload(&mut batch, &self.telemetry, &self.device);
        // Before the step: the embeddings and the losses of a row are of the same weights.
        let embedded = embed.then(|| self.trainer.embed(&clips));
        let report = self.trainer.step(&clips, log || embed).map_err(|err| self.failed(err))?;
        self.ingest.trained(&batch);
        self.ledger.trained(&batch.clips);
        self.line.advance(step);
        self.alive();
        watch.step(&batch, waited);
        let Some(report) = report else { return Ok(()) };
        if let Some(embedded) = embedded {
            self.embedded.push(&embedded.frames);
            let record = records::embeddings(step, &self.streams, &batch, embedded, &report);
            self.store.write(record)?;
        }
        self.report(&report, watch)
    }

    /// Stores and shows what the last step measured, and what the streams did until then.
    fn report(&mut self, report: &Report, watch: &mut Stopwatch) -> anyhow::Result<()> {
        self.recent.clear();
        let step = self.step;
        let loss = report.values.first().map_or(f32::NAN, |it| it.1);
        let (pace, step_seconds) = watch.lap(loss);
        self.store.write(records::metrics(step, report, pace, step_seconds))?;
        if let Some(view) = &mut self.view {
            view.learn(step, report, pace, step_seconds);
        }
        self.take_events()?;
        self.write_ledger()?;
        self.line.show(step, pace);
        for warning in &report.warnings {
            warn!("step {step}: {}", warning.message);
        }
        let warnings = report.warnings.iter().map(|it| event("warning", it.message.clone()));
        self.store(warnings.collect())?;
        debug!("step {step}: {:?}", report.values);
        Ok(())
    }

    /// Tells those who watch that the trainer works.
    pub(super) fn alive(&self) {
        if let Some(view) = &self.view {
            view.alive(self.step);
        }
    }

    fn remember(&mut self, batch: &Batch) {
        let Batch { clips, times, .. } = batch;
        let (clips, times) = (clips.clone(), times.clone());
        self.recent.push_back(Origin { step: self.step, clips, times });
    }

    /// Says what the trainer's error means; of a loss that is no number, keeps what there is.
    pub(super) fn failed(&self, err: model::Error) -> anyhow::Error {
        match err {
            model::Error::Diverged { .. } => self.diverged(err),
            other => other.into(),
        }
    }

    /// Saves the weights and where the clips of the last steps came from.
    fn diverged(&self, err: model::Error) -> anyhow::Error {
        let folder = self.config.storage.dir.join(format!("diverged/step-{:08}", self.step));
        let saved = fs::create_dir_all(&folder)
            .map_err(anyhow::Error::new)
            .and_then(|()| Ok(self.trainer.save(&folder)?))
            .and_then(|()| Ok(fs::write(folder.join("clips.json"), self.origins())?));
        let err = anyhow::Error::new(err);
        match saved {
            Ok(()) => err.context(format!(
                "training diverged; {} holds the weights and the origin of the last clips; `onward \
                 replay {}` says where it began",
                folder.display(),
                self.config.storage.dir.display()
            )),
            Err(why) => err.context(format!("training diverged, and saving it failed: {why:#}")),
        }
    }

    fn origins(&self) -> String {
        let steps = self.recent.iter().flat_map(|origin| {
            let frames = origin.times.len() / origin.clips.len().max(1);
            let times = origin.times.chunks(frames.max(1));
            origin.clips.iter().zip(times).map(|(clip, times)| {
                serde_json::json!({
                    "step": origin.step, "stream": self.streams.name(clip.stream),
                    "item": &*clip.item, "pass": clip.pass, "times": times,
                })
            })
        });
        serde_json::Value::from_iter(steps).to_string()
    }
}
