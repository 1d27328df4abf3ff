//! How a run ends, whatever ended it.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use pipeline::{Outcome, StreamReport};
use storage::{Events, Mirror, Record, TableSummary};
use tracing::{error, info, warn};

use super::Run;
use super::events::event;

/// What a run left behind.
pub(crate) struct Ended {
    pub(crate) steps: u64,
    /// Of them, those of the run that it went on from.
    pub(crate) before: u64,
    pub(crate) streams: Vec<StreamReport>,
    pub(crate) tables: Vec<TableSummary>,
    pub(crate) checkpoint: Option<PathBuf>,
}

impl Run<'_> {
    /// Writes a checkpoint, stops the streams, and writes what is left to write, whatever ended the
    /// training.
    pub(super) fn end(mut self, trained: anyhow::Result<()>) -> anyhow::Result<Ended> {
        // Weights that nothing was learned into, or that are no numbers, are worth no file.
        let worth = self.step > 0 && !trained.as_ref().is_err_and(is_divergence);
        // Before the last rows, which a run that goes on from here will write again.
        let saved = worth.then(|| self.checkpoint()).transpose();
        let Self { store, mirror, ingest, ledger, mut streams, step, before, .. } = self;
        let events = ingest.events().clone();
        let reports = ingest.finish();
        for report in reports.iter().filter(|it| !it.is_balanced()) {
            warn!("stream {:?}: its frames do not add up: {report:?}", report.name);
        }
        let news = mirror.iter().flat_map(|it| it.news().try_iter());
        let news: Vec<_> = news.map(|it| event("storage", it)).collect();
        let rows = store.write(Record::Streams(ledger.last(step, &reports)));
        let last = events.try_iter().map(|it| streams.take(it)).chain(news).collect();
        let last = store.write(Record::Events(Events { step, rows: last }));
        let tables = store.finish().context("the tables are incomplete");
        let copied = mirror.map_or(Ok(()), copy_rest);
        // The writer's own error says why writing to it failed, so it goes first.
        if let Err(err) = trained
            && !is_stopped(&err)
        {
            copied.unwrap_or_else(|it| error!("{it:#}"));
            return Err(err);
        }
        let tables = tables?;
        rows.and(last)?;
        let checkpoint = saved?;
        copied?;
        Ok(Ended { steps: step, before, streams: reports, tables, checkpoint })
    }
}

/// Waits until the object store has all.
pub(super) fn copy_rest(mirror: Mirror) -> anyhow::Result<()> {
    info!("copying the rest to the object store; a second Ctrl-C leaves it to the next start");
    mirror.finish().map_err(|err| {
        let is_late = matches!(err, storage::Error::Remote { .. } | storage::Error::File { .. });
        let err = anyhow::Error::new(err);
        match is_late {
            true => err.context("the object store lacks a part: the same command copies the rest"),
            false => err,
        }
    })
}

fn is_divergence(err: &anyhow::Error) -> bool {
    matches!(err.downcast_ref(), Some(model::Error::Diverged { .. }))
}

/// Whether a thread that writes or copies ended first; then it knows why.
fn is_stopped(err: &anyhow::Error) -> bool {
    let err = err.downcast_ref();
    matches!(err, Some(storage::Error::Stopped | storage::Error::Unmirrored))
}

impl Ended {
    /// An error when nothing was learned, or no stream is left because all failed.
    pub(super) fn verdict(&self) -> anyhow::Result<()> {
        let failed = |it: &StreamReport| matches!(it.outcome, Outcome::Failed(_));
        if self.streams.iter().all(failed) {
            bail!("no stream is left: all {} failed, see above", self.streams.len());
        }
        if self.steps == 0 && self.streams.iter().all(|it| it.outcome != Outcome::Stopped) {
            bail!("the streams ended before they filled one batch; lower pipeline.batch.clips");
        }
        Ok(())
    }
}
