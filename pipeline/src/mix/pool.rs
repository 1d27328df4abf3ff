//! Holds clips back, so that those of a batch come from many streams and moments.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::ClipDraw;
use crate::{BatchConfig, clip::Clip};

/// Clips to draw from. Each is drawn up to `1 + reuse` times, and at most once per batch.
///
/// With archives alone the pool is filled up before every draw. With live streams and reuse, it
/// waits for new clips only until it was full once, and when it has none. From then on the clips in
/// it are drawn again, and a new clip replaces the one that was drawn most.
#[derive(Debug)]
pub(crate) struct Pool {
    clips: Vec<Clip>,
    size: usize,
    reuse: u32,
    was_full: bool,
}

impl Pool {
    /// A pool that starts with `clips`.
    pub(crate) fn new(config: &BatchConfig, clips: Vec<Clip>, was_full: bool) -> Self {
        let BatchConfig { pool: size, reuse, .. } = *config;
        Self { clips, size, reuse, was_full }
    }

    pub(crate) fn was_full(&self) -> bool {
        self.was_full
    }

    /// Up to `count` clips; fewer when the streams have ended.
    pub(crate) fn draw(
        &mut self,
        count: usize,
        source: &mut ClipDraw,
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

    /// Takes back drawn clips that may be drawn again.
    pub(crate) fn take_back(&mut self, drawn: Vec<Clip>) {
        for mut clip in drawn {
            clip.info.uses += 1;
            // Its frames were counted when it was drawn first.
            clip.info.new_frames = 0;
            if clip.info.uses <= self.reuse {
                self.clips.push(clip);
            }
        }
    }

    /// The clips, in the order that decides which one a random number draws.
    pub(crate) fn clips(&self) -> &[Clip] {
        &self.clips
    }

    fn fill(&mut self, source: &mut ClipDraw, random: &mut ChaCha8Rng) {
        let waits_for_new = self.reuse == 0 || !source.is_live();
        while self.clips.len() < self.size {
            let waits = waits_for_new || !self.was_full || self.clips.is_empty();
            let clip = if waits { source.next(random) } else { source.ready() };
            let Some(clip) = clip else { break };
            self.clips.push(clip);
        }
        self.was_full |= self.clips.len() >= self.size;
        if !waits_for_new {
            self.renew(source);
        }
    }

    /// Replaces drawn clips by new ones, the most drawn first.
    fn renew(&mut self, source: &mut ClipDraw) {
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
