//! How a run ends, whatever ended it.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use pipeline::{StreamEnd, StreamReport};
use storage::{Events, Mirror, Record, TableSummary};
use tracing::{error, info, warn};

use super::Training;
use super::events::run_event;

/// What a run produced.
pub(crate) struct TrainingResult {
    pub(crate) steps: u64,
    /// Steps that were done before it resumed.
    pub(crate) first_step: u64,
    pub(crate) streams: Vec<StreamReport>,
    pub(crate) tables: Vec<TableSummary>,
    pub(crate) checkpoint: Option<PathBuf>,
}

impl Training<'_> {
    /// Writes the last checkpoint, stops the streams, and closes the tables. `trained` is the
    /// result of the training.
    pub(super) fn finish(mut self, trained: anyhow::Result<()>) -> anyhow::Result<TrainingResult> {
        // Untrained weights and weights with NaN are not saved.
        let is_useful = self.step > 0 && !trained.as_ref().is_err_and(is_divergence);
        // The checkpoint comes before the last rows: a run that resumes from it writes them again.
        let checkpoint = is_useful.then(|| self.write_checkpoint()).transpose();
        let Self { store, mirror, ingest, ledger, mut streams, step, first_step, .. } = self;
        let events = ingest.events().clone();
        let reports = ingest.finish();
        for report in reports.iter().filter(|report| !report.is_balanced()) {
            warn!("stream {:?}: its frames do not add up: {report:?}", report.name);
        }
        let news = mirror.iter().flat_map(|mirror| mirror.notices().try_iter());
        let news: Vec<_> = news.map(|message| run_event("storage", message)).collect();
        let rows = store.write(Record::Streams(ledger.last_rows(step, &reports)));
        let last = events.try_iter().map(|event| streams.apply(event)).chain(news).collect();
        let last = store.write(Record::Events(Events { step, rows: last }));
        let tables = store.finish().context("the tables are incomplete");
        let uploaded = mirror.map_or(Ok(()), finish_upload);
        // If the writer or the upload ended first, its own error says why.
        if let Err(err) = trained
            && !is_stopped(&err)
        {
            uploaded.unwrap_or_else(|err| error!("{err:#}"));
            return Err(err);
        }
        let tables = tables?;
        rows.and(last)?;
        let checkpoint = checkpoint?;
        uploaded?;
        Ok(TrainingResult { steps: step, first_step, streams: reports, tables, checkpoint })
    }
}

/// Waits until the object store has everything.
pub(super) fn finish_upload(mirror: Mirror) -> anyhow::Result<()> {
    info!("copying the rest to the object store; a second Ctrl-C leaves it to the next start");
    mirror.finish().map_err(|err| {
        let is_late = matches!(err, storage::Error::Remote { .. } | storage::Error::File { .. });
        let err = anyhow::Error::new(err);
        match is_late {
            true => err.context(
                "the object store does not have everything: the same command copies the rest",
            ),
            false => err,
        }
    })
}

fn is_divergence(err: &anyhow::Error) -> bool {
    matches!(err.downcast_ref(), Some(model::Error::Diverged { .. }))
}

/// Whether the thread that writes or uploads ended first.
fn is_stopped(err: &anyhow::Error) -> bool {
    let err = err.downcast_ref();
    matches!(err, Some(storage::Error::WriterStopped | storage::Error::MirrorStopped))
}

impl TrainingResult {
    /// An error when nothing was learned, or when all streams failed.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        let has_failed = |report: &StreamReport| matches!(report.end, StreamEnd::Failed(_));
        if self.streams.iter().all(has_failed) {
            bail!("no stream is left: all {} failed, see above", self.streams.len());
        }
        let is_stopped = self.streams.iter().any(|report| report.end == StreamEnd::Stopped);
        if self.steps == 0 && !is_stopped {
            bail!("the streams ended before they filled one batch; lower pipeline.batch.clips");
        }
        Ok(())
    }
}
