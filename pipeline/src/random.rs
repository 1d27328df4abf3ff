//! Random numbers that depend on the run's seed and on nothing else.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The generator of the batcher: which stream, and which clip of the pool.
pub(crate) fn batcher(seed: u64) -> ChaCha8Rng {
    generator([seed, 0, 0, 0])
}

/// The offset of the clips of one epoch, in `[0, 1)` of a hop.
///
/// It is 0 in the first epoch, so that a run over finite files starts at their start.
pub(crate) fn phase(seed: u64, stream: usize, epoch: u64) -> f64 {
    if epoch == 0 { 0.0 } else { generator([seed, 1, stream as u64, epoch]).random() }
}

/// The generator of the delays before a stream reconnects.
pub(crate) fn backoff(seed: u64, stream: usize) -> ChaCha8Rng {
    generator([seed, 6, stream as u64, 0])
}

/// The independent parts of a sequence of moving digits.
#[derive(Clone, Copy, Debug)]
pub(crate) enum SequencePart {
    Motion,
    Digit,
    Futures,
}

/// The generator of one part of one sequence of moving digits.
pub(crate) fn sequence(seed: u64, sequence: u64, part: SequencePart) -> ChaCha8Rng {
    generator([seed, 2 + part as u64, sequence, 0])
}

/// The generator of the trials of a motion estimate.
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
