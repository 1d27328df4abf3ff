use std::collections::HashSet;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

/// Time, discontinuity, and the grey level that the frame is rendered with.
type TestFrame = (f64, bool, u8);

struct Cut {
    clips: Vec<Clip>,
    sampler: Sampler<u8>,
    rendered: u64,
}

impl Cut {
    fn times(&self) -> Vec<Vec<f64>> {
        self.clips.iter().map(|it| it.frames.iter().map(|it| it.time).collect()).collect()
    }

    fn assert_balanced(&self) {
        let new_frames: u64 = self.clips.iter().map(|it| it.info.new_frames).sum();
        let counts = self.sampler.counts;
        assert_eq!(counts.decoded, new_frames + counts.skipped(), "{counts:?}");
    }
}

fn at(time: f64, discontinuity: bool) -> super::FrameTime {
    super::FrameTime { time, discontinuity, captured: None }
}

fn config(frames: usize, interval: f64, hop: f64) -> ClipConfig {
    ClipConfig { hop, cut_threshold: 0.25, ..ClipConfig::new(frames, interval) }
}

fn cut_from(config: ClipConfig, phase: f64, shown: impl IntoIterator<Item = TestFrame>) -> Cut {
    let mut sampler = Sampler::new(config, 0);
    sampler.begin(Origin { item: "item".into(), epoch: 0, phase, cursor: Arc::default() });
    let (mut clips, mut rendered) = (Vec::new(), 0);
    let mut render = |grey: &u8| {
        rendered += 1;
        Ok(Arc::from(vec![*grey; 12]))
    };
    for (time, discontinuity, grey) in shown {
        clips.extend(sampler.push(at(time, discontinuity), grey, &mut render).unwrap());
    }
    clips.extend(sampler.end(&mut render).unwrap());
    let cut = Cut { clips, sampler, rendered };
    cut.assert_balanced();
    cut
}

fn cut(config: ClipConfig, shown: impl IntoIterator<Item = TestFrame>) -> Cut {
    cut_from(config, 0.0, shown)
}

/// Frames at 25 per second, numbered from the start.
fn steady(numbers: impl IntoIterator<Item = u32>) -> impl Iterator<Item = TestFrame> {
    numbers.into_iter().map(|it| (f64::from(it) * 0.04, false, 100))
}

fn numbers(times: &[Vec<f64>]) -> Vec<Vec<u32>> {
    let number = |time: &f64| (time / 0.04).round() as u32;
    times.iter().map(|it| it.iter().map(number).collect()).collect()
}

#[test]
fn clips_of_a_steady_stream_have_exact_times() {
    let cut = cut(config(3, 0.2, 0.0), steady(0..50));
    assert_eq!(numbers(&cut.times()), [[0, 5, 10], [15, 20, 25], [30, 35, 40]]);
    // Only frames that a clip needs are scaled. Frame 45 started a clip that was not completed.
    assert_eq!(cut.rendered, 10);
    assert_eq!((cut.sampler.counts.off_grid, cut.sampler.counts.unfinished), (40, 1));
}

#[test]
fn the_last_frame_completes_a_clip() {
    let cut = cut(config(2, 0.04, 0.0), steady(0..4));
    assert_eq!(numbers(&cut.times()), [[0, 1], [2, 3]]);
}

#[test]
fn overlapping_clips_share_frames_and_own_them_once() {
    let cut = cut(config(4, 0.04, 0.04), steady(0..8));
    let times = numbers(&cut.times());
    assert_eq!(times, [[0, 1, 2, 3], [1, 2, 3, 4], [2, 3, 4, 5], [3, 4, 5, 6], [4, 5, 6, 7]]);
    let new_frames: Vec<_> = cut.clips.iter().map(|it| it.info.new_frames).collect();
    assert_eq!(new_frames, [4, 1, 1, 1, 1]);
    let [one, other] = [&cut.clips[0].frames[3], &cut.clips[1].frames[2]];
    assert!(Arc::ptr_eq(&one.pixels, &other.pixels));
    assert_eq!(cut.rendered, 8);
}

#[test]
fn a_phase_gives_other_frames() {
    let cut = cut_from(config(2, 0.2, 0.4), 0.12, steady(0..30));
    assert_eq!(numbers(&cut.times()), [[3, 8], [13, 18], [23, 28]]);
}

#[test]
fn any_start_of_the_stream_is_time_zero_of_the_grid() {
    let late = steady(0..20).map(|(time, lost, grey)| (time + 1234.567, lost, grey));
    let times = cut(config(2, 0.2, 0.0), late).times();
    assert_eq!(times[0], [1234.567, 0.2 + 1234.567]);
}

#[test]
fn a_clip_whose_frame_is_missing_is_dropped() {
    // Frames 4 to 6 are lost; 5 is needed and neither 3 nor 7 is near enough.
    let cut = cut(config(2, 0.2, 0.4), steady((0..30).filter(|it| !(4..=6).contains(it))));
    assert_eq!(numbers(&cut.times()), [[10, 15], [20, 25]]);
    assert!(cut.sampler.counts.irregular >= 1);
}

#[test]
fn a_variable_rate_gives_only_clips_that_keep_the_interval() {
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let mut time = 0.0;
    let shown: Vec<_> = (0..2000)
        .map(|_| {
            time += [0.033, 0.033, 0.033, 0.04, 0.1][random.random_range(0..5)];
            (time, false, 100)
        })
        .collect();
    let cut = cut(config(3, 0.2, 0.1), shown);
    assert!(cut.clips.len() > 50, "{}", cut.clips.len());
    assert!(cut.sampler.counts.irregular > 50);
    for times in cut.times() {
        // Each frame is at most half a median gap and 5 ms off.
        let worst = 2.0 * (0.02 + 0.005) + 1e-9;
        assert!(times.windows(2).all(|it| (it[1] - it[0] - 0.2).abs() < worst), "{times:?}");
    }
}

#[test]
fn clips_never_span_a_discontinuity() {
    let flagged = steady(0..40).map(|(time, _, grey)| (time, time == 17.0 * 0.04, grey));
    let cut = cut(config(4, 0.04, 0.04), flagged);
    assert_eq!(cut.clips.len(), 14 + 20);
    assert!(numbers(&cut.times()).iter().all(|it| it[3] < 17 || it[0] >= 17));
    assert_eq!(cut.sampler.counts.discontinuity, 0, "every frame was in an earlier clip");
}

#[test]
fn frames_before_a_discontinuity_are_counted_with_it() {
    let flagged = steady(0..9).map(|(time, _, grey)| (time, time == 6.0 * 0.04, grey));
    let counts = cut(config(4, 0.04, 0.16), flagged).sampler.counts;
    assert_eq!((counts.discontinuity, counts.unfinished), (2, 3));
}

#[test]
fn a_gap_and_time_that_goes_back_break_the_stream() {
    let gap = steady((0..10).chain(20..30));
    let times = numbers(&cut(config(4, 0.04, 0.0), gap).times());
    assert_eq!(times, [[0, 1, 2, 3], [4, 5, 6, 7], [20, 21, 22, 23], [24, 25, 26, 27]]);
    let back = steady((0..6).chain(3..9));
    let times = numbers(&cut(config(4, 0.04, 0.0), back).times());
    assert_eq!(times, [[0, 1, 2, 3], [3, 4, 5, 6]]);
}

#[test]
fn clips_never_span_a_scene_cut() {
    let scene = |number: u32| if number < 10 { 20 } else { 220 };
    let shown = || (0..20).map(|it| (f64::from(it) * 0.04, false, scene(it)));
    let found = cut(config(4, 0.04, 0.0), shown());
    assert_eq!(
        numbers(&found.times()),
        [[0, 1, 2, 3], [4, 5, 6, 7], [12, 13, 14, 15], [16, 17, 18, 19]]
    );
    // Frames 8, 9 and 10 were in the clip; no clip needed 11.
    assert_eq!((found.sampler.counts.scene_cut, found.sampler.counts.off_grid), (3, 1));
    for threshold in [0.0, 1.0] {
        let blind = ClipConfig { cut_threshold: threshold, ..config(4, 0.04, 0.0) };
        assert_eq!(cut(blind, shown()).clips.len(), 5, "{threshold}");
    }
}

#[test]
fn a_slow_change_is_not_a_cut() {
    let fade = (0..20_u8).map(|it| (f64::from(it) * 0.04, false, it * 12));
    assert_eq!(cut(config(4, 0.04, 0.0), fade).clips.len(), 5);
}

#[test]
fn clips_never_span_a_change_of_light() {
    // One frame of lightning, whose difference is below that of a cut.
    let grey = |number: u32| if number == 9 { 158 } else { 100 };
    let shown = || (0..20).map(|it| (f64::from(it) * 0.04, false, grey(it)));
    let config = ClipConfig { light_threshold: 0.2, ..config(4, 0.04, 0.04) };
    let found = cut(config.clone(), shown());
    let expected: Vec<_> = (0..17).filter(|it| !(6..=9).contains(it)).collect();
    assert_eq!(numbers(&found.times()).iter().map(|it| it[0]).collect::<Vec<_>>(), expected);
    // All other frames are in clips before or after it.
    assert_eq!((found.sampler.counts.light_change, found.sampler.counts.scene_cut), (1, 0));
    let blind = ClipConfig { light_threshold: 0.0, ..config };
    assert_eq!(cut(blind, shown()).clips.len(), 17);
}

#[test]
fn a_cut_with_another_light_counts_as_a_cut() {
    let scene = |number: u32| if number < 10 { 20 } else { 220 };
    let shown = || (0..20).map(|it| (f64::from(it) * 0.04, false, scene(it)));
    let config = ClipConfig { light_threshold: 0.2, ..config(4, 0.04, 0.0) };
    let counts = cut(config.clone(), shown()).sampler.counts;
    assert_eq!((counts.scene_cut, counts.light_change), (3, 0));
    let counts = cut(ClipConfig { cut_threshold: 0.0, ..config }, shown()).sampler.counts;
    assert_eq!((counts.scene_cut, counts.light_change), (0, 3));
}

#[test]
fn clips_in_which_nothing_moves_are_dropped_and_their_frames_counted_once() {
    // Static, then moving from frame 30 to 50, then static again.
    let grey =
        |number: u32| if (30..50).contains(&number) { 100 + 5 * (number % 2) as u8 } else { 100 };
    let shown = || (0..90).map(|it| (f64::from(it) * 0.04, false, grey(it)));
    for (frames, step, hop) in [(4_u32, 1, 1), (4, 1, 3), (3, 2, 1), (5, 1, 5), (2, 1, 7)] {
        let seconds = |it: u32| f64::from(it) * 0.04;
        let config = config(frames as usize, seconds(step), seconds(hop));
        let every = cut(config.clone(), shown());
        let all = numbers(&every.times());
        let moving: Vec<_> = all
            .iter()
            .filter(|it| it.windows(2).any(|it| grey(it[0]) != grey(it[1])))
            .cloned()
            .collect();
        let found = cut(ClipConfig { skip_static: 0.01, ..config }, shown());
        assert_eq!(numbers(&found.times()), moving, "{frames} {step} {hop}");
        assert!(!moving.is_empty() && moving.len() < all.len());
        let shown_in =
            |clips: &[Vec<u32>]| -> HashSet<u32> { clips.concat().into_iter().collect() };
        let in_static_clips = shown_in(&all).difference(&shown_in(&moving)).count() as u64;
        // The last few are also in clips that the end left incomplete, and count as unfinished.
        let [before, after] = [&every, &found].map(|it| it.sampler.counts);
        let unfinished = after.unfinished - before.unfinished;
        assert!(unfinished <= u64::from((frames - 1) * step), "{after:?}");
        assert_eq!(after.r#static + unfinished, in_static_clips, "{frames} {step} {hop}");
    }
}

#[test]
fn a_slow_change_is_not_static_and_noise_is() {
    let faster = ClipConfig { skip_static: 0.01, ..config(4, 0.04, 0.0) };
    let fade = (0..20_u8).map(|it| (f64::from(it) * 0.04, false, it * 12));
    assert_eq!(cut(faster.clone(), fade).clips.len(), 5);
    let noise = (0..20_u8).map(|it| (f64::from(it) * 0.04, false, 100 + it % 3));
    let found = cut(faster, noise);
    assert_eq!((found.clips.len(), found.sampler.counts.r#static), (0, 20));
}

#[test]
fn a_stream_too_slow_for_the_interval_is_noticed() {
    let slow = (0..40).map(|it| (f64::from(it) * 0.2, false, 100));
    let cut = cut(config(4, 0.1, 0.0), slow);
    assert!(cut.sampler.is_too_slow());
    assert!((cut.sampler.gap() - 0.2).abs() < 1e-9);
    assert!(cut.clips.is_empty());
}

#[test]
fn a_stop_at_any_frame_leaves_every_frame_counted() {
    for frames in 0..60 {
        let mut sampler = Sampler::new(config(5, 0.08, 0.04), 0);
        let mut render = |grey: &u8| Ok(Arc::from(vec![*grey; 12]));
        let mut clips = Vec::new();
        for (time, lost, grey) in steady(0..frames) {
            clips.extend(sampler.push(at(time, lost), grey, &mut render).unwrap());
        }
        sampler.abandon();
        assert_eq!(sampler.counts.decoded, u64::from(frames));
        Cut { clips, sampler, rendered: 0 }.assert_balanced();
    }
}

#[test]
fn a_frame_that_cannot_be_scaled_is_counted() {
    let mut sampler = Sampler::new(config(2, 0.04, 0.0), 0);
    let broken = &mut |_: &u8| Err(Problem::Empty);
    sampler.push(at(0.0, false), 1, broken).unwrap();
    assert!(sampler.push(at(0.04, false), 1, broken).is_err());
    sampler.abandon();
    assert_eq!((sampler.counts.decoded, sampler.counts.unfinished), (2, 2));
}

#[test]
fn any_stream_at_all_is_accounted_for() {
    for seed in 0..300 {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let hop = [0.0, 0.04, 0.07, 0.5][random.random_range(0..4)];
        let config = ClipConfig {
            light_threshold: [0.0, 0.2][random.random_range(0..2)],
            skip_static: [0.0, 0.02, 0.1][random.random_range(0..3)],
            ..config(random.random_range(2..6), random.random_range(0.03..0.3), hop)
        };
        let mut time = 0.0;
        let shown: Vec<_> = (0..200)
            .map(|_| {
                time += match random.random_range(0..40) {
                    0 => -random.random_range(0.0..1.0),
                    1 => random.random_range(0.0..3.0),
                    2 => 0.0,
                    _ => random.random_range(0.03..0.05),
                };
                (
                    time,
                    random.random_range(0..50) == 0,
                    [10, 20, 70, 240][random.random_range(0..4)],
                )
            })
            .collect();
        let phase = random.random_range(0.0..0.1);
        let cut = cut_from(config.clone(), phase, shown);
        for times in cut.times() {
            assert_eq!(times.len(), config.frames);
            assert!(times.windows(2).all(|it| it[0] < it[1]), "{times:?}");
        }
    }
}

/// Pushes frames of which some start a run, and ends.
fn cut_runs(config: ClipConfig, phase: f64, shown: &[(u32, Option<RunStart>, bool)]) -> Cut {
    let mut sampler = Sampler::new(config, 0);
    sampler.begin(Origin { item: "item".into(), epoch: 0, phase, cursor: Arc::default() });
    let (mut clips, mut rendered) = (Vec::new(), 0);
    let mut render = |grey: &u8| {
        rendered += 1;
        Ok(Arc::from(vec![*grey; 12]))
    };
    for &(number, run_start, lost) in shown {
        if let Some(start) = run_start {
            clips.extend(sampler.start_run(start, &mut render).unwrap());
        }
        let time = f64::from(number) * 0.04;
        clips.extend(sampler.push(at(time, lost), 100, &mut render).unwrap());
    }
    clips.extend(sampler.end(&mut render).unwrap());
    let cut = Cut { clips, sampler, rendered };
    cut.assert_balanced();
    cut
}

fn run(begin: RunStart, numbers: std::ops::Range<u32>) -> Vec<(u32, Option<RunStart>, bool)> {
    let first = numbers.start;
    numbers.map(|it| (it, (it == first).then_some(begin), false)).collect()
}

#[test]
fn a_prefix_gives_one_clip_from_its_first_frame() {
    let shown = [
        run(RunStart::Dense, 0..50),
        run(RunStart::GopPrefix, 50..57),
        run(RunStart::GopPrefix, 100..106),
    ];
    let cut = cut_runs(config(2, 0.2, 0.04), 0.12, &shown.concat());
    let times = numbers(&cut.times());
    assert_eq!(times[0], [3, 8]);
    assert_eq!(times[times.len() - 2..], [[50, 55], [100, 105]]);
    assert!(times[..times.len() - 2].iter().all(|it| it[1] < 50));
    let counts = cut.sampler.counts;
    assert_eq!((counts.discontinuity, counts.irregular), (0, 0), "{counts:?}");
    // Four of each prefix and one after the clip; the first three before the phase.
    assert_eq!(counts.off_grid, 3 + 5 + 4, "{counts:?}");
    assert!((cut.sampler.gap() - 0.04).abs() < 1e-9 && !cut.sampler.is_too_slow());
}

#[test]
fn gaps_between_prefixes_do_not_count_as_frame_gaps() {
    let prefixes = (0..40).flat_map(|it| run(RunStart::GopPrefix, it * 50..it * 50 + 2));
    let shown: Vec<_> = run(RunStart::Dense, 0..20).into_iter().chain(prefixes.skip(2)).collect();
    let cut = cut_runs(config(2, 0.04, 0.0), 0.0, &shown);
    assert_eq!(cut.clips.len(), 10 + 39);
    assert!((cut.sampler.gap() - 0.04).abs() < 1e-9);
}

#[test]
fn a_gap_after_the_last_needed_frame_harms_nothing() {
    // With B-frames, a reference far ahead may have been decoded.
    let mut shown = run(RunStart::Dense, 0..50);
    shown.extend(run(RunStart::GopPrefix, 50..52).into_iter().chain([(58, None, false)]));
    let cut = cut_runs(config(2, 0.04, 0.0), 0.0, &shown);
    assert_eq!(numbers(&cut.times()).last().unwrap(), &[50, 51]);
    assert_eq!(cut.sampler.counts.irregular, 0);
}

#[test]
fn a_break_in_a_prefix_gives_no_clip_from_its_middle() {
    let mut shown = run(RunStart::GopPrefix, 50..60);
    shown[4].2 = true;
    shown.extend(run(RunStart::GopPrefix, 100..106));
    let cut = cut_runs(config(2, 0.2, 0.0), 0.0, &shown);
    assert_eq!(numbers(&cut.times()), [[100, 105]]);
    assert_eq!(cut.sampler.counts.discontinuity, 1);
}

#[test]
fn dense_frames_after_prefixes_give_one_clip_after_the_other() {
    // The time between the runs alone would not break the stream.
    let shown = [run(RunStart::GopPrefix, 0..6), run(RunStart::Dense, 20..50)].concat();
    let cut = cut_runs(config(2, 0.2, 0.0), 0.0, &shown);
    assert_eq!(numbers(&cut.times()), [[0, 5], [20, 25], [30, 35], [40, 45]]);
}
