//! Clips that are held back, so that those of a batch come from many streams and moments.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::Draw;
use crate::{BatchConfig, clip::Clip};

/// Clips to draw from. Each is drawn up to `1 + reuse` times, and never twice in a batch.
///
/// With archives alone the pool is filled up before every draw. With live streams it waits for
/// new clips only until it was full once, or when it has none to draw; from then on what is there
/// is drawn again, and a new clip takes the place of the one that was drawn most.
#[derive(Debug)]
pub(crate) struct Pool {
    clips: Vec<Clip>,
    size: usize,
    reuse: u32,
    was_full: bool,
}

impl Pool {
    /// A pool that goes on with `clips`.
    pub(crate) fn new(config: &BatchConfig, clips: Vec<Clip>, was_full: bool) -> Self {
        let BatchConfig { pool: size, reuse, .. } = *config;
        Self { clips, size, reuse, was_full }
    }

    pub(crate) fn was_full(&self) -> bool {
        self.was_full
    }

    /// Up to `count` clips, fewer when the streams have ended.
    pub(crate) fn draw(
        &mut self,
        count: usize,
        source: &mut Draw,
        random: &mut ChaCha8Rng,
    ) -> Vec<Clip> {
        let mut drawn = Vec::with_capacity(count);
        while drawn.len() < count {
            self.fill(source, random);
            if self.clips.is_empty() {
                break;
            }
            drawn.push(self.clips.swap_remove(random.random_range(0..self.clips.len())));
        }
        drawn
    }

    /// Takes back what was drawn and may be drawn again.
    pub(crate) fn take_back(&mut self, drawn: Vec<Clip>) {
        for mut clip in drawn {
            clip.info.uses += 1;
            // Its frames were counted when it was drawn first.
            clip.info.owned = 0;
            if clip.info.uses <= self.reuse {
                self.clips.push(clip);
            }
        }
    }

    /// What is in it, in the order that decides which clip a number draws.
    pub(crate) fn clips(&self) -> &[Clip] {
        &self.clips
    }

    fn fill(&mut self, source: &mut Draw, random: &mut ChaCha8Rng) {
        let patient = self.reuse == 0 || !source.is_live();
        while self.clips.len() < self.size {
            let waits = patient || !self.was_full || self.clips.is_empty();
            let clip = if waits { source.next(random) } else { source.ready() };
            let Some(clip) = clip else { break };
            self.clips.push(clip);
        }
        self.was_full |= self.clips.len() >= self.size;
        if !patient {
            self.renew(source);
        }
    }

    /// Replaces clips that were drawn by new ones, the most drawn first.
    fn renew(&mut self, source: &mut Draw) {
        loop {
            let uses = |it: &usize| self.clips[*it].info.uses;
            let Some(oldest) = (0..self.clips.len()).max_by_key(uses) else { return };
            if uses(&oldest) == 0 {
                return;
            }
            let Some(clip) = source.ready() else { return };
            self.clips[oldest] = clip;
        }
    }
}
