//! How fast a run trains, and where the time goes.

use std::time::{Duration, Instant};

use pipeline::Batch;
use serde::Serialize;

/// Means over the steps since the previous reading of the losses.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Throughput {
    pub(crate) clips_per_second: f64,
    /// Share of the time that the trainer waited for data, 0..1.
    pub(crate) data_wait: f64,
    /// Time from the end of a clip's decoding to its training, in seconds.
    pub(crate) clip_age_seconds: f64,
    /// Share of the clips that had been trained on before, 0..1.
    pub(crate) reused_share: f64,
    pub(crate) step_seconds: f64,
}

impl Throughput {
    /// Names and values for the table `metrics`.
    pub(crate) fn metrics(&self) -> [(&'static str, f64); 5] {
        [
            ("clips_per_second", self.clips_per_second),
            ("data_wait", self.data_wait),
            ("clip_age_seconds", self.clip_age_seconds),
            ("reused_share", self.reused_share),
            ("step_seconds", self.step_seconds),
        ]
    }
}

/// Measures the throughput between two readings of the losses.
pub(crate) struct ThroughputMeter {
    start: Instant,
    data_wait: Duration,
    clips: usize,
    steps: u64,
    /// Sum over the clips, in seconds.
    clip_age: f64,
    reused: usize,
}

impl ThroughputMeter {
    pub(crate) fn start() -> Self {
        Self {
            start: Instant::now(),
            data_wait: Duration::ZERO,
            clips: 0,
            steps: 0,
            clip_age: 0.0,
            reused: 0,
        }
    }

    /// Adds a step over a batch that the trainer waited for.
    pub(crate) fn add_step(&mut self, batch: &Batch, data_wait: Duration) {
        self.data_wait += data_wait;
        self.clips += batch.clips.len();
        self.clip_age += batch.cut_at.iter().map(|cut| cut.elapsed().as_secs_f64()).sum::<f64>();
        self.reused += batch.clips.iter().filter(|clip| clip.uses > 0).count();
        self.steps += 1;
    }

    /// The throughput since the start or the previous reading.
    pub(crate) fn read(&mut self) -> Throughput {
        let seconds = self.start.elapsed().as_secs_f64().max(1e-9);
        let clips = self.clips.max(1) as f64;
        let throughput = Throughput {
            clips_per_second: self.clips as f64 / seconds,
            data_wait: self.data_wait.as_secs_f64() / seconds,
            clip_age_seconds: self.clip_age / clips,
            reused_share: self.reused as f64 / clips,
            step_seconds: seconds / self.steps.max(1) as f64,
        };
        *self = Self::start();
        throughput
    }
}
