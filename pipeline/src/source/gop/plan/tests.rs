use super::*;

const GAP: f64 = 0.04;

/// A stream at 25 frames per second in decoding order.
struct Stream {
    planner: GopPlanner,
    dts: bool,
    /// Time stamps of the decoded frames, in frames.
    decoded: Vec<u32>,
    run_starts: Vec<(u32, RunStart)>,
    fallbacks: Vec<DenseReason>,
}

impl Stream {
    fn new(span: f64, dts: bool) -> Self {
        let planner = GopPlanner::new(span);
        Self { planner, dts, decoded: Vec::new(), run_starts: Vec::new(), fallbacks: Vec::new() }
    }

    /// A GOP that starts at frame `start`; `order` lists the frames after it.
    fn gop(&mut self, start: u32, kind: Keyframe, order: impl IntoIterator<Item = u32>) {
        for (idx, frame) in [0].into_iter().chain(order).enumerate() {
            let pts = f64::from(start + frame) * GAP;
            // Two frames of delay, as with a pyramid of B-frames.
            let dts = (f64::from(start) + idx as f64 - 2.0) * GAP;
            let keyframe = (frame == 0).then_some(kind);
            let unit = AccessUnit { keyframe, pts: Some(pts), dts: self.dts.then_some(dts) };
            let decision = self.planner.decide(&unit);
            if decision.decode {
                self.decoded.push(start + frame);
            }
            self.run_starts.extend(decision.run_start.map(|it| (start + frame, it)));
            self.fallbacks.extend(decision.falls_back);
        }
    }

    fn decoded_after(&self, frame: u32) -> Vec<u32> {
        let mut decoded: Vec<_> = self.decoded.iter().copied().filter(|&it| it >= frame).collect();
        decoded.sort_unstable();
        decoded
    }
}

/// Mini-GOPs P B b b of four: 4 2 1 3, 8 6 5 7, ...
fn pyramid(length: u32) -> impl Iterator<Item = u32> {
    (0..length / 4).flat_map(|it| [4, 2, 1, 3].map(|frame| it * 4 + frame))
}

#[test]
fn after_a_whole_gop_only_prefixes_are_decoded() {
    for dts in [false, true] {
        let mut stream = Stream::new(0.2, dts);
        (0..4).for_each(|it| stream.gop(it * 50, Keyframe::Idr, 1..50));
        assert_eq!(stream.run_starts, [50, 100, 150].map(|it| (it, RunStart::GopPrefix)));
        let delay = if dts { 2 } else { 0 };
        let expected = (0..50).chain([50, 100, 150].into_iter().flat_map(|it| it..=it + 5 + delay));
        assert_eq!(stream.decoded, expected.collect::<Vec<_>>(), "{dts}");
        assert!(stream.fallbacks.is_empty());
    }
}

#[test]
fn every_frame_of_the_clip_is_decoded_with_its_references() {
    for dts in [false, true] {
        for needed in [1, 2, 3, 5, 6, 7, 8, 9] {
            let mut stream = Stream::new(f64::from(needed) * GAP, dts);
            (0..3).for_each(|it| stream.gop(it * 49, Keyframe::Idr, pyramid(48)));
            let decoded = stream.decoded_after(49);
            let first: Vec<_> = decoded.into_iter().filter(|&it| it < 98).collect();
            assert!((49..=49 + needed).all(|it| first.contains(&it)), "{needed}: {first:?}");
            assert!(first.len() as u32 <= needed + 9, "{needed}: {first:?}");
            // The decoded frames are a beginning of the decoding order, so no reference is missing.
            let order: Vec<_> = [49].into_iter().chain(pyramid(48).map(|it| 49 + it)).collect();
            let start = stream.decoded.iter().position(|&it| it == 49).unwrap();
            assert_eq!(stream.decoded[start..start + first.len()], order[..first.len()]);
        }
    }
}

#[test]
fn growing_reordering_costs_one_gop() {
    let mut stream = Stream::new(0.08, false);
    stream.gop(0, Keyframe::Idr, 1..=48);
    (1..4).for_each(|it| stream.gop(it * 49, Keyframe::Idr, pyramid(48)));
    let has = |frame| stream.decoded.contains(&frame);
    assert!(!has(49 + 2) && has(98 + 2) && has(147 + 2), "{:?}", stream.decoded);
}

#[test]
fn open_gops_are_decoded_whole() {
    let mut stream = Stream::new(0.2, true);
    stream.gop(0, Keyframe::Idr, 1..50);
    (1..8).for_each(|it| stream.gop(it * 50, Keyframe::Open, 1..50));
    assert_eq!((stream.decoded.len(), stream.run_starts.len()), (400, 0));
    assert_eq!(stream.fallbacks, [DenseReason::OpenGop]);
}

#[test]
fn an_open_keyframe_inside_a_gop_starts_no_run() {
    let mut stream = Stream::new(0.2, true);
    for it in 0..4 {
        stream.gop(it * 100, Keyframe::Idr, 1..50);
        stream.gop(it * 100 + 50, Keyframe::Open, 1..50);
    }
    assert_eq!(stream.run_starts, [100, 200, 300].map(|it| (it, RunStart::GopPrefix)));
    assert!(stream.fallbacks.is_empty() && stream.decoded.len() == 100 + 3 * 8);
}

#[test]
fn an_endless_gop_is_decoded_whole() {
    let mut stream = Stream::new(0.2, true);
    stream.gop(0, Keyframe::Idr, 1..2000);
    assert_eq!((stream.decoded.len(), stream.fallbacks), (2000, vec![DenseReason::EndlessGop]));
}

#[test]
fn gops_that_become_endless_or_open_are_decoded_from_the_next_keyframe() {
    for (kind, reason) in
        [(Keyframe::Idr, DenseReason::EndlessGop), (Keyframe::Open, DenseReason::OpenGop)]
    {
        let mut stream = Stream::new(0.2, true);
        (0..3).for_each(|it| stream.gop(it * 50, Keyframe::Idr, 1..50));
        stream.gop(150, Keyframe::Idr, 1..100);
        if reason == DenseReason::OpenGop {
            stream.gop(250, Keyframe::Open, 1..400);
        } else {
            stream.gop(250, Keyframe::Idr, []);
            stream.gop(250, Keyframe::Idr, 1..400);
        }
        // Two frames are shown before the keyframe and coded after it.
        let lead = stream.decoded.len();
        stream.gop(700, kind, 1..20);
        stream.gop(720, Keyframe::Idr, 1..50);
        assert_eq!(stream.fallbacks, [reason]);
        assert_eq!(stream.run_starts.last(), Some(&(700, RunStart::Dense)));
        assert_eq!(stream.decoded[lead..], (700..770).collect::<Vec<_>>());
    }
}

#[test]
fn frames_that_lead_the_keyframe_of_a_restart_are_skipped() {
    let mut planner = GopPlanner::new(0.2);
    let mut take = |keyframe, frame: u32| {
        planner.decide(&AccessUnit { keyframe, pts: Some(f64::from(frame) * GAP), dts: None })
    };
    for it in 0..100 {
        take((it % 50 == 0).then_some(Keyframe::Idr), it);
    }
    take(Some(Keyframe::Idr), 100);
    assert!(take(None, 400).falls_back == Some(DenseReason::EndlessGop));
    assert!(!take(None, 401).decode);
    let key = take(Some(Keyframe::Open), 410);
    assert_eq!((key.decode, key.run_start), (true, Some(RunStart::Dense)));
    let decoded = [408, 409, 413, 411, 412, 405].map(|it| take(None, it).decode);
    assert_eq!(decoded, [false, false, true, true, true, true]);
}

#[test]
fn gops_shorter_than_a_clip_are_decoded_whole() {
    let mut stream = Stream::new(0.4, true);
    (0..10).for_each(|it| stream.gop(it * 10, Keyframe::Idr, 1..10));
    assert_eq!((stream.decoded.len(), stream.run_starts.len()), (100, 0));
    assert_eq!(stream.fallbacks, [DenseReason::ShortGop]);
    // With one frame more, the last frame of a clip is the last of its GOP.
    let mut stream = Stream::new(0.4, true);
    (0..10).for_each(|it| stream.gop(it * 11, Keyframe::Idr, 1..11));
    assert_eq!(stream.run_starts.len(), 9);
}

#[test]
fn a_single_short_gop_changes_nothing() {
    let mut stream = Stream::new(0.4, true);
    for it in 0..4 {
        stream.gop(it * 60, Keyframe::Idr, 1..50);
        stream.gop(it * 60 + 50, Keyframe::Idr, 1..10);
    }
    assert!(stream.fallbacks.is_empty());
    assert_eq!(stream.run_starts.iter().filter(|it| it.1 == RunStart::GopPrefix).count(), 7);
}

#[test]
fn gops_that_become_short_are_decoded_whole_again() {
    let mut stream = Stream::new(0.4, true);
    (0..2).for_each(|it| stream.gop(it * 50, Keyframe::Idr, 1..50));
    (0..9).for_each(|it| stream.gop(100 + it * 10, Keyframe::Idr, 1..10));
    assert_eq!(stream.fallbacks, [DenseReason::ShortGop]);
    let dense: Vec<_> = stream.run_starts.iter().filter(|it| it.1 == RunStart::Dense).collect();
    assert_eq!(dense, [&(140, RunStart::Dense)]);
    assert_eq!(stream.decoded_after(100), (100..190).collect::<Vec<_>>());
}

#[test]
fn without_time_stamps_or_a_known_codec_all_is_decoded() {
    let unit = |kind, pts| AccessUnit { keyframe: Some(kind), pts, dts: Some(0.0) };
    for (unit, reason) in [
        (unit(Keyframe::Idr, None), DenseReason::NoTimestamps),
        (unit(Keyframe::Unknown, Some(1.0)), DenseReason::UnknownCodec),
    ] {
        let mut planner = GopPlanner::new(0.2);
        assert_eq!(
            planner.decide(&unit),
            Decision { decode: true, run_start: None, falls_back: Some(reason) }
        );
        assert_eq!(
            planner.decide(&unit),
            Decision { decode: true, run_start: None, falls_back: None }
        );
    }
}

#[test]
fn a_clock_set_back_does_not_count_as_reordering() {
    let mut stream = Stream::new(0.2, false);
    stream.gop(1000, Keyframe::Idr, 1..50);
    stream.gop(1050, Keyframe::Idr, 1..25);
    // Time goes back in the middle of a GOP.
    stream.planner.decide(&AccessUnit { keyframe: None, pts: Some(0.0), dts: None });
    let run_starts = stream.run_starts.len();
    (0..3).for_each(|it| stream.gop(50 + it * 50, Keyframe::Idr, 1..50));
    assert_eq!(stream.run_starts.len(), run_starts + 3);
    let decoded: Vec<_> =
        stream.decoded.iter().copied().filter(|&it| (100..150).contains(&it)).collect();
    assert_eq!(decoded, (100..=105).collect::<Vec<_>>());
}
