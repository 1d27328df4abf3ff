//! Keeps from a decoder what no clip needs, and remembers where the prefixes begin.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use gstreamer::{self as gst, prelude::*};

use super::{
    nal::{Coding, Key},
    plan::{Groups, Unit, Verdict, Why},
};
use crate::{
    Sample,
    source::{Begin, Opening, gstreamer::is_decoder, side_counts},
};

/// Begins that wait for their pictures: more than a decoder ever holds back. One whose picture
/// never comes is forgotten when others follow.
const WAITING: usize = 64;

/// What the probe on the decoder tells the thread that takes its pictures.
///
/// A picture is known by its PTS, which decoders hand through unchanged, whatever they are.
#[derive(Debug, Default)]
pub(crate) struct Prefixes {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    begins: VecDeque<(gst::ClockTime, Begin)>,
    /// When the last coded picture is shown that came by, and the last decoded one.
    coded: Option<gst::ClockTime>,
    shown: Option<gst::ClockTime>,
    skipped: u64,
}

impl Prefixes {
    /// Watches for the decoders of a pipeline, where only prefixes shall be decoded.
    pub(crate) fn watch(pipeline: &gst::Pipeline, opening: &Opening) -> Arc<Self> {
        let prefixes = Arc::new(Self::default());
        if opening.stream.sample == Sample::KeyframePairs {
            let (shared, opening) = (prefixes.clone(), opening.clone());
            pipeline.connect_deep_element_added(move |_, _, element| {
                if let Some(pad) = element
                    .static_pad("sink")
                    .filter(|_| element.factory().is_some_and(|it| is_decoder(&it)))
                {
                    shared.clone().install(&pad, &opening);
                }
            });
        }
        prefixes
    }

    /// What the decoded picture with this time stamp is the first of.
    pub(crate) fn shown(&self, pts: Option<gst::ClockTime>) -> Option<Begin> {
        let mut state = self.lock();
        state.shown = pts.or(state.shown);
        let at = state.begins.iter().position(|it| Some(it.0) == pts)?;
        state.begins.drain(..=at).next_back().map(|it| it.1)
    }

    /// Seconds from the last decoded picture to the last coded one, which may not have been
    /// decoded.
    pub(crate) fn unshown(&self) -> f64 {
        let state = self.lock();
        let ahead = state.coded.zip(state.shown).map(|(coded, shown)| coded.saturating_sub(shown));
        ahead.map_or(0.0, gst::ClockTime::seconds_f64)
    }

    /// Coded pictures that were left out so far because the next key is still to come: between
    /// two prefixes they are the sign that the stream plays.
    pub(crate) fn skipped(&self) -> u64 {
        self.lock().skipped
    }

    fn install(self: Arc<Self>, pad: &gst::Pad, opening: &Opening) {
        let groups = Mutex::new(Groups::new(opening.clip.span_seconds()));
        let (name, counters) = (opening.stream.name.clone(), opening.tally.clone());
        pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
            let Some(buffer) = info.buffer() else { return gst::PadProbeReturn::Ok };
            let mut groups = groups.lock().unwrap_or_else(PoisonError::into_inner);
            let verdict = groups.take(&unit(pad, buffer));
            self.note(buffer.pts(), &verdict, groups.skips());
            if let Some(why) = verdict.said {
                say(why, &name, &counters.said_dense);
            }
            if verdict.feed {
                return gst::PadProbeReturn::Ok;
            }
            side_counts::add(&counters.unneeded);
            // Drop makes the bindings of GStreamer before 1.24.8 release the buffer twice.
            gst::PadProbeReturn::Handled
        });
    }

    fn note(&self, pts: Option<gst::ClockTime>, verdict: &Verdict, skips: bool) {
        let mut state = self.lock();
        state.coded = pts.max(state.coded);
        state.skipped += u64::from(skips && !verdict.feed);
        if let Some(begin) = pts.zip(verdict.begins) {
            if state.begins.len() == WAITING {
                state.begins.pop_front();
            }
            state.begins.push_back(begin);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unit(pad: &gst::Pad, buffer: &gst::BufferRef) -> Unit {
    let seconds = |it: Option<gst::ClockTime>| it.map(gst::ClockTime::seconds_f64);
    let key = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
    Unit {
        key: key.then(|| kind(pad, buffer)),
        pts: seconds(buffer.pts()),
        dts: seconds(buffer.dts()),
    }
}

fn kind(pad: &gst::Pad, buffer: &gst::BufferRef) -> Key {
    // Caps may change in the middle of a stream, and keys are few.
    let Some(caps) = pad.current_caps() else { return Key::Unknown };
    buffer.map_readable().map_or(Key::Open, |it| Coding::of(&caps).key(&it))
}

fn say(why: Why, name: &str, said: &AtomicBool) {
    // A looped archive is opened again and again.
    if !said.swap(true, Ordering::Relaxed) {
        let why = why.text();
        tracing::warn!("stream {name:?}: sample = \"keyframe-pairs\" decodes all frames: {why}");
    }
}
