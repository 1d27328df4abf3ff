//! The `streams` table: what each stream did since its previous row.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use pipeline::{ClipInfo, Counts, StreamEnd, StreamReport, StreamState};
use serde::{Deserialize, Serialize};
use storage::{StreamCount, StreamRow};

use crate::run::streams::{Stream, Streams};

/// The sums of the rows so far.
pub(crate) struct Ledger {
    /// By index of the stream.
    totals: Vec<StreamTotals>,
    written: Instant,
}

/// The sums of all rows of one stream.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(crate) struct StreamTotals {
    counts: Counts,
    /// Clips that were trained on since the previous row.
    clips: u64,
}

impl Default for Ledger {
    fn default() -> Self {
        Self { totals: Vec::new(), written: Instant::now() }
    }
}

impl Ledger {
    /// Continues from the totals of a checkpoint.
    pub(crate) fn resume(before: &BTreeMap<String, StreamTotals>, names: &[&str]) -> Self {
        let totals = names.iter().map(|name| before.get(*name).copied().unwrap_or_default());
        Self { totals: totals.collect(), ..Self::default() }
    }

    /// The sums of the rows so far, by name of the stream.
    pub(crate) fn totals(&self, streams: &Streams) -> BTreeMap<String, StreamTotals> {
        let names = streams.all().iter().map(|stream| stream.name().to_owned());
        names.zip(self.totals.iter().copied()).collect()
    }

    /// Time since the previous rows.
    pub(crate) fn age(&self) -> Duration {
        self.written.elapsed()
    }

    /// Counts clips that were trained on.
    pub(crate) fn add_trained(&mut self, clips: &[ClipInfo]) {
        for clip in clips {
            self.totals_of(clip.stream).clips += 1;
        }
    }

    /// A row for every stream of a run that continues, from a snapshot of its counters.
    pub(crate) fn rows(
        &mut self,
        step: u64,
        streams: &Streams,
        snapshot: &[Counts],
    ) -> storage::Streams {
        let all = self.trained_clips();
        let streams = streams.all().iter().zip(snapshot).enumerate();
        let rows = streams.map(|(idx, (stream, counts))| {
            let before = *self.totals_of(idx);
            let now = StreamTotals { counts: *counts, clips: 0 };
            *self.totals_of(idx) = now;
            let (state, message) = state_and_reason(stream);
            row(stream.name(), (before, now, all), state, message)
        });
        let rows = rows.collect();
        self.written = Instant::now();
        storage::Streams { step, time: SystemTime::now(), rows }
    }

    /// The last row of every stream. With it, the sums of all rows are those of its report.
    pub(crate) fn last_rows(mut self, step: u64, reports: &[StreamReport]) -> storage::Streams {
        let all = self.trained_clips();
        let rows = reports.iter().enumerate().map(|(idx, report)| {
            let now = StreamTotals { counts: report.counts, clips: 0 };
            let (state, message) = match &report.end {
                StreamEnd::Ended => ("ended", None),
                StreamEnd::Stopped => ("stopped", None),
                StreamEnd::Failed(reason) => ("failed", Some(reason.clone())),
            };
            let message = message.or_else(|| report.problems.first().cloned());
            row(&report.name, (*self.totals_of(idx), now, all), state, message)
        });
        let rows = rows.collect();
        storage::Streams { step, time: SystemTime::now(), rows }
    }

    fn totals_of(&mut self, idx: usize) -> &mut StreamTotals {
        if self.totals.len() <= idx {
            self.totals.resize(idx + 1, StreamTotals::default());
        }
        &mut self.totals[idx]
    }

    /// Clips of all streams that were trained on since the previous rows.
    fn trained_clips(&self) -> u64 {
        self.totals.iter().map(|totals| totals.clips).sum()
    }
}

/// State and reason of a stream. The state of an archive would depend on how fast its thread is,
/// which differs from run to run: its rows always say "running".
fn state_and_reason(stream: &Stream) -> (&'static str, Option<String>) {
    if !stream.is_live() {
        return ("running", None);
    }
    let is_away = stream.state != StreamState::Playing;
    (stream.state.name(), is_away.then(|| stream.reason.clone()))
}

fn row(
    stream: &str,
    (before, now, all): (StreamTotals, StreamTotals, u64),
    state: &str,
    message: Option<String>,
) -> StreamRow {
    let counts = now.counts.named().into_iter().zip(before.counts.named());
    let counts = counts.map(|(now, before)| StreamCount {
        name: now.name,
        description: now.description,
        value: now.value - before.value,
    });
    StreamRow {
        stream: stream.into(),
        state: state.into(),
        counts: counts.collect(),
        share: before.clips as f64 / all.max(1) as f64,
        message,
    }
}
