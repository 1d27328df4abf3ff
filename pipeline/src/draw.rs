//! Which stream the next clip comes from.

use crossbeam_channel::{Receiver, select};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::{clip::Clip, stop::Stop};

/// The clips of one stream, and how often it is drawn.
#[derive(Debug)]
pub(crate) struct Input {
    pub(crate) clips: Receiver<Clip>,
    pub(crate) weight: f64,
}

/// Draws among the streams that have not ended.
///
/// It waits for the stream that it drew, even while others have clips: that is what makes the
/// order of clips depend on the seed alone, and not on which thread is faster.
#[derive(Debug)]
pub(crate) struct Draw {
    inputs: Vec<Input>,
    stop: Stop,
}

impl Draw {
    pub(crate) fn new(inputs: Vec<Input>, stop: Stop) -> Self {
        Self { inputs, stop }
    }

    /// The next clip; none when every stream has ended or the run is stopped.
    pub(crate) fn next(&mut self, random: &mut ChaCha8Rng) -> Option<Clip> {
        while !self.inputs.is_empty() {
            let idx = self.choose(random);
            select! {
                recv(self.inputs[idx].clips) -> clip => match clip {
                    Ok(clip) => return Some(clip),
                    Err(_) => drop(self.inputs.remove(idx)),
                },
                recv(self.stop.signal()) -> _ => return None,
            }
        }
        None
    }

    /// What still waits in the channels, once every stream's thread has ended.
    pub(crate) fn into_rest(self) -> impl Iterator<Item = Clip> {
        self.inputs.into_iter().flat_map(|input| input.clips.into_iter())
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
