//! The `[checkpoint]` table.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When a run writes checkpoints, and which of them are kept.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "CheckpointConfig")]
pub(crate) struct Config {
    /// Seconds between two checkpoints; 0 turns this off. A crash costs the work since the last
    /// checkpoint.
    pub(crate) every_seconds: f64,
    /// Steps between two checkpoints; 0 turns this off. The last step always has a checkpoint.
    pub(crate) every_steps: u64,
    /// How many of the newest are kept, at least 1. With 2, a run survives a damaged checkpoint.
    pub(crate) keep_last: usize,
    /// Checkpoints whose step is a multiple of this are never removed; 0 turns this off.
    pub(crate) keep_every: u64,
    /// Also keeps the checkpoint that is the best by this measure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) keep_best: Option<Measure>,
    /// Stores the batches since the last checkpoint in `replay/`, so that `onward replay` can
    /// repeat steps over cameras too. Archives do not need it. The files hold the frames.
    pub(crate) keep_batches: bool,
}

/// How good a checkpoint is, measured without labels.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Measure {
    /// The effective rank of the stored embeddings (Garrido et al., 2023, "RankMe").
    Rankme,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            every_seconds: 600.0,
            every_steps: 0,
            keep_last: 2,
            keep_every: 0,
            keep_best: None,
            keep_batches: false,
        }
    }
}

impl Config {
    /// Whether a checkpoint is due after `step` steps, `since` the last one.
    pub(crate) fn is_due(&self, step: u64, since: Duration) -> bool {
        let by_time = self.every_seconds > 0.0 && since.as_secs_f64() >= self.every_seconds;
        by_time || (self.every_steps > 0 && step.is_multiple_of(self.every_steps))
    }

    /// The key of the first wrong value, and what is wrong with it.
    pub(crate) fn find_error(&self) -> Option<(&'static str, &'static str)> {
        let every = self.every_seconds;
        if !(every.is_finite() && every >= 0.0) {
            return Some(("checkpoint.every_seconds", "must be 0 (off) or more"));
        }
        (self.keep_last == 0).then_some(("checkpoint.keep_last", "must be at least 1"))
    }
}
