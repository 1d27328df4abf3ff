//! Every kind of bad input has its own error, which names the stream and the file.

use std::{fs, net::TcpListener, path::Path, time::Duration};

use pipeline::{SourceConfig, StreamConfig, StreamEnd, StreamReport, probe};

use crate::media::{ball, config, files, h264, make, stream, train};

/// Reads a stream that fails, and checks that a probe fails alike.
fn failure(stream: StreamConfig) -> String {
    let found = probe(&stream, Duration::from_secs(5)).pop().unwrap();
    let probed = found.unwrap_err().to_string();
    let report = read(stream);
    let StreamEnd::Failed(text) = report.end else { panic!("{report:?}") };
    assert_eq!(probed, text);
    text
}

fn read(stream: StreamConfig) -> StreamReport {
    train(&config(vec![stream]), 0, usize::MAX).1.remove(0)
}

fn assert_says(text: &str, parts: &[&str]) {
    assert!(text.starts_with("stream \"bad\": "), "{text}");
    parts.iter().for_each(|it| assert!(text.contains(it), "{it:?} is not in: {text}"));
}

fn written(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) -> StreamConfig {
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    files("bad", path)
}

#[test]
fn a_missing_file() {
    assert_says(&failure(files("bad", "/no/such.mp4")), &["/no/such.mp4", "no such file"]);
}

#[test]
fn a_pattern_or_folder_without_files() {
    let folder = tempfile::tempdir().unwrap();
    let pattern = folder.path().join("*.mp4");
    assert_says(&failure(files("bad", pattern)), &["*.mp4", "matches no file"]);
    assert_says(&failure(files("bad", folder.path())), &["matches no file"]);
}

#[test]
fn an_empty_file() {
    let folder = tempfile::tempdir().unwrap();
    let text = failure(written(folder.path(), "e.mp4", ""));
    assert_says(&text, &["e.mp4", "is empty (0 bytes)"]);
}

#[test]
fn text_and_unknown_data() {
    let folder = tempfile::tempdir().unwrap();
    let text = failure(written(folder.path(), "t.mp4", "some words\n".repeat(200)));
    assert_says(&text, &["t.mp4", "is not a video"]);
    let noise: Vec<u8> =
        (0..5000_u32).map(|it| (it.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let text = failure(written(folder.path(), "n.mp4", noise));
    assert_says(&text, &["n.mp4", "is not a video"]);
}

#[test]
fn audio_without_video() {
    let folder = tempfile::tempdir().unwrap();
    let launch = "audiotestsrc num-buffers=50 ! audioconvert ! avenc_aac ! mp4mux ! OUT";
    let path = make(launch, &folder.path().join("sound.m4a"));
    assert_says(&failure(files("bad", path)), &["sound.m4a", "has no video stream"]);
}

#[test]
fn an_unfinished_mp4() {
    let folder = tempfile::tempdir().unwrap();
    let launch = format!("{} ! mp4mux ! OUT", h264(50, [96, 64], "ball"));
    let path = make(&launch, &folder.path().join("whole.mp4"));
    let bytes = fs::read(path).unwrap();
    let index = bytes.windows(4).position(|it| it == b"moov").unwrap() - 4;
    let text = failure(written(folder.path(), "unfinished.mp4", &bytes[..index]));
    assert_says(&text, &["unfinished.mp4", "no playable stream", "moov"]);
}

/// The error of a live stream that is given up at its first failure.
fn tried_once(mut stream: StreamConfig) -> String {
    stream.retry.max_attempts = 1;
    let report = read(stream);
    let StreamEnd::Failed(text) = report.end else { panic!("{report:?}") };
    text
}

#[test]
fn a_uri_that_does_not_answer() {
    let uri = SourceConfig::Uri("rtsp://me:secret@127.0.0.1:1/cam".into());
    let text = tried_once(stream("bad", uri));
    assert_says(&text, &["rtsp://127.0.0.1:1/cam", "given up after 1", "cannot be reached"]);
    assert!(!text.contains("secret"), "{text}");
    let uri = SourceConfig::Uri("http://127.0.0.1:1/a.mp4".into());
    assert_says(&failure(stream("bad", uri)), &["cannot be reached"]);
    let uri = SourceConfig::Uri("nonsense://a/b".into());
    assert_says(&failure(stream("bad", uri)), &["cannot be reached", "No URI handler"]);
}

#[test]
fn a_silent_server() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("rtsp://{}/cam", listener.local_addr().unwrap());
    let mut bad = stream("bad", SourceConfig::Uri(uri.into()));
    bad.retry.connect_timeout = 0.5;
    assert_says(
        &tried_once(bad),
        &["given up after 1", "no frame in 0.5 s", "retry.connect_timeout"],
    );
}

#[test]
fn a_truncated_mp4_is_reported_and_its_clips_stay() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = fs::read(ball(folder.path(), "whole.mp4", 150)).unwrap();
    let report = read(written(folder.path(), "cut.mp4", &bytes[..bytes.len() / 2]));
    assert_truncated(&report);
}

#[test]
fn a_truncated_mkv_is_reported_and_its_clips_stay() {
    let folder = tempfile::tempdir().unwrap();
    let launch = format!("{} ! matroskamux ! OUT", h264(150, [96, 64], "ball"));
    let path = make(&launch, &folder.path().join("whole.mkv"));
    let bytes = fs::read(path).unwrap();
    let report = read(written(folder.path(), "cut.mkv", &bytes[..bytes.len() / 2]));
    assert_truncated(&report);
}

fn assert_truncated(report: &StreamReport) {
    assert_eq!((&report.end, report.counts.errors), (&StreamEnd::Ended, 1), "{report:?}");
    assert!(report.counts.clips >= 2 && report.counts.decoded < 140, "{report:?}");
    let [problem] = &report.problems[..] else { panic!("{report:?}") };
    assert!(problem.contains("of 6.00 s: truncated?"), "{problem}");
}
