//! Random numbers that depend on the run's seed and on nothing else.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The generator of the batcher: which stream, and which clip of the pool.
pub(crate) fn batcher(seed: u64) -> ChaCha8Rng {
    generator([seed, 0, 0, 0])
}

/// Where, in `[0, 1)` of a hop, the clips of one reading of a stream begin.
///
/// The first reading begins at 0, so that a run over finished files starts at their start.
pub(crate) fn phase(seed: u64, stream: usize, pass: u64) -> f64 {
    if pass == 0 { 0.0 } else { generator([seed, 1, stream as u64, pass]).random() }
}

/// The generator of the delays before a stream is tried again.
pub(crate) fn backoff(seed: u64, stream: usize) -> ChaCha8Rng {
    generator([seed, 6, stream as u64, 0])
}

/// What of a sequence of moving digits is drawn.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part {
    Motion,
    Digit,
    Futures,
}

/// The generator of a part of one sequence of moving digits.
pub(crate) fn sequence(seed: u64, sequence: u64, part: Part) -> ChaCha8Rng {
    generator([seed, 2 + part as u64, sequence, 0])
}

/// The generator of the trials in which points agree on a motion.
pub(crate) fn consensus() -> ChaCha8Rng {
    generator([0, 5, 0, 0])
}

fn generator(words: [u64; 4]) -> ChaCha8Rng {
    let mut seed = [0; 32];
    for (bytes, word) in seed.chunks_exact_mut(8).zip(words) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    ChaCha8Rng::from_seed(seed)
}
