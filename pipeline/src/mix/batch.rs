//! Mixes the clips of all streams in a pool and stacks them into batches.

use std::time::Instant;

use crossbeam_channel::{Sender, select};
use rand_chacha::ChaCha8Rng;

use super::{Draw, Pool};
use crate::{
    BatchConfig, ClipInfo,
    clip::Clip,
    ingest::{BatcherEnd, Mark},
    stop::Stop,
};

/// Batches that wait for the caller: one to take at once, one so that the next is ready too.
pub(crate) const BATCHES_WAITING: usize = 2;

/// Frames of `n` clips of `t` frames in one buffer.
#[derive(Clone, Debug)]
pub struct Batch {
    /// RGB, 8 bits a channel, laid out `[n, t, height, width, 3]`.
    pub pixels: Vec<u8>,
    /// `[n, t, height, width, 3]`.
    pub shape: [usize; 5],
    /// Stream time of each frame in seconds, `[n, t]`.
    pub times: Vec<f64>,
    /// Where each clip comes from, `[n]`.
    pub clips: Vec<ClipInfo>,
    /// When each clip was cut, `[n]`.
    pub cut: Vec<Instant>,
    /// How the camera moved between neighbouring frames, `[n, t - 1, 5]`, where
    /// [`ClipConfig::camera_motion`](crate::ClipConfig::camera_motion) asks for it.
    ///
    /// The five numbers are `tx / width, ty / height, theta, ln scale, valid`: what is at `p` in
    /// one frame, in pixels from the middle of the picture, `x` to the right and `y` down, is at
    /// `scale * R(theta) p + (tx, ty)` in the next. `theta` is in radians, positive where the
    /// picture turns clockwise. `valid` is 1, or 0 with zeros before it where too few points of
    /// the picture agree.
    pub motion: Option<Vec<f32>>,
    /// All that decides which batches come next.
    pub mark: Mark,
}

/// The batcher: everything that its thread owns.
#[derive(Debug)]
pub(crate) struct Batcher {
    pub(crate) config: BatchConfig,
    pub(crate) size: [usize; 2],
    pub(crate) draw: Draw,
    pub(crate) pool: Pool,
    pub(crate) random: ChaCha8Rng,
    pub(crate) batches: Sender<Batch>,
    pub(crate) stop: Stop,
}

impl Batcher {
    /// Runs until every stream has ended or the run is stopped.
    pub(crate) fn run(mut self) -> BatcherEnd {
        let mut end = BatcherEnd::default();
        loop {
            let drawn = self.pool.draw(self.config.clips, &mut self.draw, &mut self.random);
            let enough =
                drawn.len() == self.config.clips || (self.config.remainder && !drawn.is_empty());
            if !enough || self.stop.is_set() {
                drawn.iter().for_each(|it| end.left.add(&it.info));
                break;
            }
            let mut batch = stack(&drawn, self.size);
            // Their frames are the batch's from now on.
            self.pool.take_back(drawn);
            batch.mark = self.mark();
            let sent = batch.clips.clone();
            let taken = select! {
                send(self.batches, batch) -> sent => sent.is_ok(),
                recv(self.stop.signal()) -> _ => false,
            };
            let fate = if taken { &mut end.sent } else { &mut end.left };
            sent.iter().for_each(|it| fate.add(it));
            if !taken {
                break;
            }
        }
        self.pool.clips().iter().for_each(|it| end.left.add(&it.info));
        self.draw.into_rest().for_each(|it| end.left.add(&it.info));
        end
    }

    /// What the next batch depends on. Pictures are shared, so that it costs little.
    fn mark(&self) -> Mark {
        Mark {
            words: self.random.get_word_pos(),
            pool: self.pool.clips().to_vec(),
            was_full: self.pool.was_full(),
            reached: self.draw.reached().clone(),
        }
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
    let cut = clips.iter().map(|it| it.cut).collect();
    let clips = clips.iter().map(|it| it.info.clone()).collect();
    Batch { pixels, shape, times, clips, cut, motion, mark: Mark::default() }
}
