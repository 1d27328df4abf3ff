//! Stops a pipeline without waiting for it for ever.

use std::{thread::Builder, time::Duration};

use crossbeam_channel::bounded;
use gstreamer::{self as gst, prelude::*};

use crate::source::side_counts::{SideCounters, count_one};

/// How long a pipeline may take to stop. A healthy one took at most 0.1 s in a thousand tries.
const LIMIT: Duration = Duration::from_secs(5);

/// Stops a pipeline on a thread of its own, because an element stuck in a system call would block
/// the caller. A pipeline that takes too long is counted and abandoned with its thread.
pub(super) fn shut_down(pipeline: &gst::Pipeline, side_counters: &SideCounters) {
    let (done, stopped) = bounded(1);
    let stopping = pipeline.clone();
    let work = move || {
        let result = stopping.set_state(gst::State::Null);
        // The receiver is gone if the pipeline was abandoned.
        let _ = done.send(result.is_ok());
    };
    if Builder::new().name("teardown".into()).spawn(work).is_err() {
        count_one(&side_counters.abandoned_pipelines);
        return;
    }
    match stopped.recv_timeout(LIMIT) {
        Ok(true) => {}
        Ok(false) => tracing::warn!("a GStreamer pipeline did not stop cleanly"),
        Err(_) => {
            count_one(&side_counters.abandoned_pipelines);
            tracing::warn!("a GStreamer pipeline did not stop in {LIMIT:?} and was abandoned");
        }
    }
}
