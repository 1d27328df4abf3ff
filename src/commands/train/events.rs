//! What happens between the steps: events of the streams, and changes to their list.

use std::time::SystemTime;

use pipeline::StreamEvent;
use storage::{EventRow, Events, Record};
use tracing::{info, warn};

use super::{LEDGER_EVERY, Training};

impl Training<'_> {
    /// Reads the list of streams again. A config that cannot be used changes nothing.
    pub(super) fn reload(&mut self) -> anyhow::Result<()> {
        let rows = match self.arguments.load() {
            Ok(config) => {
                let configs = &config.pipeline.stream;
                self.streams.update(configs, &mut self.ingest, &mut self.telemetry)
            }
            Err(err) => {
                warn!("the streams stay as they are: {err:#}");
                vec![run_event("streams", format!("the config could not be read again: {err:#}"))]
            }
        };
        if rows.is_empty() {
            info!("the config was read again: its streams have not changed");
        }
        self.store_events(rows)
    }

    /// Stores events, updates the page, and stores the streams' counters when the last rows are
    /// old.
    pub(super) fn heartbeat(&mut self) -> anyhow::Result<()> {
        self.store_stream_events()?;
        self.store_mirror_events()?;
        if let Some(view) = &mut self.view {
            view.update_streams(&self.streams, &self.ingest.snapshot());
        }
        if self.ledger.age() > LEDGER_EVERY {
            self.write_ledger()?;
        }
        Ok(())
    }

    pub(super) fn store_stream_events(&mut self) -> anyhow::Result<()> {
        let events: Vec<StreamEvent> = self.ingest.events().try_iter().collect();
        let rows = events.into_iter().map(|event| self.apply(event)).collect();
        self.store_events(rows)
    }

    /// Stores what happened to the copy in the object store.
    fn store_mirror_events(&self) -> anyhow::Result<()> {
        let Some(mirror) = &self.mirror else { return Ok(()) };
        mirror.check()?;
        let news = mirror.notices().try_iter();
        self.store_events(news.map(|message| run_event("storage", message)).collect())
    }

    /// Applies the event of a stream, and gives its row.
    pub(super) fn apply(&mut self, event: StreamEvent) -> EventRow {
        if let Some(view) = &mut self.view {
            view.add_event(self.streams.name(event.stream), &event);
        }
        self.streams.apply(event)
    }

    pub(super) fn store_events(&self, rows: Vec<EventRow>) -> anyhow::Result<()> {
        if !rows.is_empty() {
            self.store.write(Record::Events(Events { step: self.step, rows }))?;
        }
        Ok(())
    }

    pub(super) fn write_ledger(&mut self) -> anyhow::Result<()> {
        let rows = self.ledger.rows(self.step, &self.streams, &self.ingest.snapshot());
        Ok(self.store.write(Record::Streams(rows))?)
    }
}

/// An event of the run, not of a stream.
pub(super) fn run_event(kind: &str, message: String) -> EventRow {
    EventRow {
        time: SystemTime::now(),
        kind: kind.to_owned(),
        stream: None,
        state: None,
        epoch: None,
        message,
    }
}
