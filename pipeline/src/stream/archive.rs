//! Reading what can be read again: files, URIs that end, drawings.

use super::{End, Reader};
use crate::{Error, Problem, Result, random::phase, sampler::Origin, source};

/// Readings in a row that may end in crashes of the decoder and give no clip.
const CRASHES: u32 = 5;

impl Reader {
    /// Reads the source to its end, and again when it is looped.
    pub(super) fn read_all(&mut self) -> Result<End> {
        let (mut fruitless, mut crashes) = (false, 0);
        for pass in 0.. {
            // After a reading that gave no clip, begin where the first reading did.
            let first = fruitless || !self.config.source.begins_anywhere();
            let phase = if first { 0.0 } else { phase(self.seed, self.idx, pass) };
            let before = self.sampler.counts.clips;
            if self.read_once(pass, phase * self.clip.hop_seconds())? == End::Stopped {
                return Ok(End::Stopped);
            }
            fruitless = self.sampler.counts.clips == before;
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

    /// Reads every file once. One that fails is reported and skipped, unless all of them do.
    fn read_once(&mut self, pass: u64, phase: f64) -> Result<End> {
        let source = &self.config.source;
        let wrong = |it: Problem| it.of(&self.config.name, &source.label());
        let items = source::items(source).map_err(wrong)?;
        let mut failed = Vec::new();
        for item in &items {
            let label = item.label();
            let origin = Origin { item: label.clone(), pass, phase };
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
                    failed.push(format!("{label}: {problem}"));
                    self.report(&label, &problem);
                }
            }
        }
        match failed.first() {
            Some(first) if failed.len() == items.len() => Err(Error::EveryFile {
                stream: self.config.name.clone(),
                count: items.len(),
                first: first.clone(),
            }),
            _ => Ok(End::Exhausted),
        }
    }
}
