use std::fs;

use pipeline::{BatcherState, ClipInfo, Counts};
use tempfile::TempDir;

use super::*;

/// A folder of empty videos, of which only the names matter here.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("videos")).unwrap();
    fs::create_dir(folder.path().join("measured")).unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

/// Streams by name, source and telemetry, with paths below a folder.
fn config(folder: &TempDir, streams: &[(&str, &str, Option<&str>)]) -> pipeline::Config {
    let mut text =
        "size = [8, 8]\nclip = { frames = 2, interval = 1 }\nbatch = { clips = 2 }\n".to_owned();
    let below = |it: &str| folder.path().join(it).display().to_string();
    for (name, source, telemetry) in streams {
        text += &format!("[[stream]]\nname = \"{name}\"\n");
        text += &format!("source = {{ files = \"{}\" }}\n", below(source));
        if let Some(telemetry) = telemetry {
            text += &format!("telemetry = \"{}\"\n", below(telemetry));
        }
    }
    toml::from_str(&text).unwrap()
}

/// Clips of two frames, by stream, file and times.
fn batch(folder: &TempDir, clips: &[(usize, &str, [f64; 2])]) -> Batch {
    let info = |stream, item: &str| ClipInfo {
        stream,
        number: 0,
        item: folder.path().join(item).display().to_string().into(),
        epoch: 0,
        captured: None,
        new_frames: 2,
        uses: 0,
        counts: Counts::default(),
    };
    Batch {
        pixels: Vec::new(),
        shape: [clips.len(), 2, 8, 8, 3],
        times: clips.iter().flat_map(|it| it.2).collect(),
        clips: clips.iter().map(|it| info(it.0, it.1)).collect(),
        cut_at: Vec::new(),
        motion: None,
        state: BatcherState::default(),
    }
}

#[test]
fn every_frame_finds_its_file_and_its_time() {
    let folder = folder(&[
        ("videos/a.mp4", ""),
        ("videos/b.mp4", ""),
        ("measured/a.csv", "time,yaw,zoom\n0,0,1\n2,20,1\n"),
        ("measured/b.csv", "yaw,time,zoom\n5,0,2\n,1,2\n7,2,2\n"),
        ("lone.mp4", ""),
        ("lone.csv", "time,yaw,zoom\n10,-1,-2\n"),
        ("plain.mp4", ""),
    ]);
    let config = config(
        &folder,
        &[
            ("both", "videos", Some("measured")),
            ("plain", "plain.mp4", None),
            ("lone", "lone.mp4", Some("lone.csv")),
        ],
    );
    config.validate().unwrap();
    let telemetry = Telemetry::load(&config).unwrap();
    assert_eq!(telemetry.columns(), ["yaw", "zoom"]);
    let clips = [
        (0, "videos/a.mp4", [0.5, 2.5]),
        (0, "videos/b.mp4", [0.0, 0.5]),
        (1, "plain.mp4", [0.0, 1.0]),
        (2, "lone.mp4", [9.0, 10.0]),
    ];
    let invalid = [0.0, 0.0, 0.0];
    let expected = [
        [[5.0, 1.0, 1.0], invalid],
        [[5.0, 2.0, 1.0], invalid],
        [invalid, invalid],
        [invalid, [-1.0, -2.0, 1.0]],
    ];
    assert_eq!(telemetry.of_batch(&batch(&folder, &clips)).unwrap(), expected.concat().concat());
}

#[test]
fn without_telemetry_a_batch_has_no_values() {
    let folder = folder(&[("plain.mp4", "")]);
    let telemetry = Telemetry::load(&config(&folder, &[("plain", "plain.mp4", None)])).unwrap();
    assert_eq!(telemetry.of_batch(&batch(&folder, &[(0, "plain.mp4", [0.0, 1.0])])), None);
}

/// Why these streams' telemetry cannot be loaded.
fn refused(files: &[(&str, &str)], streams: &[(&str, &str, Option<&str>)]) -> String {
    let folder = folder(files);
    format!("{:#}", Telemetry::load(&config(&folder, streams)).unwrap_err())
}

#[test]
fn a_file_that_cannot_be_used_is_named_with_its_stream() {
    let stream = [("door", "a.mp4", Some("a.csv"))];
    for (text, says) in [
        ("at,yaw\n0,1\n", "no column `time`"),
        ("time,yaw\n1,1\n0,1\n", "line 3: the time 0 does not come after 1"),
        ("time,yaw\n0,left\n", "line 2: yaw is \"left\", not a number"),
    ] {
        let message = refused(&[("a.mp4", ""), ("a.csv", text)], &stream);
        assert!(message.starts_with("stream \"door\": telemetry "), "{message}");
        assert!(message.contains("a.csv\" ") && message.contains(says), "{message}");
    }
    let message = refused(&[("a.mp4", "")], &stream);
    assert!(message.contains("a.csv\" cannot be read") && message.contains("check the path"));
}

#[test]
fn a_folder_must_have_one_file_for_each() {
    let videos = [("videos/a.mp4", ""), ("videos/b.mp4", "")];
    let (good, stream) = ("time,x\n0,1\n", [("door", "videos", Some("measured"))]);
    let with = |files: &[(&'static str, &'static str)]| [&videos, files].concat();
    let message = refused(&with(&[("measured/a.csv", good)]), &stream);
    assert!(message.contains("\"door\"") && message.contains("neither \"b.csv\""), "{message}");
    let twice = [("measured/a.csv", good), ("measured/a.parquet", "")];
    assert!(refused(&with(&twice), &stream).contains("remove one of them"));
    let one = [("door", "videos", Some("a.csv"))];
    let message = refused(&with(&[("a.csv", good)]), &one);
    assert!(message.contains("must be a folder") && message.contains("2 files"), "{message}");
}

#[test]
fn all_streams_have_the_same_columns() {
    let files = [
        ("a.mp4", ""),
        ("b.mp4", ""),
        ("a.csv", "time,yaw,zoom\n0,1,1\n"),
        ("b.csv", "time,zoom,yaw\n0,1,1\n"),
    ];
    let message = refused(&files, &[("a", "a.mp4", Some("a.csv")), ("b", "b.mp4", Some("b.csv"))]);
    for part in ["stream \"b\"", "b.csv", "[zoom, yaw]", "a.csv", "[yaw, zoom]", "same order"] {
        assert!(message.contains(part), "{message} lacks {part}");
    }
}

#[test]
fn a_stream_that_is_not_there_says_so_itself() {
    let folder = folder(&[("a.csv", "time,yaw\n0,1\n")]);
    let config = config(&folder, &[("gone", "no/such.mp4", Some("a.csv"))]);
    let telemetry = Telemetry::load(&config).unwrap();
    assert_eq!(telemetry.columns(), [""; 0]);
}
