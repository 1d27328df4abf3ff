//! What is shown of a run.

use std::time::{SystemTime, UNIX_EPOCH};

use pipeline::{Counts, FrameOutcome, StreamCounter, StreamState};
use serde::{Serialize, Serializer};

use crate::run::throughput::Throughput;

/// A run at one moment.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Snapshot {
    /// Name of the run.
    pub(crate) run: String,
    /// Steps that are done.
    pub(crate) step: u64,
    /// Steps of the whole run.
    pub(crate) steps: u64,
    /// When the run started.
    #[serde(serialize_with = "unix")]
    pub(crate) started: SystemTime,
    /// Since the previous reading of the losses.
    pub(crate) throughput: Throughput,
    /// What waits to be trained on.
    pub(crate) queue: Queue,
    /// The latest value of every metric, in the order in which they are shown.
    pub(crate) losses: Vec<(String, f64)>,
    /// The streams, in the order of the config.
    pub(crate) streams: Vec<Stream>,
    /// The newest events of all streams, the newest first.
    pub(crate) events: Vec<Event>,
}

/// What waits to be trained on.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Queue {
    /// Complete batches.
    pub(crate) batches: usize,
    /// Clips in the pool, if known.
    pub(crate) pool: Option<usize>,
}

/// A stream at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    pub(crate) name: String,
    pub(crate) state: StreamState,
    /// When it entered this state.
    pub(crate) since: SystemTime,
    /// Number of the connection or reading, counted from 0.
    pub(crate) epoch: u64,
    /// Why it is in this state, without credentials; may be empty.
    pub(crate) reason: String,
    pub(crate) counts: Counts,
    pub(crate) decoded_per_second: f64,
    pub(crate) clips_per_second: f64,
    /// Its share of the frames that were trained on, 0..1.
    pub(crate) share: f64,
    /// A small picture as `data:image/jpeg;base64,...`, if the config asks for it.
    pub(crate) thumbnail: Option<String>,
}

/// A change of a stream's state.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Event {
    #[serde(serialize_with = "unix")]
    pub(crate) time: SystemTime,
    pub(crate) stream: String,
    #[serde(serialize_with = "state")]
    pub(crate) state: StreamState,
    pub(crate) epoch: u64,
    pub(crate) reason: String,
}

/// Every state.
pub(crate) const STATES: [StreamState; 8] = [
    StreamState::Connecting,
    StreamState::Playing,
    StreamState::Stalled,
    StreamState::Waiting,
    StreamState::GivenUp,
    StreamState::Ended,
    StreamState::Failed,
    StreamState::Stopped,
];

impl Snapshot {
    /// Whether the run trains: a step is done, and a stream plays.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn ready(&self) -> Result<(), String> {
        if self.step == 0 {
            return Err("the first step is not done yet".into());
        }
        if self.streams.iter().any(|stream| stream.state == StreamState::Playing) {
            return Ok(());
        }
        let states: Vec<_> = self
            .streams
            .iter()
            .map(|stream| format!("{:?} is {}", stream.name, stream.state))
            .collect();
        Err(format!("no stream plays: {}", states.join(", ")))
    }
}

/// Name, number and description.
pub(crate) type Numbered = (&'static str, u64, &'static str);

impl Stream {
    /// Name, number and description of every outcome of decoded frames. Frames that have none yet
    /// are `held`, so that the numbers add up to `counts.decoded`.
    pub(crate) fn outcomes(&self) -> Vec<Numbered> {
        // The counters of a stream and of the trainer are not read at the same instant.
        let held = self.counts.decoded.saturating_sub(self.counts.accounted());
        let held = ("held", held, "decoded and not in a trained clip yet");
        let outcomes = FrameOutcome::ALL.iter();
        let outcomes = outcomes
            .map(|outcome| (outcome.name(), self.counts.frames(*outcome), outcome.description()));
        outcomes.chain([held]).collect()
    }

    /// Name, number and description of every other counter.
    pub(crate) fn counters(&self) -> Vec<Numbered> {
        let counters = StreamCounter::ALL.iter();
        let counters = counters
            .map(|counter| (counter.name(), self.counts.counter(*counter), counter.description()));
        counters.collect()
    }
}

impl Serialize for Stream {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        /// A stream in `/state.json`.
        #[derive(Serialize)]
        struct StreamJson<'a> {
            name: &'a str,
            state: &'static str,
            since: f64,
            epoch: u64,
            reason: &'a str,
            outcomes: Vec<Numbered>,
            counters: Vec<Numbered>,
            decoded: u64,
            decoded_per_second: f64,
            clips_per_second: f64,
            share: f64,
            thumbnail: Option<&'a str>,
        }
        StreamJson {
            name: &self.name,
            state: self.state.name(),
            since: seconds(self.since),
            epoch: self.epoch,
            reason: &self.reason,
            outcomes: self.outcomes(),
            counters: self.counters(),
            decoded: self.counts.decoded,
            decoded_per_second: self.decoded_per_second,
            clips_per_second: self.clips_per_second,
            share: self.share,
            thumbnail: self.thumbnail.as_deref(),
        }
        .serialize(serializer)
    }
}

/// Seconds since 1970, to the millisecond.
pub(super) fn seconds(time: SystemTime) -> f64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis() as f64 / 1e3
}

fn unix<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(seconds(*time))
}

fn state<S: Serializer>(state: &StreamState, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(state.name())
}
