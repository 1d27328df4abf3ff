//! Drops coded frames that no clip needs before they reach the decoder.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use gstreamer::{self as gst, prelude::*};

use super::{
    nal::{Coding, Keyframe},
    plan::{AccessUnit, Decision, DenseReason, GopPlanner},
};
use crate::{
    Sample,
    source::{RunStart, SourceContext, gstreamer::is_decoder, side_counts::count_one},
};

/// Run starts that wait for their decoded frame: more than a decoder ever delays. One whose frame
/// never comes is dropped when others follow.
const PENDING: usize = 64;

/// What the probe on the decoder's input tells the thread that takes its output.
///
/// The two match frames by PTS, which decoders pass through unchanged.
#[derive(Debug, Default)]
pub(crate) struct GopFilter {
    state: Mutex<FilterState>,
}

#[derive(Debug, Default)]
struct FilterState {
    pending: VecDeque<(gst::ClockTime, RunStart)>,
    /// Latest PTS among the coded frames, and among the decoded ones.
    coded: Option<gst::ClockTime>,
    decoded: Option<gst::ClockTime>,
    skipped: u64,
}

impl GopFilter {
    /// Filters the input of every decoder that is added to a pipeline, if the stream samples GOP
    /// starts. Otherwise everything passes.
    pub(crate) fn for_pipeline(pipeline: &gst::Pipeline, context: &SourceContext) -> Arc<Self> {
        let filter = Arc::new(Self::default());
        if context.stream.sample == Sample::GopStart {
            let (shared, context) = (filter.clone(), context.clone());
            pipeline.connect_deep_element_added(move |_, _, element| {
                if let Some(pad) = element
                    .static_pad("sink")
                    .filter(|_| element.factory().is_some_and(|it| is_decoder(&it)))
                {
                    shared.clone().install(&pad, &context);
                }
            });
        }
        filter
    }

    /// Takes note of a decoded frame; returns which kind of run it starts, if any.
    pub(crate) fn decoded(&self, pts: Option<gst::ClockTime>) -> Option<RunStart> {
        let mut state = self.lock();
        state.decoded = pts.or(state.decoded);
        let at = state.pending.iter().position(|it| Some(it.0) == pts)?;
        state.pending.drain(..=at).next_back().map(|it| it.1)
    }

    /// Seconds from the last decoded frame to the last coded one, which may have been skipped.
    pub(crate) fn skipped_tail(&self) -> f64 {
        let state = self.lock();
        let ahead =
            state.coded.zip(state.decoded).map(|(coded, decoded)| coded.saturating_sub(decoded));
        ahead.map_or(0.0, gst::ClockTime::seconds_f64)
    }

    /// Coded frames skipped so far while waiting for the next keyframe. Between two prefixes they
    /// are the only sign that the stream plays.
    pub(crate) fn skipped(&self) -> u64 {
        self.lock().skipped
    }

    fn install(self: Arc<Self>, pad: &gst::Pad, context: &SourceContext) {
        let planner = Mutex::new(GopPlanner::new(context.clip.span_seconds()));
        let (name, counters) = (context.stream.name.clone(), context.side_counters.clone());
        pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
            let Some(buffer) = info.buffer() else { return gst::PadProbeReturn::Ok };
            let mut planner = planner.lock().unwrap_or_else(PoisonError::into_inner);
            let decision = planner.decide(&access_unit(pad, buffer));
            self.note(buffer.pts(), &decision, planner.skips());
            if let Some(reason) = decision.falls_back {
                log_once(reason, &name, &counters.logged_dense);
            }
            if decision.decode {
                return gst::PadProbeReturn::Ok;
            }
            count_one(&counters.skipped_gop);
            // Drop makes the bindings of GStreamer before 1.24.8 release the buffer twice.
            gst::PadProbeReturn::Handled
        });
    }

    fn note(&self, pts: Option<gst::ClockTime>, decision: &Decision, skips: bool) {
        let mut state = self.lock();
        state.coded = pts.max(state.coded);
        state.skipped += u64::from(skips && !decision.decode);
        if let Some(start) = pts.zip(decision.run_start) {
            if state.pending.len() == PENDING {
                state.pending.pop_front();
            }
            state.pending.push_back(start);
        }
    }

    fn lock(&self) -> MutexGuard<'_, FilterState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn access_unit(pad: &gst::Pad, buffer: &gst::BufferRef) -> AccessUnit {
    let seconds = |it: Option<gst::ClockTime>| it.map(gst::ClockTime::seconds_f64);
    let is_keyframe = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
    AccessUnit {
        keyframe: is_keyframe.then(|| keyframe(pad, buffer)),
        pts: seconds(buffer.pts()),
        dts: seconds(buffer.dts()),
    }
}

fn keyframe(pad: &gst::Pad, buffer: &gst::BufferRef) -> Keyframe {
    // Read the caps each time: they may change in mid-stream, and keyframes are rare.
    let Some(caps) = pad.current_caps() else { return Keyframe::Unknown };
    buffer.map_readable().map_or(Keyframe::Open, |it| Coding::of(&caps).keyframe(&it))
}

fn log_once(reason: DenseReason, name: &str, logged: &AtomicBool) {
    // A looped archive is opened again and again.
    if !logged.swap(true, Ordering::Relaxed) {
        let reason = reason.text();
        tracing::warn!("stream {name:?}: sample = \"gop-start\" decodes all frames: {reason}");
    }
}
