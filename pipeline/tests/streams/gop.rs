//! Streams of which only GOP prefixes are decoded.

use std::{collections::HashMap, path::PathBuf};

use pipeline::{Batch, ClipConfig, Sample, StreamEnd, StreamReport};

use crate::media::{config, files, make, real, train};

/// Moving frames, 25 per second.
fn moving(frames: usize) -> String {
    format!(
        "videotestsrc num-buffers={frames} pattern=zone-plate kx2=10 ky2=10 kt=3 ! \
         video/x-raw,format=I420,width=96,height=64,framerate=25/1"
    )
}

/// One clip per batch, and the report of the stream.
fn read(path: &str, clip: ClipConfig, sample: Sample) -> (Vec<Batch>, StreamReport) {
    let mut config = config(vec![files("it", path)]);
    config.clip = clip;
    config.stream[0].sample = sample;
    let (batches, mut reports) = train(&config, 0, usize::MAX);
    let report = reports.remove(0);
    assert_eq!(report.end, StreamEnd::Ended, "{report:?}");
    assert!(report.problems.is_empty() && report.counts.errors == 0, "{report:?}");
    (batches, report)
}

fn micros(seconds: f64) -> i64 {
    (seconds * 1e6).round() as i64
}

/// Every frame of a file, scaled, by its time.
fn frames_of(path: &str, gap: f64) -> HashMap<i64, Vec<u8>> {
    let clip = ClipConfig { hop: gap, ..ClipConfig::new(2, gap) };
    let mut frames = HashMap::new();
    for batch in read(path, clip, Sample::Dense).0 {
        for (time, pixels) in batch.times.iter().zip(batch.pixels.chunks(32 * 32 * 3)) {
            frames.insert(micros(*time), pixels.to_vec());
        }
    }
    frames
}

fn starts(batches: &[Batch]) -> Vec<i64> {
    batches.iter().map(|it| micros(it.times[0])).collect()
}

/// Reads `path`, whose GOPs are `gop` frames long, and compares it with a full decode.
fn assert_prefixes_are_exact(path: &str, gop: usize, frames: usize) {
    let all = frames_of(path, 0.04);
    assert_eq!(all.len(), frames, "{path}");
    for clip in [ClipConfig::new(2, 0.2), ClipConfig::new(4, 0.08), ClipConfig::new(2, 0.04)] {
        let hop = gop as f64 * 0.04;
        let clip = ClipConfig { hop, ..clip };
        let (dense, _) = read(path, clip.clone(), Sample::Dense);
        let (batches, report) = read(path, clip, Sample::GopStart);
        // Dense clips with a hop of one GOP start at keyframes, because the file does.
        assert_eq!(starts(&batches), starts(&dense), "{path}");
        for (batch, dense) in batches.iter().zip(&dense) {
            assert_eq!((&batch.times, &batch.pixels), (&dense.times, &dense.pixels), "{path}");
            for (time, pixels) in batch.times.iter().zip(batch.pixels.chunks(32 * 32 * 3)) {
                assert!(all[&micros(*time)] == pixels, "{path}: {time}");
            }
        }
        let counts = report.counts;
        assert_eq!(counts.clips as usize, frames / gop, "{path}: {counts:?}");
        assert_eq!(counts.decoded + counts.skipped_gop, frames as u64, "{path}: {counts:?}");
        assert!(counts.skipped_gop > frames as u64 / 2, "{path}: {counts:?}");
        let broken = (counts.discontinuity, counts.irregular, counts.unfinished);
        assert_eq!(broken, (0, 0, 0), "{path}: {counts:?}");
    }
}

fn assert_all_containers_are_exact(name: &str, encoder: &str, parser: &str) {
    let folder = tempfile::tempdir().unwrap();
    for (muxer, ending) in [("mp4mux", "mp4"), ("mpegtsmux", "ts"), ("matroskamux", "mkv")] {
        let path = folder.path().join(format!("{name}.{ending}"));
        let path = make(&format!("{} ! {encoder} ! {parser} ! {muxer} ! OUT", moving(300)), &path);
        assert_prefixes_are_exact(path.to_str().unwrap(), 50, 300);
    }
}

#[test]
fn prefixes_of_h264_are_exact() {
    let encoder = "x264enc speed-preset=veryfast key-int-max=50 option-string=scenecut=0 bframes=0";
    assert_all_containers_are_exact("plain", encoder, "h264parse");
}

#[test]
fn prefixes_of_h264_with_b_frames_are_exact() {
    for (name, more) in [("flat", "b-pyramid=false"), ("pyramid", "b-pyramid=true")] {
        let encoder = format!(
            "x264enc speed-preset=veryfast key-int-max=50 option-string=scenecut=0 bframes=3 \
             b-adapt=false {more}"
        );
        assert_all_containers_are_exact(name, &encoder, "h264parse");
    }
}

#[test]
fn prefixes_of_h265_are_exact() {
    let encoder = "x265enc speed-preset=ultrafast key-int-max=50 \
        option-string=open-gop=0:scenecut=0:bframes=2:b-adapt=0:min-keyint=50:log-level=none";
    assert_all_containers_are_exact("hevc", encoder, "h265parse");
}

#[test]
fn prefixes_of_vp8_are_exact() {
    let folder = tempfile::tempdir().unwrap();
    let launch = "vp8enc deadline=1 keyframe-max-dist=50 ! matroskamux ! OUT";
    let launch = format!("{} ! {launch}", moving(300));
    let path = make(&launch, &folder.path().join("vp8.mkv"));
    assert_prefixes_are_exact(path.to_str().unwrap(), 50, 300);
}

/// Reads a file that is decoded whole whatever `sample` says.
fn assert_is_dense(path: PathBuf, clip: ClipConfig, frames: u64) {
    let path = path.to_str().unwrap();
    let (dense, _) = read(path, clip.clone(), Sample::Dense);
    let (batches, report) = read(path, clip, Sample::GopStart);
    assert_eq!((report.counts.decoded, report.counts.skipped_gop), (frames, 0), "{path}");
    assert!(!dense.is_empty(), "{path}");
    assert_eq!(starts(&batches), starts(&dense), "{path}");
    assert!(batches.iter().zip(&dense).all(|(a, b)| a.pixels == b.pixels), "{path}");
}

#[test]
fn open_gops_are_decoded_whole() {
    let folder = tempfile::tempdir().unwrap();
    for (name, encoder) in [
        ("open.mp4", "x264enc key-int-max=50 option-string=open-gop=1:scenecut=0 ! h264parse"),
        (
            "cra.mp4",
            "x265enc speed-preset=ultrafast key-int-max=50 \
             option-string=open-gop=1:scenecut=0:bframes=2:log-level=none ! h265parse",
        ),
    ] {
        let launch = format!("{} ! {encoder} ! mp4mux ! OUT", moving(300));
        let path = make(&launch, &folder.path().join(name));
        assert_is_dense(path, ClipConfig::new(2, 0.2), 300);
    }
}

#[test]
fn an_endless_gop_is_decoded_whole() {
    let folder = tempfile::tempdir().unwrap();
    let encoder = "x264enc speed-preset=veryfast key-int-max=10000 option-string=scenecut=0";
    let launch = format!("{} ! {encoder} ! h264parse ! mp4mux ! OUT", moving(400));
    let path = make(&launch, &folder.path().join("endless.mp4"));
    assert_is_dense(path, ClipConfig::new(2, 0.2), 400);
}

#[test]
fn keyframes_without_time_stamps_are_decoded_whole() {
    let folder = tempfile::tempdir().unwrap();
    let launch = format!(
        "{} ! x264enc speed-preset=veryfast tune=zerolatency key-int-max=50 \
         option-string=scenecut=0 ! video/x-h264,stream-format=byte-stream ! OUT",
        moving(300)
    );
    let path = make(&launch, &folder.path().join("raw.h264"));
    assert_is_dense(path, ClipConfig::new(2, 0.2), 300);
}

#[test]
fn gops_shorter_than_a_clip_are_decoded_whole() {
    let folder = tempfile::tempdir().unwrap();
    let encoder = "x264enc speed-preset=veryfast key-int-max=10 option-string=scenecut=0";
    let launch = format!("{} ! {encoder} ! h264parse ! mp4mux ! OUT", moving(100));
    let path = make(&launch, &folder.path().join("short.mp4"));
    assert_is_dense(path, ClipConfig::new(3, 0.2), 100);
}

#[test]
fn streams_of_keyframes_alone_are_decoded_whole() {
    let folder = tempfile::tempdir().unwrap();
    let launch = format!("{} ! jpegenc ! matroskamux ! OUT", moving(100));
    let path = make(&launch, &folder.path().join("jpeg.mkv"));
    assert_is_dense(path, ClipConfig::new(2, 0.2), 100);
}

#[test]
fn real_videos_give_frames_of_a_full_decode() {
    for (name, gap) in [("street.mp4", 0.1), ("tree.mp4", 0.066_667), ("cup.mp4", 0.037_345)] {
        let path = real(name);
        let all = frames_of(&path, gap);
        let clip = ClipConfig::new(2, gap * 2.0);
        let (batches, report) = read(&path, clip, Sample::GopStart);
        assert!(!batches.is_empty(), "{name}");
        for batch in &batches {
            for (time, pixels) in batch.times.iter().zip(batch.pixels.chunks(32 * 32 * 3)) {
                assert!(all.get(&micros(*time)).is_some_and(|it| it == pixels), "{name}: {time}");
            }
        }
        let counts = report.counts;
        assert_eq!(counts.decoded + counts.skipped_gop, all.len() as u64, "{name}: {counts:?}");
    }
}

#[test]
fn a_loop_starts_its_clips_at_the_same_keyframes_again() {
    let folder = tempfile::tempdir().unwrap();
    let encoder = "x264enc speed-preset=veryfast key-int-max=50 option-string=scenecut=0";
    let launch = format!("{} ! {encoder} ! h264parse ! mp4mux ! OUT", moving(200));
    let path = make(&launch, &folder.path().join("loop.mp4"));
    let mut config = config(vec![files("it", path)]);
    config.stream[0].sample = Sample::GopStart;
    config.stream[0].repeat = true;
    let (batches, reports) = train(&config, 0, 40);
    // The first GOP is decoded whole, and its clips start at the loop's phase.
    for batch in batches.iter().filter(|it| it.times[0] >= 2.0) {
        assert_eq!(micros(batch.times[0]) % 2_000_000, 0, "{:?}", batch.times);
    }
    assert!(reports[0].counts.epochs > 2 && reports[0].counts.skipped_gop > 200, "{reports:?}");
}
