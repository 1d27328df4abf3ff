//! What happens beside the steps: to the streams, and to the list of them.

use std::time::SystemTime;

use pipeline::Event;
use storage::{EventRow, Events, Record};
use tracing::{info, warn};

use super::{LEDGER_EVERY, Run};

impl Run<'_> {
    /// Reads the list of streams again. A config that is wrong changes nothing.
    pub(super) fn reload(&mut self) -> anyhow::Result<()> {
        let rows = match self.arguments.load() {
            Ok(config) => self.streams.follow(&config, &mut self.ingest, &mut self.telemetry),
            Err(err) => {
                warn!("the streams stay as they are: {err:#}");
                vec![event("streams", format!("the config cannot be read again: {err:#}"))]
            }
        };
        if rows.is_empty() {
            info!("the config was read again: its streams are those that run");
        }
        self.store(rows)
    }

    /// Stores what happened, and a row of the ledger when none was written for long.
    pub(super) fn look_up(&mut self) -> anyhow::Result<()> {
        self.take_events()?;
        self.take_news()?;
        if let Some(view) = &mut self.view {
            view.refresh(&self.streams, &self.ingest.snapshot());
        }
        if self.ledger.age() > LEDGER_EVERY {
            self.write_ledger()?;
        }
        Ok(())
    }

    pub(super) fn take_events(&mut self) -> anyhow::Result<()> {
        let events: Vec<Event> = self.ingest.events().try_iter().collect();
        let rows = events.into_iter().map(|it| self.take(it)).collect();
        self.store(rows)
    }

    /// Stores what became of the copy in the object store.
    fn take_news(&self) -> anyhow::Result<()> {
        let Some(mirror) = &self.mirror else { return Ok(()) };
        mirror.check()?;
        self.store(mirror.news().try_iter().map(|it| event("storage", it)).collect())
    }

    pub(super) fn take(&mut self, event: Event) -> EventRow {
        if let Some(view) = &mut self.view {
            view.note(self.streams.name(event.stream), &event);
        }
        self.streams.take(event)
    }

    pub(super) fn store(&self, rows: Vec<EventRow>) -> anyhow::Result<()> {
        if !rows.is_empty() {
            self.store.write(Record::Events(Events { step: self.step, rows }))?;
        }
        Ok(())
    }

    pub(super) fn write_ledger(&mut self) -> anyhow::Result<()> {
        let rows = self.ledger.running(self.step, &self.streams, &self.ingest.snapshot());
        Ok(self.store.write(Record::Streams(rows))?)
    }
}

/// Something that happened to the run and not to a stream.
pub(super) fn event(kind: &str, message: String) -> EventRow {
    EventRow {
        time: SystemTime::now(),
        kind: kind.to_owned(),
        stream: None,
        state: None,
        epoch: None,
        message,
    }
}
