//! The streams of a run: the state of each, and changes to their list.

use std::time::SystemTime;

use pipeline::{Ingest, StreamConfig, StreamEvent, StreamState};
use storage::EventRow;
use tracing::{info, warn};

use crate::run::telemetry::Telemetry;

/// All streams by index, removed ones included.
pub(crate) struct Streams(Vec<Stream>);

/// One stream.
pub(crate) struct Stream {
    config: StreamConfig,
    removed: bool,
    pub(crate) state: StreamState,
    /// When it entered that state.
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
            state: StreamState::Connecting,
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
    pub(crate) fn new(configs: &[StreamConfig]) -> Self {
        Self(configs.iter().map(Stream::new).collect())
    }

    /// All streams, by index.
    pub(crate) fn all(&self) -> &[Stream] {
        &self.0
    }

    /// Name of a stream.
    pub(crate) fn name(&self, idx: usize) -> &str {
        self.0[idx].name()
    }

    /// Enters the state of an event, and gives the event's row.
    pub(crate) fn apply(&mut self, event: StreamEvent) -> EventRow {
        let StreamEvent { stream, time, state, epoch, reason, .. } = event;
        let stream = &mut self.0[stream];
        (stream.state, stream.since, stream.epoch) = (state, time, epoch);
        stream.reason.clone_from(&reason);
        EventRow {
            time,
            kind: "state".to_owned(),
            stream: Some(stream.name().to_owned()),
            state: Some(state.name().to_owned()),
            epoch: Some(epoch),
            message: reason,
        }
    }

    /// Adds and removes streams until those of `configs` run. A stream whose config changed is
    /// removed and added again. A stream that cannot be added does not stop the others.
    pub(crate) fn update(
        &mut self,
        configs: &[StreamConfig],
        ingest: &mut Ingest,
        telemetry: &mut Telemetry,
    ) -> Vec<EventRow> {
        let mut rows = Vec::new();
        for (idx, stream) in self.0.iter_mut().enumerate() {
            if !stream.removed && !configs.contains(&stream.config) {
                stream.removed = true;
                ingest.remove(idx);
                info!("stream {:?} removed: it is no longer in the config", stream.name());
                rows.push(row(stream.name(), "removed: it is no longer in the config"));
            }
        }
        for config in configs {
            if self.0.iter().any(|stream| !stream.removed && stream.config == *config) {
                continue;
            }
            let added = telemetry.add(config).and_then(|()| {
                ingest.add(config).inspect_err(|_| telemetry.remove_last())?;
                Ok(())
            });
            let name = &config.name;
            match added {
                Ok(()) => {
                    self.0.push(Stream::new(config));
                    info!("stream {name:?} added: it is new in the config");
                    rows.push(row(name, "added: it is new in the config"));
                }
                Err(err) => {
                    warn!("stream {name:?} could not be added: {err:#}");
                    rows.push(row(name, &format!("could not be added: {err:#}")));
                }
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
