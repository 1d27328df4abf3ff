//! Videos that are written frame by frame, and frames that are read file by file.

use std::fs;

use pipeline::{FileFrame, FileFrames, Fit, VideoFile};

fn frames(every: f64, limit: usize) -> FileFrames {
    FileFrames { size: [36, 50], fit: Fit::Crop, every, limit }
}

/// Grey frames of 36 by 50 pixels, each 20 brighter than the one before it.
fn written(folder: &tempfile::TempDir, count: u8) -> std::path::PathBuf {
    let path = folder.path().join("grey.mp4");
    let mut file = VideoFile::create(&path, [36, 50], 10).unwrap();
    for frame in 0..count {
        file.write(&[20 * (frame + 1); 36 * 50 * 3]).unwrap();
    }
    file.finish().unwrap();
    path
}

fn brightness(frame: &FileFrame) -> u32 {
    let sum: u32 = frame.pixels.iter().map(|it| u32::from(*it)).sum();
    sum / frame.pixels.len() as u32
}

#[test]
fn a_written_video_is_read_again_frame_by_frame() {
    let folder = tempfile::tempdir().unwrap();
    let read = frames(0.0, 100).read(&written(&folder, 10)).unwrap();
    assert_eq!(read.len(), 10);
    for (idx, frame) in read.iter().enumerate() {
        assert!((frame.time - idx as f64 / 10.0).abs() < 1e-3, "{}", frame.time);
        let off = brightness(frame).abs_diff(20 * (idx as u32 + 1));
        assert!(off <= 3, "frame {idx} is off by {off}");
    }
}

#[test]
fn frames_are_read_at_the_asked_times_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(&folder, 10);
    let times = |every, limit| -> Vec<i64> {
        let read = frames(every, limit).read(&path).unwrap();
        read.iter().map(|it| (10.0 * it.time).round() as i64).collect()
    };
    assert_eq!(times(0.3, 100), [0, 3, 6, 9]);
    assert_eq!(times(0.25, 3), [0, 3, 5]);
    assert_eq!(times(5.0, 100), [0]);
}

#[test]
fn an_image_is_one_frame() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("red.ppm");
    let mut bytes = b"P6 50 36 255\n".to_vec();
    bytes.extend([200, 10, 10].repeat(36 * 50));
    fs::write(&path, bytes).unwrap();
    let read = frames(0.5, 8).read(&path).unwrap();
    assert_eq!(read.len(), 1);
    assert!(read[0].pixels[0].abs_diff(200) < 4 && read[0].pixels[1].abs_diff(10) < 4);
}

#[test]
fn what_cannot_be_read_or_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("notes.txt");
    fs::write(&text, "no pixels").unwrap();
    let error = frames(0.5, 8).read(&text).unwrap_err().to_string();
    assert!(error.contains("notes.txt") && error.contains("not a video"), "{error}");
    let nowhere = folder.path().join("none/video.mp4");
    let created = VideoFile::create(&nowhere, [36, 50], 10);
    let error = created.and_then(VideoFile::finish).unwrap_err().to_string();
    assert!(error.contains("none/video.mp4"), "{error}");
}
