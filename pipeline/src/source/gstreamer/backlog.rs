//! Bounds how far a live stream can lag behind when decoding cannot keep up.
//!
//! The sink cannot do that: what it drops was decoded. So coded pictures wait in a queue before
//! the decoder, and when too many wait, all that come are dropped until a key picture comes and
//! the queue has drained. A decoder that is fed so never sees a picture whose reference is missing.

use std::sync::{Arc, Mutex, PoisonError};

use gstreamer::{self as gst, prelude::*};

use crate::source::side_counts::{Tally, add};

/// Coded pictures that may wait: 0.6 s at 25 a second.
const MOST: u32 = 15;
/// Coded pictures that may still wait when decoding goes on at a key picture.
const FEW: u32 = MOST / 2;

/// What happens to the next coded picture.
#[derive(Debug, Default)]
struct Backlog {
    skipping: bool,
}

impl Backlog {
    /// Whether a picture is fed, given how many wait.
    fn feeds(&mut self, is_key: bool, waiting: u32) -> bool {
        if self.skipping {
            self.skipping = !(is_key && waiting <= FEW);
        } else {
            self.skipping = waiting >= MOST;
        }
        !self.skipping
    }
}

/// A queue that counts in `tally` what it does not take.
pub(super) fn queue(tally: &Arc<Tally>) -> Result<gst::Element, gst::glib::BoolError> {
    let queue = gst::ElementFactory::make("queue")
        .property("max-size-buffers", 0_u32)
        .property("max-size-bytes", 0_u32)
        .property("max-size-time", 0_u64)
        .build()?;
    let (weak, tally) = (queue.downgrade(), tally.clone());
    let backlog = Mutex::new(Backlog::default());
    if let Some(pad) = queue.static_pad("sink") {
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            let (Some(queue), Some(buffer)) = (weak.upgrade(), info.buffer()) else {
                return gst::PadProbeReturn::Ok;
            };
            let is_key = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
            let waiting = queue.property::<u32>("current-level-buffers");
            let mut backlog = backlog.lock().unwrap_or_else(PoisonError::into_inner);
            if backlog.feeds(is_key, waiting) {
                return gst::PadProbeReturn::Ok;
            }
            add(&tally.late);
            // Drop would print a critical message for every buffer before GStreamer 1.24.8.
            gst::PadProbeReturn::Handled
        });
    }
    Ok(queue)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_a_dropped_picture_is_dropped_up_to_a_key() {
        let mut backlog = Backlog::default();
        assert!(backlog.feeds(false, MOST - 1));
        assert!(!backlog.feeds(false, MOST));
        // The queue drains, but references are missing.
        assert!(!backlog.feeds(false, 0));
        assert!(backlog.feeds(true, 0));
        assert!(backlog.feeds(false, 1));
    }

    #[test]
    fn a_key_is_no_relief_while_the_queue_is_full() {
        let mut backlog = Backlog::default();
        assert!(!backlog.feeds(true, MOST));
        assert!(!backlog.feeds(true, FEW + 1));
        assert!(backlog.feeds(true, FEW));
    }
}
