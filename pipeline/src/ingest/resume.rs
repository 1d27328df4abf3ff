//! Where everything stands between two batches, so that another run goes on from there.
//!
//! ```text
//! Batch.mark ── Ingest::trained ──▶ Standing ──pack──▶ Packed (serde) + pixels of the pool
//!                                      ▲                        │
//!              resume(.., Standing) ◀──┴────────unpack──────────┘
//! ```
//!
//! An archive is read again from the beginning of the item that it was in, and the clips that
//! were drawn before are cut and left out: what comes after is then bit for bit what would have
//! come.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use crate::{
    Captured, ClipInfo, Counts, Error, Result,
    clip::{Clip, Frame, Place, shared},
};

/// How far the clips of one stream were drawn.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Reached {
    /// Where the last one was read.
    #[serde(with = "shared")]
    pub(crate) place: Arc<Place>,
    /// The stream's totals when it was cut.
    pub(crate) counts: Counts,
    /// Number of the next one.
    pub(crate) next: u64,
    /// There is no next one.
    pub(crate) ended: bool,
}

/// All that decides which batches come after one.
#[derive(Clone, Debug, Default)]
pub struct Mark {
    /// How many words the batcher has drawn of its random numbers.
    pub(crate) words: u128,
    pub(crate) pool: Vec<Clip>,
    pub(crate) was_full: bool,
    /// By number of the stream.
    pub(crate) reached: BTreeMap<usize, Reached>,
}

/// Where a run stands after the last batch that it trained on.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    pub(crate) mark: Mark,
    /// By number of the stream.
    pub(crate) streams: Vec<Total>,
}

/// What one stream's frames came to so far.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Total {
    pub(crate) name: String,
    pub(crate) counts: Counts,
    pub(crate) trained: u64,
}

/// A [`Standing`] without its pixels, for a file.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Packed {
    words: u128,
    was_full: bool,
    pool: Vec<PackedClip>,
    reached: BTreeMap<usize, Reached>,
    streams: Vec<Total>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct PackedClip {
    info: ClipInfo,
    #[serde(with = "shared")]
    place: Arc<Place>,
    frames: Vec<PackedFrame>,
    motion: Option<Vec<f32>>,
    /// Seconds since it was cut.
    age: f64,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct PackedFrame {
    /// Which of the pictures beside, from 0: clips share them.
    picture: usize,
    /// Bits of the stream time: JSON readers round numbers.
    time: u64,
    captured: Option<Captured>,
}

impl Standing {
    /// For a file, and the pictures of the pool for another: `[height, width, 3]` RGB each, one
    /// after the other.
    pub fn pack(&self) -> (Packed, Vec<Arc<[u8]>>) {
        let mut pictures = Pictures::default();
        let Mark { words, pool, was_full, reached } = &self.mark;
        let pool = pool.iter().map(|clip| pictures.pack(clip)).collect();
        let (reached, streams) = (reached.clone(), self.streams.clone());
        let packed = Packed { words: *words, was_full: *was_full, pool, reached, streams };
        (packed, pictures.found)
    }

    /// The number that a stream of this name had: of several, which were added one after the
    /// other, the last.
    pub(crate) fn number(&self, name: &str) -> Option<usize> {
        self.streams.iter().rposition(|it| it.name == name)
    }
}

impl Mark {
    /// With other numbers of the streams; what is of a stream that has none is left out.
    pub(crate) fn renumbered(&self, number: impl Fn(usize) -> Option<usize>) -> Self {
        let pool = self.pool.iter().filter_map(|clip| {
            let mut clip = clip.clone();
            clip.info.stream = number(clip.info.stream)?;
            Some(clip)
        });
        let reached = self.reached.iter();
        let reached = reached.filter_map(|(idx, it)| Some((number(*idx)?, it.clone())));
        Self { pool: pool.collect(), reached: reached.collect(), ..*self }
    }
}

/// Pictures of many clips, each once.
#[derive(Default)]
struct Pictures {
    found: Vec<Arc<[u8]>>,
    /// By address.
    known: HashMap<*const u8, usize>,
}

impl Pictures {
    fn pack(&mut self, clip: &Clip) -> PackedClip {
        let frames = clip.frames.iter().map(|frame| {
            let picture = *self.known.entry(frame.pixels.as_ptr()).or_insert_with(|| {
                self.found.push(frame.pixels.clone());
                self.found.len() - 1
            });
            PackedFrame { picture, time: frame.time.to_bits(), captured: frame.captured }
        });
        PackedClip {
            frames: frames.collect(),
            info: clip.info.clone(),
            place: clip.place.clone(),
            motion: clip.motion.clone(),
            age: clip.cut.elapsed().as_secs_f64(),
        }
    }
}

impl Packed {
    /// With the pictures of the pool, which are as large as `size` says, `[height, width]`.
    ///
    /// # Errors
    /// [`Error::Standing`] when there are other pictures than those that were packed.
    pub fn unpack(self, pictures: &[u8], [height, width]: [usize; 2]) -> Result<Standing> {
        let bytes = height * width * 3;
        let found: Vec<Arc<[u8]>> = pictures.chunks(bytes).map(Arc::from).collect();
        let frames = self.pool.iter().flat_map(|it| &it.frames);
        let wanted = frames.map(|it| it.picture + 1).max().unwrap_or_default();
        if found.len() != wanted || !pictures.len().is_multiple_of(bytes) {
            let (found, size) = (pictures.len(), [height, width]);
            return Err(Error::Standing { found, wanted: wanted * bytes, size });
        }
        let pool = self.pool.into_iter().map(|it| it.unpack(&found)).collect();
        let Self { words, was_full, reached, streams, .. } = self;
        Ok(Standing { mark: Mark { words, pool, was_full, reached }, streams })
    }
}

impl PackedClip {
    fn unpack(self, pictures: &[Arc<[u8]>]) -> Clip {
        let Self { info, place, frames, motion, age } = self;
        let frames = frames.into_iter().map(|it| Frame {
            pixels: pictures[it.picture].clone(),
            time: f64::from_bits(it.time),
            captured: it.captured,
        });
        let age = Duration::try_from_secs_f64(age).unwrap_or_default();
        let now = Instant::now();
        let cut = now.checked_sub(age).unwrap_or(now);
        Clip { frames: frames.collect(), info, cut, motion, place }
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
            pass: 1,
            captured: None,
            uses: 0,
            owned: 2,
            counts: Counts { decoded: 9, clips: number, ..Default::default() },
        };
        let frames = pictures.iter().enumerate();
        let frames = frames.map(|(idx, pixels)| Frame {
            pixels: (*pixels).clone(),
            time: 0.1 + idx as f64 / 3.0,
            captured: None,
        });
        let (cut, motion, place) = (Instant::now(), Some(vec![0.1, 1.0 / 3.0]), Arc::default());
        Clip { frames: frames.collect(), info, cut, motion, place }
    }

    fn standing() -> Standing {
        let pictures: Vec<Arc<[u8]>> = (0..3).map(|it| vec![it; 12].into()).collect();
        let [a, b, c] = &pictures[..] else { unreachable!() };
        let pool = vec![clip(0, &[a, b]), clip(1, &[b, c])];
        let mark = Mark { words: 1 << 70, pool, was_full: true, reached: BTreeMap::new() };
        Standing { mark, streams: Vec::new() }
    }

    #[test]
    fn shared_pictures_are_packed_once_and_come_back_bit_for_bit() {
        let before = standing();
        let (packed, pictures) = before.pack();
        assert_eq!(pictures.len(), 3);
        let text = serde_json::to_string(&packed).unwrap();
        let packed: Packed = serde_json::from_str(&text).unwrap();
        let after = packed.unpack(&pictures.concat(), [2, 2]).unwrap();
        assert_eq!((after.mark.words, after.mark.was_full), (1 << 70, true));
        for (before, after) in before.mark.pool.iter().zip(&after.mark.pool) {
            assert_eq!((&before.info, &before.motion), (&after.info, &after.motion));
            for (before, after) in before.frames.iter().zip(&after.frames) {
                assert_eq!(before.pixels, after.pixels);
                assert_eq!(before.time.to_bits(), after.time.to_bits());
            }
        }
    }

    #[test]
    fn pictures_that_are_missing_or_of_another_size_are_refused() {
        let (packed, pictures) = standing().pack();
        let all = pictures.concat();
        for (pictures, size) in [(&all[..24], [2, 2]), (&all[..35], [2, 2]), (&all[..], [2, 3])] {
            let message = packed.clone().unpack(pictures, size).unwrap_err().to_string();
            assert!(message.contains("36 bytes") || message.contains("54 bytes"), "{message}");
        }
    }
}
