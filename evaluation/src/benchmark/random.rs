//! Random numbers that depend on the seed and on nothing else.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// What the numbers of a generator decide. Each purpose has numbers of its own, so that one more
/// draw for one of them leaves the others as they were.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    Object,
    Scene,
    MovingItem,
    Noise,
    Bands,
    Items,
}

/// The generator of one `purpose` and the `index`th thing that is drawn for it.
pub(crate) fn generator(seed: u64, purpose: Purpose, index: u64) -> ChaCha8Rng {
    let mut bytes = [0; 32];
    for (part, word) in bytes.chunks_exact_mut(8).zip([seed, purpose as u64, index, 0]) {
        part.copy_from_slice(&word.to_le_bytes());
    }
    ChaCha8Rng::from_seed(bytes)
}
