//! Checkpoints of a run that trains.

use std::path::PathBuf;
use std::time::Instant;

use tracing::warn;

use super::Training;
use super::events::run_event;
use crate::commands::replay;
use crate::run::checkpoint::{self, Contents};

impl Training<'_> {
    /// Writes a checkpoint of the last step with all rows until now, unless it has one already.
    pub(super) fn write_checkpoint(&mut self) -> anyhow::Result<PathBuf> {
        let run = &self.config.storage.dir;
        let folder = checkpoint::path(run, self.step);
        if self.saved_step == self.step {
            return Ok(folder);
        }
        self.trainer.check().map_err(|err| self.explain(err))?;
        self.store_events(vec![run_event("checkpoint", folder.display().to_string())])?;
        let rankme = || self.recent_embeddings.rankme();
        let contents = Contents {
            run_id: &self.run_id,
            step: self.step,
            config: self.config.resolve()?,
            streams: &self.ingest.resume_state(),
            totals: self.ledger.totals(&self.streams),
            watermark: self.store.sync()?,
            trainer: Some(self.trainer.as_ref()),
            rankme: self.config.checkpoint.keep_best.and_then(|_| rankme()),
        };
        let folder = checkpoint::write(run, contents)?;
        checkpoint::prune(run, &self.config.checkpoint)?;
        replay::remove_batches(run, self.step)?;
        if let Some(warning) = checkpoint::free_space::warn_after_checkpoint(&folder) {
            warn!("{warning}");
            self.store_events(vec![run_event("warning", warning)])?;
        }
        (self.saved, self.saved_step) = (Instant::now(), self.step);
        Ok(folder)
    }
}
