//! Runs streams, trains on all batches, and waits for what should happen.

use std::{
    path::{Path, PathBuf},
    sync::LazyLock,
    time::Duration,
};

use cameras::media;
use crossbeam_channel::{after, select};
use pipeline::{
    BatchConfig, ClipConfig, ClipInfo, Config, Ingest, Retry, SourceConfig, StreamConfig,
    StreamEvent, StreamReport, StreamState, start,
};
use tempfile::TempDir;

/// The longest that anything may take, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(40);

/// Media of the tests, made once.
static FOLDER: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().unwrap());

pub(crate) fn folder() -> &'static Path {
    FOLDER.path()
}

pub(crate) fn h264() -> PathBuf {
    media::h264(folder(), [320, 240], 4, 25)
}

/// A camera at this URL, with short timeouts and delays.
pub(crate) fn camera(name: &str, url: &str) -> StreamConfig {
    let mut stream = StreamConfig::new(name, SourceConfig::Uri(url.to_owned().into()));
    stream.latency = 0.05;
    stream.retry =
        Retry { stall_timeout: 1.0, connect_timeout: 5.0, max_delay: 0.5, ..Retry::default() };
    stream
}

/// Clips of 2 frames, 0.2 s apart, back to back, one per batch.
pub(crate) fn config(stream: Vec<StreamConfig>) -> Config {
    Config::new([32, 32], ClipConfig::new(2, 0.2), BatchConfig::new(1, 1), stream)
}

/// Running streams, and everything they gave.
pub(crate) struct Watch {
    pub(crate) ingest: Ingest,
    pub(crate) events: Vec<StreamEvent>,
    pub(crate) clips: Vec<(ClipInfo, Vec<f64>)>,
}

impl Watch {
    pub(crate) fn over(config: &Config) -> Self {
        Self { ingest: start(config, 0).unwrap(), events: Vec::new(), clips: Vec::new() }
    }

    /// Trains until `done`.
    pub(crate) fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let over = after(PATIENCE);
        while !done(self) {
            select! {
                recv(self.ingest.batches()) -> batch => {
                    let Ok(batch) = batch else {
                        assert!(self.take_events() || done(self), "{what}: ended: {self:?}");
                        continue;
                    };
                    self.ingest.trained(&batch);
                    let times = batch.times.chunks(batch.shape[1]).map(<[f64]>::to_vec);
                    self.clips.extend(batch.clips.into_iter().zip(times));
                }
                recv(self.ingest.events()) -> event => self.events.extend(event),
                recv(over) -> _ => panic!("{what}: not in {PATIENCE:?}: {self:?}"),
            }
        }
    }

    fn take_events(&mut self) -> bool {
        let before = self.events.len();
        self.events.extend(self.ingest.events().try_iter());
        self.events.len() > before
    }

    pub(crate) fn until_state(&mut self, stream: usize, state: StreamState, epoch: u64) {
        let what = format!("stream {stream} {state} in epoch {epoch}");
        self.until(&what, |it| {
            it.events.iter().any(|it| it.stream == stream && it.state == state && it.epoch == epoch)
        });
    }

    /// Trains until a stream has given this many clips in an epoch.
    pub(crate) fn until_clips(&mut self, stream: usize, epoch: u64, clips: usize) {
        let what = format!("{clips} clips of stream {stream} in epoch {epoch}");
        self.until(&what, |it| {
            it.clips_of(stream).filter(|it| it.0.epoch == epoch).count() >= clips
        });
    }

    /// The clips that a stream has given, with the times of their frames.
    pub(crate) fn clips_of(&self, stream: usize) -> impl Iterator<Item = &(ClipInfo, Vec<f64>)> {
        self.clips.iter().filter(move |it| it.0.stream == stream)
    }

    /// The states of a stream in order; repeated failures to connect are listed once.
    pub(crate) fn states(&self, stream: usize) -> Vec<StreamState> {
        let of_stream = self.events.iter().filter(|it| it.stream == stream);
        let mut states: Vec<StreamState> = of_stream.map(|it| it.state).collect();
        let pair = [StreamState::Waiting, StreamState::Connecting];
        let mut idx = 0;
        while idx + 4 <= states.len() {
            if states[idx..idx + 2] == pair && states[idx + 2..idx + 4] == pair {
                states.drain(idx..idx + 2);
            } else {
                idx += 1;
            }
        }
        states
    }

    /// The reason of a stream's last change to a state.
    pub(crate) fn reason(&self, stream: usize, state: StreamState) -> &str {
        let mut events = self.events.iter().rev();
        let event = events.find(|it| it.stream == stream && it.state == state);
        &event.unwrap_or_else(|| panic!("{state} was not seen: {self:?}")).reason
    }

    /// Stops everything. Every frame must have an outcome, and no clip may hold frames of two
    /// connections, whose times would not be evenly spaced.
    pub(crate) fn finish(self) -> Vec<StreamReport> {
        for (clip, times) in &self.clips {
            for pair in times.windows(2) {
                let gap = pair[1] - pair[0];
                // Each frame is the nearest to its time: off by half a frame gap at most, and 5 ms.
                assert!((gap - 0.2).abs() < 0.055, "a gap of {gap} s in {clip:?}");
            }
        }
        let reports = self.ingest.finish();
        for report in &reports {
            assert!(report.is_balanced(), "{report:?}");
        }
        reports
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{} clips", self.clips.len())?;
        for StreamEvent { stream, state, epoch, reason, counts, .. } in &self.events {
            writeln!(f, "{stream} epoch {epoch} {state}: {reason} ({} decoded)", counts.decoded)?;
        }
        Ok(())
    }
}
