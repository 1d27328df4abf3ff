//! The state from which another run resumes, and its form in files.
//!
//! ```text
//! Batch.state ── Ingest::trained ──▶ ResumeState ──save──▶ SavedState (serde) + pixels of the pool
//!                                        ▲                     │
//!                resume(.., ResumeState) ◀──────restore────────┘
//! ```
//!
//! An archive is read again from the beginning of the item that it was in. Clips that were drawn
//! before are cut again and left out, so that all that follow are bit for bit those of an
//! uninterrupted run.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use crate::{
    CaptureTime, ClipInfo, Counts, Error, Result,
    clip::{Clip, Cursor, Frame, shared},
    mix::{BatcherState, StreamProgress},
};

/// The state of a run after the last batch that it trained on.
#[derive(Clone, Debug, Default)]
pub struct ResumeState {
    pub(crate) batcher: BatcherState,
    /// By number of the stream.
    pub(crate) streams: Vec<StreamTotals>,
}

/// Totals of one stream so far.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct StreamTotals {
    pub(crate) name: String,
    pub(crate) counts: Counts,
}

/// A [`ResumeState`] without its pixels, for a file.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct SavedState {
    random_words: u128,
    was_full: bool,
    pool: Vec<SavedClip>,
    progress: BTreeMap<usize, StreamProgress>,
    streams: Vec<StreamTotals>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct SavedClip {
    info: ClipInfo,
    #[serde(with = "shared")]
    cursor: Arc<Cursor>,
    frames: Vec<SavedFrame>,
    motion: Option<Vec<f32>>,
    /// Seconds since it was cut.
    age: f64,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct SavedFrame {
    /// Index of its pixels, which clips may share.
    pixels: usize,
    /// Bits of the stream time, because JSON readers round numbers.
    time: u64,
    captured: Option<CaptureTime>,
}

impl ResumeState {
    /// The state for one file, and the pixels of the frames in the pool for another:
    /// `[height, width, 3]` RGB each.
    pub fn save(&self) -> (SavedState, Vec<Arc<[u8]>>) {
        let mut pixels = SharedPixels::default();
        let BatcherState { random_words, pool, was_full, progress } = &self.batcher;
        let pool = pool.iter().map(|clip| pixels.save(clip)).collect();
        let (progress, streams) = (progress.clone(), self.streams.clone());
        let (random_words, was_full) = (*random_words, *was_full);
        (SavedState { random_words, was_full, pool, progress, streams }, pixels.distinct)
    }

    /// The number that a stream of this name had. Of several, which were added one after the other,
    /// it is that of the last.
    pub(crate) fn number(&self, name: &str) -> Option<usize> {
        self.streams.iter().rposition(|it| it.name == name)
    }
}

/// Pixels of the frames of many clips, each once.
#[derive(Default)]
struct SharedPixels {
    distinct: Vec<Arc<[u8]>>,
    /// Index by address.
    known: HashMap<*const u8, usize>,
}

impl SharedPixels {
    fn save(&mut self, clip: &Clip) -> SavedClip {
        let frames = clip.frames.iter().map(|frame| {
            let pixels = *self.known.entry(frame.pixels.as_ptr()).or_insert_with(|| {
                self.distinct.push(frame.pixels.clone());
                self.distinct.len() - 1
            });
            SavedFrame { pixels, time: frame.time.to_bits(), captured: frame.captured }
        });
        SavedClip {
            frames: frames.collect(),
            info: clip.info.clone(),
            cursor: clip.cursor.clone(),
            motion: clip.motion.clone(),
            age: clip.cut_at.elapsed().as_secs_f64(),
        }
    }
}

impl SavedState {
    /// The state, given the pixels of the pool, of frames of `[height, width]`.
    ///
    /// # Errors
    /// [`Error::PoolPixels`] when these are not the pixels that were saved.
    pub fn restore(self, pixels: &[u8], [height, width]: [usize; 2]) -> Result<ResumeState> {
        let bytes = height * width * 3;
        let distinct: Vec<Arc<[u8]>> = pixels.chunks(bytes).map(Arc::from).collect();
        let frames = self.pool.iter().flat_map(|it| &it.frames);
        let wanted = frames.map(|it| it.pixels + 1).max().unwrap_or_default();
        if distinct.len() != wanted || !pixels.len().is_multiple_of(bytes) {
            let (found, size) = (pixels.len(), [height, width]);
            return Err(Error::PoolPixels { found, wanted: wanted * bytes, size });
        }
        let pool = self.pool.into_iter().map(|it| it.restore(&distinct)).collect();
        let Self { random_words, was_full, progress, streams, .. } = self;
        let batcher = BatcherState { random_words, pool, was_full, progress };
        Ok(ResumeState { batcher, streams })
    }
}

impl SavedClip {
    fn restore(self, pixels: &[Arc<[u8]>]) -> Clip {
        let Self { info, cursor, frames, motion, age } = self;
        let frames = frames.into_iter().map(|it| Frame {
            pixels: pixels[it.pixels].clone(),
            time: f64::from_bits(it.time),
            captured: it.captured,
        });
        let age = Duration::try_from_secs_f64(age).unwrap_or_default();
        let now = Instant::now();
        let cut_at = now.checked_sub(age).unwrap_or(now);
        Clip { frames: frames.collect(), info, cut_at, motion, cursor }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clip(number: u64, pictures: &[&Arc<[u8]>]) -> Clip {
        let info = ClipInfo {
            stream: 0,
            number,
            item: "a.mp4".into(),
            epoch: 1,
            captured: None,
            uses: 0,
            new_frames: 2,
            counts: Counts { decoded: 9, clips: number, ..Default::default() },
        };
        let frames = pictures.iter().enumerate();
        let frames = frames.map(|(idx, pixels)| Frame {
            pixels: (*pixels).clone(),
            time: 0.1 + idx as f64 / 3.0,
            captured: None,
        });
        let (cut_at, motion, cursor) = (Instant::now(), Some(vec![0.1, 1.0 / 3.0]), Arc::default());
        Clip { frames: frames.collect(), info, cut_at, motion, cursor }
    }

    fn resume_state() -> ResumeState {
        let pictures: Vec<Arc<[u8]>> = (0..3).map(|it| vec![it; 12].into()).collect();
        let [a, b, c] = &pictures[..] else { unreachable!() };
        let pool = vec![clip(0, &[a, b]), clip(1, &[b, c])];
        let progress = BTreeMap::new();
        let batcher = BatcherState { random_words: 1 << 70, pool, was_full: true, progress };
        ResumeState { batcher, streams: Vec::new() }
    }

    #[test]
    fn shared_pixels_are_saved_once_and_restored_bit_for_bit() {
        let before = resume_state();
        let (saved, pictures) = before.save();
        assert_eq!(pictures.len(), 3);
        let text = serde_json::to_string(&saved).unwrap();
        let saved: SavedState = serde_json::from_str(&text).unwrap();
        let after = saved.restore(&pictures.concat(), [2, 2]).unwrap();
        assert_eq!((after.batcher.random_words, after.batcher.was_full), (1 << 70, true));
        for (before, after) in before.batcher.pool.iter().zip(&after.batcher.pool) {
            assert_eq!((&before.info, &before.motion), (&after.info, &after.motion));
            for (before, after) in before.frames.iter().zip(&after.frames) {
                assert_eq!(before.pixels, after.pixels);
                assert_eq!(before.time.to_bits(), after.time.to_bits());
            }
        }
    }

    #[test]
    fn pixels_that_are_missing_or_of_another_size_are_refused() {
        let (saved, pictures) = resume_state().save();
        let all = pictures.concat();
        for (pictures, size) in [(&all[..24], [2, 2]), (&all[..35], [2, 2]), (&all[..], [2, 3])] {
            let message = saved.clone().restore(pictures, size).unwrap_err().to_string();
            assert!(message.contains("36 bytes") || message.contains("54 bytes"), "{message}");
        }
    }
}
