//! An upper bound of the host memory that pixels take.

use super::CLIPS_WAITING;
use crate::{Config, mix::BATCHES_WAITING};

/// Bytes allowed for one open decoder: its surfaces, queues and threads.
///
/// One 1080p H.264 stream was measured at 38 MB.
const DECODER_ALLOWANCE: u64 = 64 << 20;

impl Config {
    /// Upper bound, in bytes, of the pixels held at any moment, plus 64 MiB per decoder.
    ///
    /// With `clip = frames * height * width * 3`, it is the sum of
    /// - for each stream: the clips that wait in its channel, the one being sent, and incomplete ones,
    ///   `ceil(span / hop) + 1`, each times `clip`;
    /// - `(batch.pool + batch.clips) * clip` for the pool and the clips drawn from it;
    /// - `(2 waiting + 1 being filled + 1 at the caller) * batch.clips * clip`, and the same again for
    ///   the clips that have left the pool since, which the states of those batches still hold;
    /// - with `clip.camera_motion`, `20 * height * width` for each stream: two grey image pyramids and
    ///   the gradients of one frame, in single precision;
    /// - 64 MiB for each stream whose frames are decoded.
    pub fn host_memory_bound(&self) -> u64 {
        let [height, width] = self.size.map(|it| it as u64);
        let n_clips = self.batch.clips as u64;
        let open = (self.clip.span_seconds() / self.clip.hop_seconds()).ceil() as u64 + 1;
        let per_stream = (CLIPS_WAITING as u64 + 1).saturating_add(open);
        let clips = per_stream
            .saturating_mul(self.stream.len() as u64)
            .saturating_add(self.batch.pool as u64 + n_clips)
            .saturating_add(2 * (BATCHES_WAITING as u64 + 2).saturating_mul(n_clips));
        let clip = (self.clip.frames as u64).saturating_mul(height * width * 3);
        let decoders = self.stream.iter().filter(|it| !it.source.is_drawn()).count() as u64;
        let motion = if self.clip.camera_motion { 20 * height * width } else { 0 };
        clips
            .saturating_mul(clip)
            .saturating_add((self.stream.len() as u64).saturating_mul(motion))
            .saturating_add(decoders * DECODER_ALLOWANCE)
    }
}
