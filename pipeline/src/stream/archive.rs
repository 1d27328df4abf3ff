//! Reading what can be read again: files, URIs that end, drawings.

use std::sync::Arc;

use super::{End, Reader};
use crate::{
    Error, Problem, Result,
    clip::{Origin, Place},
    random::phase,
    source::{self, Item},
};

/// Readings in a row that may end in crashes of the decoder and give no clip.
const CRASHES: u32 = 5;

impl Reader {
    /// Reads the source to its end, and again when it is looped.
    pub(super) fn read_all(&mut self) -> Result<End> {
        let mut from = Place::clone(&self.from);
        let mut crashes = 0;
        loop {
            // After a reading that gave no clip, begin where the first reading did.
            let first = from.fruitless || !self.config.source.begins_anywhere();
            let phase = if first { 0.0 } else { phase(self.seed, self.idx, from.pass) };
            if self.read_once(&from, phase * self.clip.hop_seconds())? == End::Stopped {
                return Ok(End::Stopped);
            }
            let fruitless = self.sampler.counts.clips == from.before;
            let (pass, before) = (from.pass + 1, self.sampler.counts.clips);
            from = Place { pass, before, fruitless, ..Place::default() };
            if let Some(problem) = self.crash.take() {
                // The next reading has a process of its own.
                crashes = if fruitless { crashes + 1 } else { 0 };
                if crashes < CRASHES {
                    continue;
                }
                return Err(problem.of(&self.config.name, &self.config.source.label()));
            }
            crashes = 0;
            if fruitless && phase == 0.0 {
                return Err(self.no_clip());
            }
            self.sampler.counts.passes += 1;
            if !self.config.repeat {
                break;
            }
        }
        Ok(End::Exhausted)
    }

    /// Reads every file once, from a place on. One that fails is reported and skipped, unless
    /// all of them do.
    fn read_once(&mut self, from: &Place, phase: f64) -> Result<End> {
        let source = &self.config.source;
        let wrong = |it: Problem| it.of(&self.config.name, &source.label());
        let items = source::items_of(source).map_err(wrong)?;
        let first = self.find(from, &items);
        let Place { mut failed, mut first_failure, .. } = from.clone();
        for (idx, item) in items.iter().enumerate().skip(first) {
            let label = item.label();
            let place = Arc::new(Place {
                item: idx,
                label: label.to_string(),
                counts: self.counts(),
                failed,
                first_failure: first_failure.clone(),
                ..from.clone()
            });
            let origin = Origin { item: label.clone(), pass: from.pass, phase, place };
            match self.read_item(item, origin) {
                Ok(End::Stopped) => return Ok(End::Stopped),
                Ok(End::Exhausted) => {}
                Err(problem @ Problem::Crashed(_)) if self.config.repeat => {
                    self.report(&label, &problem);
                    self.crash = Some(problem);
                }
                Err(problem) if items.len() == 1 => {
                    self.sampler.counts.errors += 1;
                    return Err(problem.of(&self.config.name, &label));
                }
                Err(problem) => {
                    failed += 1;
                    first_failure.get_or_insert_with(|| format!("{label}: {problem}"));
                    self.report(&label, &problem);
                }
            }
        }
        match first_failure {
            Some(first) if failed == items.len() => Err(Error::EveryFile {
                stream: self.config.name.clone(),
                count: items.len(),
                first,
            }),
            _ => Ok(End::Exhausted),
        }
    }

    /// Which item a place is at. Files may have come and gone since it was written down.
    fn find(&mut self, from: &Place, items: &[Item]) -> usize {
        let is_same = |it: &Item| *it.label() == *from.label;
        if from.label.is_empty() || items.get(from.item).is_some_and(is_same) {
            return from.item;
        }
        if let Some(idx) = items.iter().position(is_same) {
            return idx;
        }
        let text = format!("{} is gone, where the run before stood", from.label);
        self.keep(text + ": what comes now is not what would have come");
        self.sampler.counts = self.otherwise;
        from.item.min(items.len())
    }
}
