//! The `streams` table: what each stream did since its previous row.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use pipeline::{ClipInfo, Counts, Outcome, State, StreamReport};
use serde::{Deserialize, Serialize};
use storage::StreamRow;

use crate::run::streams::{Stream, Streams};

/// What the rows so far add up to.
pub(crate) struct Ledger {
    /// By number of the stream.
    totals: Vec<Total>,
    written: Instant,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Total {
    counts: Counts,
    trained: u64,
    untrained: u64,
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
    pub(crate) fn resumed(before: &BTreeMap<String, Total>, names: &[&str]) -> Self {
        let total = |name: &&str| before.get(*name).copied().unwrap_or_default();
        Self { totals: names.iter().map(total).collect(), ..Self::default() }
    }

    /// What the rows so far add up to, by name of the stream.
    pub(crate) fn totals(&self, streams: &Streams) -> BTreeMap<String, Total> {
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
        snapshot: &[(Counts, u64)],
    ) -> storage::Streams {
        let all = self.clips();
        let rows = streams.all().iter().zip(snapshot).enumerate().map(|(idx, (stream, now))| {
            let before = *self.total(idx);
            let now = Total { counts: now.0, trained: now.1, clips: 0, ..before };
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
            let StreamReport { counts, trained, untrained, .. } = *report;
            let now = Total { counts, trained, untrained, clips: 0 };
            let (state, message) = match &report.outcome {
                Outcome::Ended => ("ended", None),
                Outcome::Stopped => ("stopped", None),
                Outcome::Failed(why) => ("failed", Some(why.clone())),
            };
            let message = message.or_else(|| report.problems.first().cloned());
            row(&report.name, (*self.total(idx), now, all), state, message)
        });
        let rows = rows.collect();
        storage::Streams { step, time: SystemTime::now(), rows }
    }

    fn total(&mut self, idx: usize) -> &mut Total {
        if self.totals.len() <= idx {
            self.totals.resize(idx + 1, Total::default());
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
    let gone = stream.state != State::Playing;
    (stream.state.name(), gone.then(|| stream.reason.clone()))
}

fn row(
    stream: &str,
    (before, now, all): (Total, Total, u64),
    state: &str,
    message: Option<String>,
) -> StreamRow {
    let since = |field: fn(&Counts) -> u64| field(&now.counts) - field(&before.counts);
    StreamRow {
        stream: stream.into(),
        state: state.into(),
        decoded: since(|it| it.decoded),
        trained: now.trained - before.trained,
        untrained: now.untrained - before.untrained,
        off_grid: since(|it| it.off_grid),
        cut: since(|it| it.cut),
        discontinuity: since(|it| it.discontinuity),
        uneven: since(|it| it.uneven),
        light: since(|it| it.light),
        still: since(|it| it.still),
        dropped: since(|it| it.dropped),
        unfinished: since(|it| it.unfinished),
        passes: since(|it| it.passes),
        errors: since(|it| it.errors),
        reconnects: since(|it| it.reconnects),
        stalls: since(|it| it.stalls),
        late: since(|it| it.late),
        unneeded: since(|it| it.unneeded),
        abandoned: since(|it| it.abandoned),
        clips: since(|it| it.clips),
        share: before.clips as f64 / all.max(1) as f64,
        message,
    }
}
