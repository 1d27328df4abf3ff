//! What is counted of a stream: what became of each decoded frame, and what else happened.
//!
//! The lists at the end of this file are the only ones: tables, metrics, the page and the summary
//! of a run follow them.

use serde::{Deserialize, Serialize};

macro_rules! lists {
    (
        outcomes { $($outcome:ident, $frames:ident, $outcome_name:literal, $outcome_text:literal;)* }
        counters { $($counter:ident, $count:ident, $counter_name:literal, $counter_text:literal;)* }
    ) => {
        /// What became of a decoded frame. Every frame has exactly one outcome.
        ///
        /// A frame of a clip that was never completed has the reason for which the last clip that
        /// needed it was dropped.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum FrameOutcome {
            $(#[doc = concat!("Frames ", $outcome_text, ".")] $outcome,)*
        }

        impl FrameOutcome {
            /// Every outcome, in the order of the columns of the table `streams`.
            pub const ALL: &[Self] = &[$(Self::$outcome),*];

            /// The name in tables and metrics, for example `scene_cut`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$outcome => $outcome_name,)* }
            }

            /// What it means, to follow a number of frames.
            pub fn description(self) -> &'static str {
                match self { $(Self::$outcome => $outcome_text,)* }
            }

            fn sentence(self) -> &'static str {
                match self { $(Self::$outcome => concat!("Frames ", $outcome_text, "."),)* }
            }
        }

        /// Something else that is counted of a stream.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum StreamCounter {
            $(#[doc = concat!("Counts ", $counter_text, ".")] $counter,)*
        }

        impl StreamCounter {
            /// Every counter, in the order of the columns of the table `streams`.
            pub const ALL: &[Self] = &[$(Self::$counter),*];

            /// The name in tables and metrics, for example `reconnects`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$counter => $counter_name,)* }
            }

            /// What it counts, to follow a number.
            pub fn description(self) -> &'static str {
                match self { $(Self::$counter => $counter_text,)* }
            }

            fn sentence(self) -> &'static str {
                match self { $(Self::$counter => concat!("Number of ", $counter_text, "."),)* }
            }
        }

        /// Running totals of one stream.
        ///
        /// `trained` and `untrained` are 0 in the totals that come with clips and events: the
        /// thread that decodes a stream does not know what is trained on.
        #[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
        pub struct Counts {
            /// Frames that came out of the decoder.
            pub decoded: u64,
            $(#[doc = concat!("Frames ", $outcome_text, ".")] pub $frames: u64,)*
            $(#[doc = concat!("Number of ", $counter_text, ".")] pub $count: u64,)*
        }

        impl Counts {
            /// Frames with this outcome.
            pub fn frames(&self, outcome: FrameOutcome) -> u64 {
                match outcome { $(FrameOutcome::$outcome => self.$frames,)* }
            }

            pub(crate) fn frames_mut(&mut self, outcome: FrameOutcome) -> &mut u64 {
                match outcome { $(FrameOutcome::$outcome => &mut self.$frames,)* }
            }

            /// The value of a counter.
            pub fn counter(&self, counter: StreamCounter) -> u64 {
                match counter { $(StreamCounter::$counter => self.$count,)* }
            }
        }
    };
}

impl FrameOutcome {
    /// Whether the frame is in no clip that was cut.
    pub fn is_skipped(self) -> bool {
        !matches!(self, Self::Trained | Self::Untrained)
    }
}

impl Counts {
    /// Decoded frames that are in no clip that was cut.
    pub fn skipped(&self) -> u64 {
        let skipped = FrameOutcome::ALL.iter().filter(|it| it.is_skipped());
        skipped.map(|it| self.frames(*it)).sum()
    }

    /// Decoded frames whose outcome is known. At the end of a stream these are all.
    pub fn accounted(&self) -> u64 {
        FrameOutcome::ALL.iter().map(|it| self.frames(*it)).sum()
    }

    /// Every number with its name: `decoded`, then the outcomes, then the counters.
    pub fn named(&self) -> Vec<NamedCount> {
        let decoded = NamedCount {
            name: "decoded",
            description: "Frames that came out of the decoder: the sum of all outcomes.",
            value: self.decoded,
        };
        let outcomes = FrameOutcome::ALL.iter().map(|it| NamedCount {
            name: it.name(),
            description: it.sentence(),
            value: self.frames(*it),
        });
        let counters = StreamCounter::ALL.iter().map(|it| NamedCount {
            name: it.name(),
            description: it.sentence(),
            value: self.counter(*it),
        });
        [decoded].into_iter().chain(outcomes).chain(counters).collect()
    }

    /// The totals as the thread that decodes the stream knows them.
    pub(crate) fn before_training(self) -> Self {
        Self { trained: 0, untrained: 0, ..self }
    }
}

/// One of the numbers of [`Counts`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NamedCount {
    /// The name in tables and metrics.
    pub name: &'static str,
    /// What it counts, as a sentence.
    pub description: &'static str,
    /// The number.
    pub value: u64,
}

lists! {
    outcomes {
        Trained, trained, "trained", "trained on";
        Untrained, untrained, "untrained", "cut into clips but not trained on";
        OffGrid, off_grid, "off_grid", "between the times that clips need";
        SceneCut, scene_cut, "scene_cut", "in clips with a scene cut";
        Discontinuity, discontinuity, "discontinuity",
            "in clips across a jump in time, lost data or a change of format";
        Irregular, irregular, "irregular",
            "in clips with missing or irregularly spaced frames";
        LightChange, light_change, "light_change", "in clips in which the light changed";
        Static, r#static, "static", "in clips in which nothing moves";
        Dropped, dropped, "dropped", "in clips that were dropped for newer ones";
        Unfinished, unfinished, "unfinished",
            "in clips that the end of a file, of a GOP prefix or of the run left incomplete";
    }
    counters {
        Epochs, epochs, "epochs", "epochs in which the source was read to its end";
        Errors, errors, "errors",
            "errors: files that failed or ended early, and lost or failed connections";
        Reconnects, reconnects, "reconnects", "reconnects of a live stream that was lost";
        Stalls, stalls, "stalls", "stalls of a live stream, without a frame for too long";
        DroppedBacklog, dropped_backlog, "dropped_backlog",
            "coded frames dropped because decoding was too slow";
        SkippedGop, skipped_gop, "skipped_gop",
            "coded frames not decoded because no clip needs them";
        AbandonedPipelines, abandoned_pipelines, "abandoned_pipelines",
            "GStreamer pipelines that did not stop in time";
        Clips, clips, "clips", "clips cut from the stream";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_and_counter_has_a_field_of_its_own() {
        let mut counts = Counts { decoded: 1, ..Counts::default() };
        for (idx, outcome) in FrameOutcome::ALL.iter().enumerate() {
            *counts.frames_mut(*outcome) = 1 << idx;
        }
        assert_eq!(counts.accounted(), (1 << FrameOutcome::ALL.len()) - 1);
        assert_eq!(counts.skipped(), counts.accounted() - counts.trained - counts.untrained);
        let written = serde_json::to_value(counts).unwrap();
        let named = counts.named();
        assert_eq!(written.as_object().unwrap().len(), named.len());
        for NamedCount { name, value, .. } in named {
            assert_eq!(written[name], value, "{name}");
        }
    }
}
