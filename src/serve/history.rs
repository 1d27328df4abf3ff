//! The curves of a run: a bounded number of points, however long it runs.

use std::collections::BTreeMap;

use serde::Serialize;

/// The most points of a curve. A screen cannot show more.
pub(super) const POINTS: usize = 2_000;

/// Values of the metrics over the steps.
///
/// When it is full, every other point is removed, and from then on half as many are added, so that
/// points stay evenly spaced over the whole run.
#[derive(Debug, Serialize)]
pub(super) struct History {
    steps: Vec<u64>,
    /// One value per step; none where a metric was not read or is not finite.
    values: BTreeMap<String, Vec<Option<f32>>>,
    /// One in so many readings is added.
    #[serde(skip)]
    stride: u64,
    #[serde(skip)]
    readings: u64,
}

impl Default for History {
    fn default() -> Self {
        Self { steps: Vec::new(), values: BTreeMap::new(), stride: 1, readings: 0 }
    }
}

impl History {
    /// Adds the metrics after `step`, unless it has them already.
    pub(super) fn add(&mut self, step: u64, values: &[(String, f64)]) {
        if values.is_empty() || self.steps.last().is_some_and(|last| *last >= step) {
            return;
        }
        self.readings += 1;
        if !(self.readings - 1).is_multiple_of(self.stride) {
            return;
        }
        if self.steps.len() == POINTS {
            self.halve();
        }
        self.push(step, values);
    }

    fn push(&mut self, step: u64, values: &[(String, f64)]) {
        for (name, value) in values {
            let curve = self.values.entry(name.clone()).or_default();
            curve.resize(self.steps.len(), None);
            curve.push(value.is_finite().then_some(*value as f32));
        }
        self.steps.push(step);
        self.values.values_mut().for_each(|curve| curve.resize(self.steps.len(), None));
    }

    fn halve(&mut self) {
        every_other(&mut self.steps);
        self.values.values_mut().for_each(every_other);
        self.stride *= 2;
    }
}

fn every_other<T>(items: &mut Vec<T>) {
    let mut keep = false;
    items.retain(|_| {
        keep = !keep;
        keep
    });
}
