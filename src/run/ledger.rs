//! The `streams` table: what each stream did since its previous row.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use pipeline::{ClipInfo, Counts, StreamEnd, StreamReport, StreamState};
use serde::{Deserialize, Serialize};
use storage::StreamRow;

use crate::run::streams::{Stream, Streams};

/// What the rows so far add up to.
pub(crate) struct Ledger {
    /// By number of the stream.
    totals: Vec<StreamTotals>,
    written: Instant,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(crate) struct StreamTotals {
    counts: Counts,
    /// Clips that were trained on since the last row.
    clips: u64,
}

impl Default for Ledger {
    fn default() -> Self {
        Self { totals: Vec::new(), written: Instant::now() }
    }
}

impl Ledger {
    /// Goes on from what the rows of a run before add up to.
    pub(crate) fn resumed(before: &BTreeMap<String, StreamTotals>, names: &[&str]) -> Self {
        let total = |name: &&str| before.get(*name).copied().unwrap_or_default();
        Self { totals: names.iter().map(total).collect(), ..Self::default() }
    }

    /// What the rows so far add up to, by name of the stream.
    pub(crate) fn totals(&self, streams: &Streams) -> BTreeMap<String, StreamTotals> {
        let names = streams.all().iter().map(|it| it.name().to_owned());
        names.zip(self.totals.iter().copied()).collect()
    }

    /// Time since the last rows.
    pub(crate) fn age(&self) -> Duration {
        self.written.elapsed()
    }

    /// Says that these clips were trained on.
    pub(crate) fn trained(&mut self, clips: &[ClipInfo]) {
        for clip in clips {
            self.total(clip.stream).clips += 1;
        }
    }

    /// Rows for the streams of a run that goes on, from their newest totals.
    pub(crate) fn running(
        &mut self,
        step: u64,
        streams: &Streams,
        snapshot: &[Counts],
    ) -> storage::Streams {
        let all = self.clips();
        let rows = streams.all().iter().zip(snapshot).enumerate().map(|(idx, (stream, now))| {
            let before = *self.total(idx);
            let now = StreamTotals { counts: *now, clips: 0 };
            *self.total(idx) = now;
            let (state, message) = told(stream);
            row(stream.name(), (before, now, all), state, message)
        });
        let rows = rows.collect();
        self.written = Instant::now();
        storage::Streams { step, time: SystemTime::now(), rows }
    }

    /// The last row of every stream; the sums of all rows are then its report.
    pub(crate) fn last(mut self, step: u64, reports: &[StreamReport]) -> storage::Streams {
        let all = self.clips();
        let rows = reports.iter().enumerate().map(|(idx, report)| {
            let now = StreamTotals { counts: report.counts, clips: 0 };
            let (state, message) = match &report.end {
                StreamEnd::Ended => ("ended", None),
                StreamEnd::Stopped => ("stopped", None),
                StreamEnd::Failed(why) => ("failed", Some(why.clone())),
            };
            let message = message.or_else(|| report.problems.first().cloned());
            row(&report.name, (*self.total(idx), now, all), state, message)
        });
        let rows = rows.collect();
        storage::Streams { step, time: SystemTime::now(), rows }
    }

    fn total(&mut self, idx: usize) -> &mut StreamTotals {
        if self.totals.len() <= idx {
            self.totals.resize(idx + 1, StreamTotals::default());
        }
        &mut self.totals[idx]
    }

    /// Clips of all streams that were trained on since the last row.
    fn clips(&self) -> u64 {
        self.totals.iter().map(|it| it.clips).sum()
    }
}

/// State and reason of a stream. An archive's state would depend on how fast its thread is, so
/// that it only runs.
fn told(stream: &Stream) -> (&'static str, Option<String>) {
    if !stream.is_live() {
        return ("running", None);
    }
    let gone = stream.state != StreamState::Playing;
    (stream.state.name(), gone.then(|| stream.reason.clone()))
}

fn row(
    stream: &str,
    (before, now, all): (StreamTotals, StreamTotals, u64),
    state: &str,
    message: Option<String>,
) -> StreamRow {
    let counts = now.counts.named().into_iter().zip(before.counts.named());
    StreamRow {
        stream: stream.into(),
        state: state.into(),
        counts: counts.map(|((name, now), (_, before))| (name, now - before)).collect(),
        share: before.clips as f64 / all.max(1) as f64,
        message,
    }
}
