//! Chooses which stream the next clip comes from.

use std::{collections::BTreeMap, sync::Arc};

use crossbeam_channel::{Receiver, Select, select};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::{
    Counts,
    clip::{Clip, Cursor, shared},
    stop::Stop,
};

/// How far the clips of one stream were drawn.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct StreamProgress {
    /// The item that the last clip was cut from.
    #[serde(with = "shared")]
    pub(crate) cursor: Arc<Cursor>,
    /// The stream's totals when that clip was cut.
    pub(crate) counts: Counts,
    /// Number of the next clip.
    pub(crate) next: u64,
    /// There is no next clip.
    pub(crate) ended: bool,
}

/// The clips of one stream, and how often they are drawn.
#[derive(Debug)]
pub(crate) struct MixInput {
    stream: usize,
    pub(crate) clips: Receiver<Clip>,
    pub(crate) weight: f64,
    pub(crate) live: bool,
    /// Clips drawn so far, divided by the weight. Streams with equal numbers had their fair share.
    served: f64,
}

/// Draws clips from the streams that have not ended.
///
/// With archives alone, a seeded lottery chooses a stream, and the draw waits for its next clip
/// even while others have clips. The order of clips so depends on the seed alone, not on which
/// thread is faster. With a live stream, the draw never waits for a chosen stream: of those that
/// have a clip, the one furthest below its share goes first.
#[derive(Debug)]
pub(crate) struct ClipDraw {
    inputs: Vec<MixInput>,
    joining: Receiver<MixInput>,
    stop: Stop,
    /// How far each stream's clips were drawn.
    progress: BTreeMap<usize, StreamProgress>,
    /// Archives whose clips were all drawn by an earlier run. They are read to their end again.
    ended: Vec<Receiver<Clip>>,
}

impl MixInput {
    pub(crate) fn new(stream: usize, clips: Receiver<Clip>, weight: f64, live: bool) -> Self {
        Self { stream, clips, weight, live, served: 0.0 }
    }
}

impl ClipDraw {
    /// Draws from the inputs that arrive over `joining`, continuing from `progress`.
    pub(crate) fn new(
        joining: Receiver<MixInput>,
        progress: BTreeMap<usize, StreamProgress>,
        ended: Vec<Receiver<Clip>>,
        stop: Stop,
    ) -> Self {
        Self { inputs: Vec::new(), joining, stop, progress, ended }
    }

    /// How far each stream's clips were drawn.
    pub(crate) fn progress(&self) -> &BTreeMap<usize, StreamProgress> {
        &self.progress
    }

    /// Whether a stream is live.
    pub(crate) fn is_live(&self) -> bool {
        self.inputs.iter().any(|it| it.live)
    }

    /// The next clip; waits for it. None when every stream has ended or the run is stopped.
    pub(crate) fn next(&mut self, random: &mut ChaCha8Rng) -> Option<Clip> {
        loop {
            self.joining.try_iter().for_each(|it| self.inputs.push(it));
            if self.stop.is_set() {
                return None;
            }
            if self.inputs.is_empty() {
                self.await_ended();
                return None;
            }
            let clip = if self.is_live() {
                match self.ready() {
                    Some(clip) => return Some(clip),
                    None => self.wait(),
                }
            } else {
                self.lottery(random)
            };
            if clip.is_some() {
                return clip;
            }
        }
    }

    /// A clip that is ready, of the stream furthest below its share.
    pub(crate) fn ready(&mut self) -> Option<Clip> {
        loop {
            let waiting = (0..self.inputs.len()).filter(|&it| !self.inputs[it].clips.is_empty());
            let served = |it: &usize| self.inputs[*it].served;
            let next = waiting.min_by(|a, b| served(a).total_cmp(&served(b)))?;
            // The stream's thread may have dropped the clip meanwhile.
            if let Ok(clip) = self.inputs[next].clips.try_recv() {
                self.charge(next);
                self.note(&clip);
                return Some(clip);
            }
        }
    }

    /// Counts a clip of an input. A stream that had no clips for a while does not catch up.
    fn charge(&mut self, idx: usize) {
        let now = self.inputs[idx].served;
        self.inputs[idx].served += 1.0 / self.inputs[idx].weight;
        for input in &mut self.inputs {
            input.served = input.served.max(now);
        }
    }

    /// Waits until an input has a clip, ends or joins. Removes it when it has ended.
    fn wait(&mut self) -> Option<Clip> {
        let mut select = Select::new();
        for input in &self.inputs {
            select.recv(&input.clips);
        }
        let joins = select.recv(&self.joining);
        select.recv(self.stop.signal());
        let ready = select.ready();
        drop(select);
        if ready < joins && self.inputs[ready].clips.is_empty() {
            return self.take(ready);
        }
        None
    }

    /// Receives from an input without waiting, and removes it when it has ended.
    fn take(&mut self, idx: usize) -> Option<Clip> {
        match self.inputs[idx].clips.try_recv() {
            Ok(clip) => {
                self.charge(idx);
                self.note(&clip);
                Some(clip)
            }
            Err(crossbeam_channel::TryRecvError::Empty) => None,
            Err(crossbeam_channel::TryRecvError::Disconnected) => {
                self.remove(idx);
                None
            }
        }
    }

    fn lottery(&mut self, random: &mut ChaCha8Rng) -> Option<Clip> {
        let idx = self.choose(random);
        select! {
            recv(self.inputs[idx].clips) -> clip => match clip {
                Ok(clip) => {
                    self.note(&clip);
                    return Some(clip);
                }
                Err(_) => self.remove(idx),
            },
            recv(self.joining) -> input => self.inputs.extend(input),
            recv(self.stop.signal()) -> _ => {}
        }
        None
    }

    fn note(&mut self, clip: &Clip) {
        let progress = self.progress.entry(clip.info.stream).or_default();
        if !Arc::ptr_eq(&progress.cursor, &clip.cursor) {
            progress.cursor = clip.cursor.clone();
        }
        progress.counts = clip.info.counts;
        progress.next = clip.info.number + 1;
    }

    /// Removes an input that has ended.
    fn remove(&mut self, idx: usize) {
        let input = self.inputs.remove(idx);
        self.progress.entry(input.stream).or_default().ended = true;
    }

    /// Waits until the archives that had ended before are at their end again.
    fn await_ended(&mut self) {
        for clips in self.ended.drain(..) {
            select! {
                recv(clips) -> _ => {}
                recv(self.stop.signal()) -> _ => return,
            }
        }
    }

    /// What is left in the channels, once every stream's thread has ended.
    pub(crate) fn into_rest(self) -> impl Iterator<Item = Clip> {
        let joined = self.joining.try_iter().collect::<Vec<_>>();
        self.inputs.into_iter().chain(joined).flat_map(|input| input.clips.into_iter())
    }

    fn choose(&self, random: &mut ChaCha8Rng) -> usize {
        let total: f64 = self.inputs.iter().map(|it| it.weight).sum();
        let mut point = random.random::<f64>() * total;
        for (idx, input) in self.inputs.iter().enumerate() {
            point -= input.weight;
            if point < 0.0 {
                return idx;
            }
        }
        self.inputs.len() - 1
    }
}
