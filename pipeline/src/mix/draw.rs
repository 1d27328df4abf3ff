//! Which stream the next clip comes from.

use std::{collections::BTreeMap, sync::Arc};

use crossbeam_channel::{Receiver, Select, select};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::{clip::Clip, ingest::Reached, stop::Stop};

/// The clips of one stream, and how often it is drawn.
#[derive(Debug)]
pub(crate) struct Input {
    stream: usize,
    pub(crate) clips: Receiver<Clip>,
    pub(crate) weight: f64,
    pub(crate) live: bool,
    /// Clips drawn so far over the weight: streams with equal numbers had equal shares.
    served: f64,
}

/// Draws among the streams that have not ended.
///
/// With archives alone it waits for the stream that a seeded lottery chose, even while others
/// have clips: that is what makes the order of clips depend on the seed alone, and not on which
/// thread is faster. As soon as one stream is live, nobody is waited for: of the streams that
/// have a clip, the one that had the least of its share goes first.
#[derive(Debug)]
pub(crate) struct Draw {
    inputs: Vec<Input>,
    joining: Receiver<Input>,
    stop: Stop,
    /// How far each stream's clips were drawn.
    reached: BTreeMap<usize, Reached>,
    /// Streams all of whose clips were drawn before: they are only read to their end again.
    ended: Vec<Receiver<Clip>>,
}

impl Input {
    pub(crate) fn new(stream: usize, clips: Receiver<Clip>, weight: f64, live: bool) -> Self {
        Self { stream, clips, weight, live, served: 0.0 }
    }
}

impl Draw {
    /// Draws among the inputs that come over `joining`, of which so much was drawn before.
    pub(crate) fn new(
        joining: Receiver<Input>,
        reached: BTreeMap<usize, Reached>,
        ended: Vec<Receiver<Clip>>,
        stop: Stop,
    ) -> Self {
        Self { inputs: Vec::new(), joining, stop, reached, ended }
    }

    /// How far each stream's clips were drawn.
    pub(crate) fn reached(&self) -> &BTreeMap<usize, Reached> {
        &self.reached
    }

    /// Whether a stream is live.
    pub(crate) fn is_live(&self) -> bool {
        self.inputs.iter().any(|it| it.live)
    }

    /// The next clip, waiting for it; none when every stream has ended or the run is stopped.
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

    /// A clip that is there, of the stream that had the least of its share.
    pub(crate) fn ready(&mut self) -> Option<Clip> {
        loop {
            let waiting = (0..self.inputs.len()).filter(|&it| !self.inputs[it].clips.is_empty());
            let served = |it: &usize| self.inputs[*it].served;
            let next = waiting.min_by(|a, b| served(a).total_cmp(&served(b)))?;
            // Its own thread may have taken the clip back.
            if let Ok(clip) = self.inputs[next].clips.try_recv() {
                self.serve(next);
                self.note(&clip);
                return Some(clip);
            }
        }
    }

    /// Counts a clip of an input. One that had nothing for a while has no claim to what it missed.
    fn serve(&mut self, idx: usize) {
        let now = self.inputs[idx].served;
        self.inputs[idx].served += 1.0 / self.inputs[idx].weight;
        for input in &mut self.inputs {
            input.served = input.served.max(now);
        }
    }

    /// Waits until an input has a clip, has ended or joins, and drops those that have ended.
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

    /// Receives from an input without waiting, and drops it if it has ended.
    fn take(&mut self, idx: usize) -> Option<Clip> {
        match self.inputs[idx].clips.try_recv() {
            Ok(clip) => {
                self.serve(idx);
                self.note(&clip);
                Some(clip)
            }
            Err(crossbeam_channel::TryRecvError::Empty) => None,
            Err(crossbeam_channel::TryRecvError::Disconnected) => {
                self.forget(idx);
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
                Err(_) => self.forget(idx),
            },
            recv(self.joining) -> input => self.inputs.extend(input),
            recv(self.stop.signal()) -> _ => {}
        }
        None
    }

    fn note(&mut self, clip: &Clip) {
        let reached = self.reached.entry(clip.info.stream).or_default();
        if !Arc::ptr_eq(&reached.place, &clip.place) {
            reached.place = clip.place.clone();
        }
        reached.counts = clip.info.counts;
        reached.next = clip.info.number + 1;
    }

    /// Drops an input that has ended.
    fn forget(&mut self, idx: usize) {
        let input = self.inputs.remove(idx);
        self.reached.entry(input.stream).or_default().ended = true;
    }

    /// Waits until those that had ended before are at their end again.
    fn await_ended(&mut self) {
        for clips in self.ended.drain(..) {
            select! {
                recv(clips) -> _ => {}
                recv(self.stop.signal()) -> _ => return,
            }
        }
    }

    /// What still waits in the channels, once every stream's thread has ended.
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
