//! The `streams` table: what each stream did since its previous row.

use std::time::SystemTime;

use pipeline::{Counts, Outcome, StreamReport};
use storage::{StreamRow, Streams};

/// What the rows so far add up to, a stream.
pub(crate) struct Ledger {
    streams: Vec<(String, Total)>,
}

#[derive(Clone, Copy, Default)]
struct Total {
    counts: Counts,
    trained: u64,
    untrained: u64,
}

impl Ledger {
    pub(crate) fn new(config: &pipeline::Config) -> Self {
        let streams = config.stream.iter().map(|it| (it.name.clone(), Total::default()));
        Self { streams: streams.collect() }
    }

    /// Rows for running streams, from their newest totals.
    pub(crate) fn running(&mut self, step: u64, snapshot: &[(Counts, u64)]) -> Streams {
        let rows = self.streams.iter_mut().zip(snapshot).map(|((name, before), now)| {
            let (counts, trained) = *now;
            let total = Total { counts, trained, ..*before };
            row(name, std::mem::replace(before, total), total, "running", None)
        });
        Streams { step, time: SystemTime::now(), rows: rows.collect() }
    }

    /// The last row of every stream; the sums of all rows are then its report.
    pub(crate) fn last(mut self, step: u64, reports: &[StreamReport]) -> Streams {
        let rows = self.streams.iter_mut().zip(reports).map(|((name, before), report)| {
            let StreamReport { counts, trained, untrained, .. } = *report;
            let total = Total { counts, trained, untrained };
            let (state, message) = match &report.outcome {
                Outcome::Ended => ("ended", None),
                Outcome::Stopped => ("stopped", None),
                Outcome::Failed(why) => ("failed", Some(why.clone())),
            };
            let message = message.or_else(|| report.problems.first().cloned());
            row(name, *before, total, state, message)
        });
        Streams { step, time: SystemTime::now(), rows: rows.collect() }
    }
}

fn row(stream: &str, before: Total, now: Total, state: &str, message: Option<String>) -> StreamRow {
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
        full: since(|it| it.full),
        unfinished: since(|it| it.unfinished),
        passes: since(|it| it.passes),
        errors: since(|it| it.errors),
        reconnects: since(|it| it.reconnects),
        stalls: since(|it| it.stalls),
        late: since(|it| it.late),
        unneeded: since(|it| it.unneeded),
        abandoned: since(|it| it.abandoned),
        clips: since(|it| it.clips),
        share: 0.0,
        message,
    }
}
