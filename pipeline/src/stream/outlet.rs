//! Sends a stream's clips, and chooses what happens when the channel is full.

use crossbeam_channel::{Receiver, Sender, TrySendError, select};

use crate::{Counts, WhenFull, clip::Clip, stop::Stop};

/// The sending end of a stream's clips.
#[derive(Debug)]
pub(crate) struct ClipSender {
    clips: Sender<Clip>,
    /// The receiving end, to drop the oldest clip when the channel is full.
    waiting: Option<Receiver<Clip>>,
    stop: Stop,
}

impl ClipSender {
    pub(crate) fn new(
        clips: Sender<Clip>,
        waiting: &Receiver<Clip>,
        when_full: WhenFull,
        stop: Stop,
    ) -> Self {
        let waiting = (when_full == WhenFull::DropOldest).then(|| waiting.clone());
        Self { clips, waiting, stop }
    }

    /// Sends a clip. Returns false when the stream was stopped first. The frames of a clip that is
    /// dropped for it are counted in `counts`.
    pub(crate) fn send(&self, clip: Clip, counts: &mut Counts) -> bool {
        let Some(waiting) = &self.waiting else {
            return select! {
                send(self.clips, clip) -> sent => sent.is_ok(),
                recv(self.stop.signal()) -> _ => false,
            };
        };
        let mut clip = clip;
        while let Err(TrySendError::Full(again)) = self.clips.try_send(clip) {
            if self.stop.is_set() {
                return false;
            }
            if let Ok(oldest) = waiting.try_recv() {
                counts.dropped += oldest.info.new_frames;
            }
            clip = again;
        }
        true
    }
}
