//! Brings a pipeline down without waiting for it for ever.

use std::{thread::Builder, time::Duration};

use crossbeam_channel::bounded;
use gstreamer::{self as gst, prelude::*};

use crate::source::side_counts::{Tally, add};

/// How long a pipeline may take to stop. A healthy one took at most 0.1 s in a thousand tries.
const LIMIT: Duration = Duration::from_secs(5);

/// Stops a pipeline on a thread of its own, because an element that is stuck in a system call
/// keeps whoever stops it. One that takes too long is counted and left behind with its thread.
pub(super) fn bring_down(pipeline: &gst::Pipeline, tally: &Tally) {
    let (done, stopped) = bounded(1);
    let going = pipeline.clone();
    let work = move || {
        let outcome = going.set_state(gst::State::Null);
        // Nobody waits any more for one that was left behind.
        let _ = done.send(outcome.is_ok());
    };
    if Builder::new().name("teardown".into()).spawn(work).is_err() {
        add(&tally.abandoned);
        return;
    }
    match stopped.recv_timeout(LIMIT) {
        Ok(true) => {}
        Ok(false) => tracing::warn!("a GStreamer pipeline did not stop cleanly"),
        Err(_) => {
            add(&tally.abandoned);
            tracing::warn!("a GStreamer pipeline did not stop in {LIMIT:?} and was left behind");
        }
    }
}
