//! Reads what can be read again: files, URIs that end, drawings.

use std::sync::Arc;

use super::{ReadEnd, StreamReader};
use crate::{
    Error, Problem, Result,
    clip::{Cursor, Origin},
    random::phase,
    source::{self, Item},
};

/// Epochs in a row that may end in a crash of the decoder and give no clip.
const MAX_CRASHES: u32 = 5;

impl StreamReader {
    /// Reads the source to its end, and again if it is looped.
    pub(super) fn read_all(&mut self) -> Result<ReadEnd> {
        let mut from = Cursor::clone(&self.from);
        let mut crashes = 0;
        loop {
            // After an epoch without clips, start the clips where the first epoch did.
            let first = from.no_clips || !self.config.source.allows_phase();
            let phase = if first { 0.0 } else { phase(self.seed, self.idx, from.epoch) };
            if self.read_once(&from, phase * self.clip.hop_seconds())? == ReadEnd::Stopped {
                return Ok(ReadEnd::Stopped);
            }
            let no_clips = self.sampler.counts.clips == from.clips_before;
            let (epoch, clips_before) = (from.epoch + 1, self.sampler.counts.clips);
            from = Cursor { epoch, clips_before, no_clips, ..Cursor::default() };
            if let Some(problem) = self.crash.take() {
                // The next epoch has a new process.
                crashes = if no_clips { crashes + 1 } else { 0 };
                if crashes < MAX_CRASHES {
                    continue;
                }
                return Err(problem.of(&self.config.name, &self.config.source.label()));
            }
            crashes = 0;
            if no_clips && phase == 0.0 {
                return Err(self.no_clip());
            }
            self.sampler.counts.epochs += 1;
            if !self.config.repeat {
                break;
            }
        }
        Ok(ReadEnd::Exhausted)
    }

    /// Reads every item once, from a cursor on. One that fails is reported and skipped, unless all
    /// of them fail.
    fn read_once(&mut self, from: &Cursor, phase: f64) -> Result<ReadEnd> {
        let source = &self.config.source;
        let wrong = |it: Problem| it.of(&self.config.name, &source.label());
        let items = source::list_items(source).map_err(wrong)?;
        let first = self.find(from, &items);
        let Cursor { mut failed, mut first_failure, .. } = from.clone();
        for (idx, item) in items.iter().enumerate().skip(first) {
            let label = item.label();
            let cursor = Arc::new(Cursor {
                item: idx,
                label: label.to_string(),
                counts: self.counts(),
                failed,
                first_failure: first_failure.clone(),
                ..from.clone()
            });
            let origin = Origin { item: label.clone(), epoch: from.epoch, phase, cursor };
            match self.read_item(item, origin) {
                Ok(ReadEnd::Stopped) => return Ok(ReadEnd::Stopped),
                Ok(ReadEnd::Exhausted) => {}
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
            Some(first) if failed == items.len() => Err(Error::AllFilesFailed {
                stream: self.config.name.clone(),
                count: items.len(),
                first,
            }),
            _ => Ok(ReadEnd::Exhausted),
        }
    }

    /// Index of the item that a cursor points to. Files may have come and gone since it was saved.
    fn find(&mut self, from: &Cursor, items: &[Item]) -> usize {
        let is_same = |it: &Item| *it.label() == *from.label;
        if from.label.is_empty() || items.get(from.item).is_some_and(is_same) {
            return from.item;
        }
        if let Some(idx) = items.iter().position(is_same) {
            return idx;
        }
        let text = format!("{} is gone, and the run resumes in it", from.label);
        self.keep_problem(
            text + ": the clips from here on differ from those of an uninterrupted run",
        );
        self.sampler.counts = self.fallback_counts;
        from.item.min(items.len())
    }
}
