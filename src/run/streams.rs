//! The streams of a run while it runs: what each is doing, and which come and go.

use std::time::SystemTime;

use pipeline::{Event, Ingest, State, StreamConfig};
use storage::EventRow;
use tracing::{info, warn};

use crate::Config;
use crate::run::telemetry::Telemetry;

/// All streams by number, those that were removed among them.
pub(crate) struct Streams(Vec<Stream>);

/// One stream.
pub(crate) struct Stream {
    config: StreamConfig,
    removed: bool,
    pub(crate) state: State,
    /// Since when it is in that state, UTC.
    pub(crate) since: SystemTime,
    pub(crate) epoch: u64,
    /// Why it is in that state.
    pub(crate) reason: String,
}

impl Stream {
    fn new(config: &StreamConfig) -> Self {
        Self {
            config: config.clone(),
            removed: false,
            state: State::Connecting,
            since: SystemTime::now(),
            epoch: 0,
            reason: String::new(),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.config.name
    }

    pub(crate) fn is_live(&self) -> bool {
        self.config.is_live()
    }
}

impl Streams {
    pub(crate) fn new(config: &pipeline::Config) -> Self {
        Self(config.stream.iter().map(Stream::new).collect())
    }

    /// All of them, by number.
    pub(crate) fn all(&self) -> &[Stream] {
        &self.0
    }

    /// Name of a stream.
    pub(crate) fn name(&self, idx: usize) -> &str {
        self.0[idx].name()
    }

    /// Takes note of an event, and gives its row.
    pub(crate) fn take(&mut self, event: Event) -> EventRow {
        let Event { stream, time, state, epoch, reason, .. } = event;
        let known = &mut self.0[stream];
        (known.state, known.since, known.epoch) = (state, time, epoch);
        known.reason.clone_from(&reason);
        EventRow {
            time,
            kind: "state".to_owned(),
            stream: Some(known.name().to_owned()),
            state: Some(state.name().to_owned()),
            epoch: Some(epoch),
            message: reason,
        }
    }

    /// Adds and removes streams, so that those of `config` run. A stream of which anything
    /// changed is removed and added anew. What cannot be added is said, and the rest goes on.
    pub(crate) fn follow(
        &mut self,
        config: &Config,
        ingest: &mut Ingest,
        telemetry: &mut Telemetry,
    ) -> Vec<EventRow> {
        let wanted = &config.pipeline.stream;
        let mut rows = Vec::new();
        for (idx, stream) in self.0.iter_mut().enumerate() {
            if !stream.removed && !wanted.contains(&stream.config) {
                stream.removed = true;
                ingest.remove(idx);
                rows.push(row(stream.name(), "removed: the config has it no more"));
            }
        }
        for config in wanted {
            if self.0.iter().any(|it| !it.removed && it.config == *config) {
                continue;
            }
            let added = telemetry.add(config).and_then(|()| {
                ingest.add(config).inspect_err(|_| telemetry.forget_last())?;
                Ok(())
            });
            let message = match added {
                Ok(()) => {
                    self.0.push(Stream::new(config));
                    "added: the config has it now".to_owned()
                }
                Err(err) => format!("could not be added: {err:#}"),
            };
            rows.push(row(&config.name, &message));
        }
        for EventRow { stream, message, .. } in &rows {
            let name = stream.as_deref().unwrap_or_default();
            match message.starts_with("could not") {
                true => warn!("stream {name:?} {message}"),
                false => info!("stream {name:?} {message}"),
            }
        }
        rows
    }
}

fn row(stream: &str, message: &str) -> EventRow {
    EventRow {
        time: SystemTime::now(),
        kind: "streams".to_owned(),
        stream: Some(stream.to_owned()),
        state: None,
        epoch: None,
        message: message.to_owned(),
    }
}
