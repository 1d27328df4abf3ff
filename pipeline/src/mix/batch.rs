//! The batcher: draws clips from the pool and stacks them.

use std::{
    collections::{BTreeMap, HashMap},
    time::Instant,
};

use crossbeam_channel::{Sender, select};
use rand_chacha::ChaCha8Rng;

use super::{ClipDraw, Pool, StreamProgress};
use crate::{BatchConfig, ClipInfo, clip::Clip, stop::Stop};

/// Batches that wait for the caller: one to take now, and one so that the next is ready too.
pub(crate) const BATCHES_WAITING: usize = 2;

/// Frames of `n` clips of `t` frames in one buffer.
#[derive(Clone, Debug)]
pub struct Batch {
    /// RGB, 8 bits per channel, `[n, t, height, width, 3]`.
    pub pixels: Vec<u8>,
    /// `[n, t, height, width, 3]`.
    pub shape: [usize; 5],
    /// Stream time of each frame in seconds, `[n, t]`.
    pub times: Vec<f64>,
    /// Where each clip comes from, `[n]`.
    pub clips: Vec<ClipInfo>,
    /// When each clip was cut, `[n]`.
    pub cut_at: Vec<Instant>,
    /// How the camera moved between neighbouring frames, `[n, t - 1, 5]`, if
    /// [`ClipConfig::camera_motion`](crate::ClipConfig::camera_motion) asks for it.
    ///
    /// The five numbers are `tx / width, ty / height, theta, ln scale, valid`. A point at `p` in
    /// one frame, in pixels from the middle, `x` to the right and `y` down, is at `scale * R(theta)
    /// p + (tx, ty)` in the next. `theta` is in radians, positive for a clockwise rotation of the
    /// image. `valid` is 1, or 0 after four zeros when too few points agree.
    pub motion: Option<Vec<f32>>,
    /// The batcher's state after this batch, to resume from.
    pub state: BatcherState,
}

/// Everything that decides which batches follow.
#[derive(Clone, Debug, Default)]
pub struct BatcherState {
    /// Words that the batcher has drawn from its random generator.
    pub(crate) random_words: u128,
    pub(crate) pool: Vec<Clip>,
    /// The pool was full at least once.
    pub(crate) was_full: bool,
    /// By number of the stream.
    pub(crate) progress: BTreeMap<usize, StreamProgress>,
}

/// What the thread of the batcher returns when it ends: new frames of clips, by stream.
#[derive(Debug, Default)]
pub(crate) struct BatcherReport {
    /// In batches that were sent.
    pub(crate) sent: NewFrames,
    /// In the pool, in channels and in a batch that was not taken.
    pub(crate) left: NewFrames,
}

/// New frames of clips, by stream.
#[derive(Debug, Default)]
pub(crate) struct NewFrames(HashMap<usize, u64>);

/// Everything that the thread of the batcher owns.
#[derive(Debug)]
pub(crate) struct Batcher {
    pub(crate) config: BatchConfig,
    pub(crate) size: [usize; 2],
    pub(crate) draw: ClipDraw,
    pub(crate) pool: Pool,
    pub(crate) random: ChaCha8Rng,
    pub(crate) batches: Sender<Batch>,
    pub(crate) stop: Stop,
}

impl Batcher {
    /// Runs until every stream has ended or the run is stopped.
    pub(crate) fn run(mut self) -> BatcherReport {
        let mut end = BatcherReport::default();
        loop {
            let drawn = self.pool.draw(self.config.clips, &mut self.draw, &mut self.random);
            let enough =
                drawn.len() == self.config.clips || (self.config.remainder && !drawn.is_empty());
            if !enough || self.stop.is_set() {
                drawn.iter().for_each(|it| end.left.add(&it.info));
                break;
            }
            let mut batch = stack(&drawn, self.size);
            // Their frames are counted with this batch.
            self.pool.take_back(drawn);
            batch.state = self.state();
            let sent = batch.clips.clone();
            let taken = select! {
                send(self.batches, batch) -> sent => sent.is_ok(),
                recv(self.stop.signal()) -> _ => false,
            };
            let frames = if taken { &mut end.sent } else { &mut end.left };
            sent.iter().for_each(|it| frames.add(it));
            if !taken {
                break;
            }
        }
        self.pool.clips().iter().for_each(|it| end.left.add(&it.info));
        self.draw.into_rest().for_each(|it| end.left.add(&it.info));
        end
    }

    /// What the next batches depend on. Pixels are shared, so this is cheap.
    fn state(&self) -> BatcherState {
        BatcherState {
            random_words: self.random.get_word_pos(),
            pool: self.pool.clips().to_vec(),
            was_full: self.pool.was_full(),
            progress: self.draw.progress().clone(),
        }
    }
}

impl BatcherState {
    /// The same with new numbers of streams. Clips of a stream without a new number are left out.
    pub(crate) fn renumbered(&self, number: impl Fn(usize) -> Option<usize>) -> Self {
        let pool = self.pool.iter().filter_map(|clip| {
            let mut clip = clip.clone();
            clip.info.stream = number(clip.info.stream)?;
            Some(clip)
        });
        let progress = self.progress.iter();
        let progress = progress.filter_map(|(idx, it)| Some((number(*idx)?, it.clone())));
        Self { pool: pool.collect(), progress: progress.collect(), ..*self }
    }
}

impl NewFrames {
    /// Adds the new frames of a clip.
    pub(crate) fn add(&mut self, clip: &ClipInfo) {
        *self.0.entry(clip.stream).or_default() += clip.new_frames;
    }

    /// New frames of a stream.
    pub(crate) fn of(&self, stream: usize) -> u64 {
        self.0.get(&stream).copied().unwrap_or_default()
    }
}

fn stack(clips: &[Clip], [height, width]: [usize; 2]) -> Batch {
    let frames = || clips.iter().flat_map(|it| &it.frames);
    let shape = [clips.len(), clips[0].frames.len(), height, width, 3];
    let length = shape.iter().product();
    let mut pixels = Vec::with_capacity(length);
    frames().for_each(|it| pixels.extend_from_slice(&it.pixels));
    debug_assert_eq!(pixels.len(), length);
    let times = frames().map(|it| it.time).collect();
    let motion = clips.iter().map(|it| it.motion.as_deref()).collect::<Option<Vec<_>>>();
    let motion = motion.map(|it| it.concat());
    let cut_at = clips.iter().map(|it| it.cut_at).collect();
    let clips = clips.iter().map(|it| it.info.clone()).collect();
    Batch { pixels, shape, times, clips, cut_at, motion, state: BatcherState::default() }
}
