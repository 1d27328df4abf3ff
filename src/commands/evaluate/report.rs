//! Means, intervals and comparisons, as a table and as JSON.

use std::fmt::Write as _;

use anyhow::ensure;
use evaluation::{Estimate, interval};
use serde::Serialize;

use super::Task;
use super::encoders::{Encoder, Kind};
use super::tasks::Scores;

/// The results of a task.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    task: &'static str,
    data: String,
    results: Vec<Line>,
}

/// One number of one encoder.
#[derive(Debug, Serialize)]
struct Line {
    encoder: String,
    metric: String,
    #[serde(flatten)]
    estimate: Estimate,
    /// By how much it is more than the untrained network of the run's own seed.
    #[serde(skip_serializing_if = "Option::is_none")]
    over_untrained: Option<Estimate>,
    /// By how much it is more than the encoder of `--against`.
    #[serde(skip_serializing_if = "Option::is_none")]
    over_against: Option<Estimate>,
}

impl Report {
    /// Of the scores of each encoder. `against` is the place of the one that all are compared with.
    ///
    /// # Errors
    /// No item could be scored.
    pub(super) fn new(
        task: Task,
        summary: String,
        encoders: &[Encoder],
        scores: Vec<Scores>,
        against: Option<usize>,
    ) -> anyhow::Result<Self> {
        let place = |kind| encoders.iter().position(|it| it.kind == kind);
        let untrained = place(Kind::Untrained);
        let mut rows: Vec<(String, Kind, &Scores)> = encoders
            .iter()
            .zip(&scores)
            .filter(|(encoder, _)| encoder.kind != Kind::UntrainedAgain)
            .map(|(encoder, scores)| (encoder.name.clone(), encoder.kind, scores))
            .collect();
        let again: Vec<_> =
            encoders.iter().zip(&scores).filter(|it| it.0.kind == Kind::UntrainedAgain).collect();
        let mean = mean_of(&again.iter().map(|it| it.1).collect::<Vec<_>>());
        if let (Some(mean), Some(at)) = (&mean, rows.iter().position(|it| it.1 == Kind::Untrained))
        {
            let name = format!("untrained, mean of {} others", again.len());
            rows.insert(at + 1, (name, Kind::UntrainedAgain, mean));
        }
        let mut results = Vec::new();
        for (encoder, kind, of) in rows {
            for (idx, (metric, items)) in of.metrics.iter().enumerate() {
                if items.is_empty() {
                    continue;
                }
                let over = |other: Option<usize>| {
                    let other = other.filter(|_| kind == Kind::Trained)?;
                    difference(items, &scores[other].metrics.get(idx)?.1)
                };
                results.push(Line {
                    encoder: encoder.clone(),
                    metric: metric.to_string(),
                    estimate: interval::mean(items, 0),
                    over_untrained: over(untrained),
                    over_against: over(against),
                });
            }
        }
        ensure!(!results.is_empty(), "no encoder here has patches: {} needs a ViT", task.name());
        Ok(Self { task: task.name(), data: summary, results })
    }

    /// A table.
    pub(super) fn text(&self) -> String {
        let mut text = format!("{}: {}\n", self.task, self.data);
        let width = self.results.iter().map(|it| it.encoder.len()).max().unwrap_or(0);
        for line in &self.results {
            let Line { encoder, metric, estimate, over_untrained, over_against } = line;
            let _ = write!(text, "  {encoder:<width$}  {metric:<16}  {}", number(estimate));
            for (over, name) in [(over_untrained, "untrained"), (over_against, "--against")] {
                if let Some(over) = over {
                    let _ = write!(text, "   over {name}: {}", number(over));
                }
            }
            text.push('\n');
        }
        text
    }
}

/// A number with its 95 % interval.
fn number(Estimate { value, low, high }: &Estimate) -> String {
    format!("{value:6.3} ({low:.3} .. {high:.3})")
}

/// The mean of each item's numbers over encoders.
fn mean_of(all: &[&Scores]) -> Option<Scores> {
    let first = all.first()?;
    let metrics = first.metrics.iter().enumerate().map(|(idx, (name, items))| {
        let mean = |item: usize| {
            all.iter().map(|it| it.metrics[idx].1[item]).sum::<f64>() / all.len() as f64
        };
        (name.clone(), (0..items.len()).map(mean).collect())
    });
    Some(Scores { metrics: metrics.collect() })
}

/// The mean of the differences of the same items.
fn difference(items: &[f64], others: &[f64]) -> Option<Estimate> {
    let differences: Vec<f64> = items.iter().zip(others).map(|(a, b)| a - b).collect();
    (items.len() == others.len() && !items.is_empty()).then(|| interval::mean(&differences, 0))
}
