//! Bounds how far a live stream lags behind when decoding is too slow.
//!
//! Dropping after the decoder would not help, because that work is done. So coded frames wait in a
//! queue before it. When too many wait, all that come are dropped until the queue has drained and a
//! keyframe comes. The decoder so never gets a frame whose reference is missing.

use std::sync::{Arc, Mutex, PoisonError};

use gstreamer::{self as gst, prelude::*};

use crate::source::side_counts::{SideCounters, count_one};

/// Coded frames that may wait: 0.6 s at 25 per second.
const MAX_WAITING: u32 = 15;
/// Coded frames that may still wait when a keyframe ends the dropping.
const RESUME_BELOW: u32 = MAX_WAITING / 2;

/// Decides whether the next coded frame is dropped.
#[derive(Debug, Default)]
struct Backlog {
    dropping: bool,
}

impl Backlog {
    /// Whether a frame passes, given how many wait.
    fn passes(&mut self, is_keyframe: bool, waiting: u32) -> bool {
        if self.dropping {
            self.dropping = !(is_keyframe && waiting <= RESUME_BELOW);
        } else {
            self.dropping = waiting >= MAX_WAITING;
        }
        !self.dropping
    }
}

/// A queue that drops frames as [`Backlog`] decides, and counts them.
pub(super) fn queue(
    side_counters: &Arc<SideCounters>,
) -> Result<gst::Element, gst::glib::BoolError> {
    let queue = gst::ElementFactory::make("queue")
        .property("max-size-buffers", 0_u32)
        .property("max-size-bytes", 0_u32)
        .property("max-size-time", 0_u64)
        .build()?;
    let (weak, side_counters) = (queue.downgrade(), side_counters.clone());
    let backlog = Mutex::new(Backlog::default());
    if let Some(pad) = queue.static_pad("sink") {
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            let (Some(queue), Some(buffer)) = (weak.upgrade(), info.buffer()) else {
                return gst::PadProbeReturn::Ok;
            };
            let is_keyframe = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
            let waiting = queue.property::<u32>("current-level-buffers");
            let mut backlog = backlog.lock().unwrap_or_else(PoisonError::into_inner);
            if backlog.passes(is_keyframe, waiting) {
                return gst::PadProbeReturn::Ok;
            }
            count_one(&side_counters.dropped_backlog);
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
    fn after_a_drop_all_is_dropped_until_a_keyframe() {
        let mut backlog = Backlog::default();
        assert!(backlog.passes(false, MAX_WAITING - 1));
        assert!(!backlog.passes(false, MAX_WAITING));
        // The queue has drained, but the references are missing.
        assert!(!backlog.passes(false, 0));
        assert!(backlog.passes(true, 0));
        assert!(backlog.passes(false, 1));
    }

    #[test]
    fn a_keyframe_does_not_pass_while_the_queue_is_full() {
        let mut backlog = Backlog::default();
        assert!(!backlog.passes(true, MAX_WAITING));
        assert!(!backlog.passes(true, RESUME_BELOW + 1));
        assert!(backlog.passes(true, RESUME_BELOW));
    }
}
