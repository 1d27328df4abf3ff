//! Which part of a scene is used, and which clips are dropped: masks, crops, light, static scenes.

use std::{collections::BTreeSet, path::Path};

use gstreamer::prelude::*;
use pipeline::{
    Batch, BatchConfig, ClipConfig, Config, Counts, SourceConfig, StreamConfig, StreamEnd,
    Synthetic,
};

use crate::media::{at_each_frame, files, h264, make, make_with, real, stream, train};

/// Red, green and blue of each pixel of each frame, with its column and row.
fn pixels(batch: &Batch) -> impl Iterator<Item = ([usize; 2], &[u8])> {
    let [_, _, height, width, _] = batch.shape;
    let place = move |idx: usize| [idx % width, idx / width % height];
    batch.pixels.chunks(3).enumerate().map(move |(idx, pixel)| (place(idx), pixel))
}

fn config(size: [usize; 2], stream: StreamConfig) -> Config {
    Config::new(size, ClipConfig::new(2, 0.2), BatchConfig::new(1, 1), vec![stream])
}

fn all(config: &Config) -> (Vec<Batch>, Counts) {
    let (batches, reports) = train(config, 0, usize::MAX);
    assert!(!batches.is_empty());
    (batches, reports[0].counts)
}

/// How far outside of a rectangle of columns and rows the middle of a pixel lies.
fn outside([x, y]: [usize; 2], columns: [f64; 2], rows: [f64; 2]) -> f64 {
    let beyond = |at: usize, [start, end]: [f64; 2]| {
        let at = at as f64 + 0.5;
        (start - at).max(at - end)
    };
    beyond(x, columns).max(beyond(y, rows))
}

#[test]
fn a_mask_is_black_in_every_frame_and_changes_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    // An odd size, whose rows are padded.
    let odd = make(
        "videotestsrc num-buffers=30 pattern=smpte ! video/x-raw,format=I420,width=161,height=91,\
         framerate=25/1 ! avenc_ffv1 ! matroskamux ! OUT",
        &folder.path().join("odd.mkv"),
    );
    // A quarter of the size of the first, and half of the second; chroma reaches twice as far.
    for (file, size) in [(real("street.mp4").into(), [90, 120]), (odd, [45, 80])] {
        let mut config = config(size, files("it", &file));
        config.fit = pipeline::Fit::Squash;
        let bare = all(&config).0;
        config.stream[0].mask = vec![[0.25, 0.25, 0.5, 0.25].into(), [0.9, 0.8, 0.1, 0.2].into()];
        let masked = all(&config).0;
        assert_eq!(bare.len(), masked.len());
        let [height, width] = size.map(|it| it as f64);
        let (mut black, mut same) = (0, 0);
        for (place, pixel, before) in masked.iter().zip(&bare).flat_map(|(masked, bare)| {
            pixels(masked).zip(pixels(bare)).map(|((place, pixel), (_, it))| (place, pixel, it))
        }) {
            let large = outside(place, [width / 4.0, width * 0.75], [height / 4.0, height / 2.0]);
            let small = outside(place, [width * 0.9, width], [height * 0.8, height]);
            let distance = large.min(small);
            if distance < -1.0 {
                assert_eq!(pixel, [0; 3], "{place:?}");
                black += 1;
            } else if distance > 2.0 {
                assert_eq!(pixel, before, "{place:?}");
                same += 1;
            }
        }
        assert!(black > 300 * masked.len() && same > 4000 * masked.len(), "{black} {same}");
    }
}

#[test]
fn a_mask_hides_what_moves_behind_it() {
    let folder = tempfile::tempdir().unwrap();
    // A ball on the left half; the right half has one colour.
    let path = make(
        "videotestsrc num-buffers=60 pattern=ball background-color=0xff40a0c0 ! \
         video/x-raw,format=I420,width=80,height=96,framerate=25/1 ! \
         videobox right=-80 fill=red ! avenc_ffv1 ! matroskamux ! OUT",
        &folder.path().join("ball.mkv"),
    );
    let mut config = config([48, 80], files("ball", &path));
    config.clip = ClipConfig::new(2, 0.04);
    let seen = all(&config).0;
    assert!(seen.iter().any(|it| it.pixels != seen[0].pixels), "the ball moves");
    config.stream[0].mask = vec![[0.0, 0.0, 0.5, 1.0].into()];
    let hidden = all(&config).0;
    assert_eq!(hidden.len(), 30);
    for batch in &hidden {
        for ([column, _], pixel) in pixels(batch) {
            assert!(column > 38 || pixel == [0; 3], "{column}: {pixel:?}");
            assert!(column < 42 || (pixel[0] > 200 && pixel[2] < 30), "{column}: {pixel:?}");
        }
        let [one, other] = batch.pixels.split_at(batch.pixels.len() / 2).into();
        assert!(one == other, "something moves");
    }
}

#[test]
fn drawn_frames_are_masked() {
    let drawn = SourceConfig::Synthetic(Synthetic { frames: 20, ..Synthetic::default() });
    let mut config = config([32, 48], stream("drawn", drawn));
    let bare = all(&config).0;
    config.stream[0].mask = vec![[0.5, 0.0, 0.5, 0.5].into()];
    for (masked, bare) in all(&config).0.iter().zip(&bare) {
        for (([column, row], pixel), (_, before)) in pixels(masked).zip(pixels(bare)) {
            let hidden = column >= 24 && row < 16;
            assert_eq!(pixel, if hidden { &[0; 3] } else { before }, "{column} {row}");
        }
    }
}

#[test]
fn a_crop_is_the_part_that_gstreamer_cuts_out() {
    let folder = tempfile::tempdir().unwrap();
    // Of 480 by 360 pixels.
    for (name, [left, top, right, bottom]) in
        [("middle", [120, 90, 120, 90]), ("corner", [100, 60, 180, 60]), ("edge", [0, 200, 240, 0])]
    {
        let launch = format!(
            "filesrc location=\"{}\" ! qtdemux ! h264parse ! avdec_h264 ! \
             videocrop left={left} top={top} right={right} bottom={bottom} ! avenc_ffv1 ! \
             matroskamux ! OUT",
            real("street.mp4")
        );
        let path = make(&launch, &folder.path().join(format!("{name}.mkv")));
        for size in [[48, 48], [60, 112]] {
            let cut = all(&config(size, files("cut", &path))).0;
            let mut config = config(size, files("whole", real("street.mp4")));
            let fraction = |pixels: i32, whole: i32| f64::from(pixels) / f64::from(whole);
            let region = [
                fraction(left, 480),
                fraction(top, 360),
                fraction(480 - left - right, 480),
                fraction(360 - top - bottom, 360),
            ];
            config.stream[0].crop = Some(region.into());
            let cropped = all(&config).0;
            assert_eq!(cut.len(), cropped.len());
            for (one, other) in cut.iter().zip(&cropped) {
                let worst = one.pixels.iter().zip(&other.pixels).map(|(a, b)| a.abs_diff(*b)).max();
                assert!(worst <= Some(1), "{name}: {worst:?}");
            }
        }
    }
}

/// `street.mp4`, 10 frames per second, under another light: brightness, contrast and saturation by
/// frame number, where 0, 1 and 1 is the original light.
fn lit(
    folder: &Path,
    name: &str,
    light: impl Fn(u64) -> [f64; 3] + Send + Sync + 'static,
) -> StreamConfig {
    let launch = format!(
        "filesrc location=\"{}\" ! qtdemux ! h264parse ! avdec_h264 ! identity eos-after=101 ! \
         videobalance name=it ! x264enc speed-preset=ultrafast ! mp4mux ! OUT",
        real("street.mp4")
    );
    let path = make_with(&launch, &folder.join(name), |pipeline| {
        at_each_frame(pipeline, "sink", move |balance, number| {
            let [brightness, contrast, saturation] = light(number);
            balance.set_property("brightness", brightness);
            balance.set_property("contrast", contrast);
            balance.set_property("saturation", saturation);
        });
    });
    files(name, path)
}

/// Overlapping clips of 3 frames with the default thresholds.
fn watching(stream: StreamConfig) -> Config {
    let mut config = config([64, 64], stream);
    let defaults: ClipConfig = toml::from_str("frames = 3\ninterval = 0.1\nhop = 0.1").unwrap();
    config.clip = defaults;
    config
}

/// Frame numbers of each clip.
fn numbers(batches: &[Batch]) -> Vec<Vec<u64>> {
    let number = |it: &f64| (it * 10.0).round() as u64;
    batches.iter().map(|it| it.times.iter().map(number).collect()).collect()
}

const FILMED: [f64; 3] = [0.0, 1.0, 1.0];

/// Brightness, contrast and saturation of a frame, by its number.
type Light = fn(u64) -> [f64; 3];

#[test]
fn no_clip_spans_lightning_lamps_or_infrared() {
    let folder = tempfile::tempdir().unwrap();
    let cases: [(&str, Light, &[u64]); 4] = [
        ("flash.mp4", |it| if it == 40 { [0.2, 1.0, 1.0] } else { FILMED }, &[40, 41]),
        ("glare.mp4", |it| if it == 40 { [0.8, 1.0, 1.0] } else { FILMED }, &[40, 41]),
        ("lamps.mp4", |it| if it < 40 { FILMED } else { [-0.25, 1.0, 1.0] }, &[40]),
        ("infrared.mp4", |it| if it < 40 { FILMED } else { [0.0, 1.0, 0.0] }, &[40]),
    ];
    for (name, light, changes) in cases {
        let mut config = watching(lit(folder.path(), name, light));
        let watched = config.clip.clone();
        config.clip.light_threshold = 0.0;
        config.clip.cut_threshold = 0.0;
        let (batches, blind) = all(&config);
        let every = numbers(&batches);
        assert!(every.len() > 90 && blind.light_change == 0, "{name}: {blind:?}");
        config.clip = watched;
        for cut_threshold in [0.0, 0.25] {
            config.clip.cut_threshold = cut_threshold;
            let (batches, counts) = all(&config);
            let crosses = |clip: &[u64]| changes.iter().any(|&it| clip[0] < it && it <= clip[2]);
            let clips = numbers(&batches);
            let mut expected = every.clone();
            expected.retain(|it| !crosses(it));
            assert_eq!(clips, expected, "{name} {counts:?}");
            // With a clip at every frame, only the flash itself is in no clip.
            let lost = changes.len() as u64 - 1;
            let light = if name == "glare.mp4" && cut_threshold > 0.0 { 0 } else { lost };
            assert_eq!((counts.light_change, counts.scene_cut), (light, lost - light), "{name}");
        }
    }
}

#[test]
fn exposure_that_drifts_is_not_a_change_of_light() {
    let folder = tempfile::tempdir().unwrap();
    // From dark and dull to bright and colourful in five seconds.
    let drift = |it: u64| {
        let done = (it as f64 / 50.0).min(1.0);
        [-0.2 + 0.5 * done, 1.0, 0.2 + 0.8 * done]
    };
    let mut config = watching(lit(folder.path(), "drift.mp4", drift));
    config.clip.interval = 0.5;
    let (_, counts) = all(&config);
    assert_eq!((counts.light_change, counts.scene_cut), (0, 0), "{counts:?}");
}

#[test]
fn real_scenes_have_no_change_of_light() {
    for name in ["street.mp4", "tree.mp4", "cup.mp4"] {
        for interval in [0.1, 0.5, 2.0] {
            let mut config = watching(files(name, real(name)));
            config.clip.interval = interval;
            let (_, counts) = all(&config);
            assert_eq!(
                (counts.light_change, counts.scene_cut),
                (0, 0),
                "{name} {interval}: {counts:?}"
            );
        }
    }
}

#[test]
fn clips_in_which_nothing_moves_are_dropped() {
    let folder = tempfile::tempdir().unwrap();
    // Static bars, a moving ball, and the bars again.
    let launch = "videotestsrc name=it num-buffers=150 pattern=smpte75 ! video/x-raw,format=I420,\
        width=96,height=64,framerate=25/1 ! x264enc speed-preset=ultrafast key-int-max=10 ! \
        mp4mux ! OUT";
    let path = make_with(launch, &folder.path().join("pauses.mp4"), |pipeline| {
        at_each_frame(pipeline, "src", |source, number| {
            let ball = (49..99).contains(&number);
            source.set_property_from_str("pattern", if ball { "ball" } else { "smpte75" });
        });
    });
    let mut config = config([32, 32], files("pauses", path));
    for (interval, hop) in [(0.04, 0.04), (0.08, 0.12), (0.2, 0.2)] {
        config.clip = ClipConfig { hop, ..ClipConfig::new(4, interval) };
        let (every, counts) = all(&config);
        let unfinished = counts.unfinished;
        assert_eq!(counts.r#static, 0);
        let moving: Vec<_> = every.iter().filter(|it| max_difference(it) >= 0.01).collect();
        assert!(moving.len() < every.len(), "{} of {}", moving.len(), every.len());
        config.clip.skip_static = 0.01;
        let (kept, counts) = all(&config);
        assert_eq!(kept.len(), moving.len());
        assert!(kept.iter().zip(&moving).all(|(kept, moving)| kept.times == moving.times));
        let times = |it: &[f64]| it.iter().map(|it| it.to_bits()).collect::<BTreeSet<_>>();
        let [every, kept] = [&every, &kept]
            .map(|it| it.iter().flat_map(|it| times(&it.times)).collect::<BTreeSet<_>>());
        // The last few are also in clips that the end left incomplete, and count as unfinished.
        let late = counts.unfinished - unfinished;
        assert!(late < 4, "{counts:?}");
        assert_eq!(counts.r#static + late, every.difference(&kept).count() as u64, "{counts:?}");
        assert!(counts.r#static > 10, "{counts:?}");
    }
}

#[test]
fn an_archive_in_which_nothing_moves_fails_clearly() {
    let folder = tempfile::tempdir().unwrap();
    let launch = format!("{} ! mp4mux ! OUT", h264(50, [96, 64], "smpte75"));
    let path = make(&launch, &folder.path().join("still.mp4"));
    let mut config = config([32, 32], files("still", path));
    config.clip.skip_static = 0.02;
    let reports = train(&config, 0, usize::MAX).1;
    let StreamEnd::Failed(why) = &reports[0].end else { panic!("{reports:?}") };
    assert!(
        why.contains("nothing moves in 10 frames") && why.contains("clip.skip_static"),
        "{why}"
    );
}

/// The largest mean difference between neighbouring frames, in 0..1.
fn max_difference(clip: &Batch) -> f64 {
    let length = clip.pixels.len() / clip.shape[1];
    let frames: Vec<_> = clip.pixels.chunks(length).collect();
    let difference = |it: &[&[u8]]| {
        let sum: f64 = it[0].iter().zip(it[1]).map(|(a, b)| f64::from(a.abs_diff(*b))).sum();
        sum / (255.0 * length as f64)
    };
    frames.windows(2).map(difference).fold(0.0, f64::max)
}
