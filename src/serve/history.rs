//! The curves of a run: a bounded number of readings, however long it runs.

use std::collections::BTreeMap;

use serde::Serialize;

/// Readings that are kept at most. A curve on a screen shows no more.
pub(super) const READINGS: usize = 2_000;

/// Values of the metrics over the steps.
///
/// When it is full, every other reading goes, and from then on readings are kept half as often,
/// so that the points of a curve stay evenly spaced over the whole run.
#[derive(Debug, Serialize)]
pub(super) struct History {
    steps: Vec<u64>,
    /// One value a step; none where a metric was not read, or is no number.
    values: BTreeMap<String, Vec<Option<f32>>>,
    #[serde(skip)]
    keep_one_in: u64,
    #[serde(skip)]
    offered: u64,
}

impl Default for History {
    fn default() -> Self {
        Self { steps: Vec::new(), values: BTreeMap::new(), keep_one_in: 1, offered: 0 }
    }
}

impl History {
    /// Offers the reading after `step`; one of a step that is known already changes nothing.
    pub(super) fn offer(&mut self, step: u64, values: &[(String, f64)]) {
        if values.is_empty() || self.steps.last().is_some_and(|it| *it >= step) {
            return;
        }
        self.offered += 1;
        if !(self.offered - 1).is_multiple_of(self.keep_one_in) {
            return;
        }
        if self.steps.len() == READINGS {
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
        self.values.values_mut().for_each(|it| it.resize(self.steps.len(), None));
    }

    fn halve(&mut self) {
        every_other(&mut self.steps);
        self.values.values_mut().for_each(every_other);
        self.keep_one_in *= 2;
    }
}

fn every_other<T>(items: &mut Vec<T>) {
    let mut keep = false;
    items.retain(|_| {
        keep = !keep;
        keep
    });
}
