//! How long to wait before the next attempt.

use std::time::Duration;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::Retry;

/// Delays that double from `retry.initial_delay` to `retry.max_delay`. Each is shortened at random
/// by up to a half.
#[derive(Debug)]
pub(super) struct Backoff {
    initial: f64,
    max: f64,
    next: f64,
    random: ChaCha8Rng,
}

impl Backoff {
    pub(super) fn new(retry: Retry, random: ChaCha8Rng) -> Self {
        let Retry { initial_delay: initial, max_delay: max, .. } = retry;
        Self { initial, max, next: initial, random }
    }

    /// The delay before the next attempt, after one that gave frames for `played`.
    ///
    /// The delays start again at the first one only after a connection that played for longer than
    /// the current delay. A stream that gives a frame and dies, again and again, does not reset
    /// them.
    pub(super) fn delay(&mut self, played: Duration) -> Duration {
        if played.as_secs_f64() > self.next {
            self.next = self.initial;
        }
        let full = self.next;
        self.next = (2.0 * full).min(self.max);
        Duration::from_secs_f64(full * self.random.random_range(0.5..=1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random;

    fn delays(seed: u64, played: &[f64]) -> Vec<f64> {
        let mut backoff = Backoff::new(Retry::default(), random::backoff(seed, 0));
        let played = played.iter().map(|it| Duration::from_secs_f64(*it));
        played.map(|it| backoff.delay(it).as_secs_f64()).collect()
    }

    #[test]
    fn delays_double_up_to_the_maximum_and_are_spread() {
        let full = [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0];
        let [one, other] = [1, 2].map(|seed| delays(seed, &[0.0; 9]));
        for delays in [&one, &other] {
            for (delay, full) in delays.iter().zip(full) {
                assert!((full / 2.0..=full).contains(delay), "{delay} s of {full} s");
            }
        }
        assert_ne!(one, other, "two streams would reconnect together");
        assert_eq!(one, delays(1, &[0.0; 9]), "the delays are seeded");
    }

    #[test]
    fn only_a_stream_that_played_resets_the_delay() {
        let delays = delays(1, &[0.0, 0.0, 0.0, 0.1, 60.0]);
        assert!(delays[3] >= 1.0, "a tenth of a second is no recovery: {delays:?}");
        assert!(delays[4] <= 0.25, "a minute is: {delays:?}");
    }
}
