//! Files, folders and globs, read to their end and again.

use std::{fs, time::Duration};

use pipeline::{SourceConfig, StreamEnd, probe, start};

use crate::media::{ball, config, files, h264, make, real, stream, train};

#[test]
fn clips_of_a_file_have_exact_times() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(vec![files("ball", ball(folder.path(), "ball.mp4", 50))]);
    let (batches, reports) = train(&config, 0, usize::MAX);
    // Clips start every 0.4 s in 2 s of video.
    let times: Vec<_> = batches.iter().flat_map(|it| it.times.clone()).collect();
    let expected = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6, 1.8];
    assert_eq!(times.len(), expected.len(), "{times:?}");
    assert!(times.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{times:?}");
    let report = &reports[0];
    assert_eq!((report.end.clone(), report.counts.decoded), (StreamEnd::Ended, 50));
    assert_eq!((report.counts.trained, report.counts.off_grid, report.counts.clips), (10, 40, 5));
    assert!(report.problems.is_empty(), "{report:?}");
    assert!(batches.iter().all(|it| it.clips[0].item.ends_with("ball.mp4")));
}

#[test]
fn real_videos_are_read_whole() {
    let names = ["cup.mp4", "street.mp4", "tree.mp4"];
    let mut config = config(names.iter().map(|it| files(it, real(it))).collect());
    config.size = [48, 64];
    config.clip.frames = 4;
    config.clip.cut_threshold = 0.25;
    let (batches, reports) = train(&config, 0, usize::MAX);
    for report in &reports {
        assert_eq!(report.end, StreamEnd::Ended, "{report:?}");
        assert!(report.counts.clips > 3 && report.counts.decoded > 60, "{report:?}");
        assert!(report.problems.is_empty(), "{report:?}");
    }
    for batch in &batches {
        // The frame shows something, and neighbouring frames differ.
        let (low, high) = (batch.pixels.iter().min().unwrap(), batch.pixels.iter().max().unwrap());
        assert!(high - low > 60, "{:?}", batch.clips);
        let frames: Vec<_> = batch.pixels.chunks(48 * 64 * 3).collect();
        assert!(frames.windows(2).any(|it| it[0] != it[1]), "{:?}", batch.clips);
    }
    for (name, it) in names.iter().zip(&config.stream) {
        let found = probe(it, Duration::from_secs(10)).pop().unwrap().unwrap();
        assert!(found.item.ends_with(name) && found.codec.contains("H.264"), "{found:?}");
        assert!(found.width > 0 && found.duration.is_some() && !found.live, "{found:?}");
    }
}

#[test]
fn the_same_file_gives_the_same_pixels() {
    let mut config = config(vec![files("cup", real("cup.mp4")), files("tree", real("tree.mp4"))]);
    config.batch.pool = 6;
    config.stream.iter_mut().for_each(|it| it.repeat = true);
    let [(one, _), (other, _)] = [(); 2].map(|()| train(&config, 11, 40));
    assert_eq!(one.len(), 40);
    for (a, b) in one.iter().zip(&other) {
        assert!(a.clips == b.clips && a.times == b.times && a.pixels == b.pixels);
    }
}

#[test]
fn a_loop_reads_again_and_starts_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(vec![files("ball", ball(folder.path(), "ball.mp4", 50))]);
    config.stream[0].repeat = true;
    let (batches, reports) = train(&config, 0, 30);
    let starts = |epoch| -> Vec<u64> {
        let of_epoch = batches.iter().filter(|it| it.clips[0].epoch == epoch);
        of_epoch.map(|it| (it.times[0] * 100.0).round() as u64).collect()
    };
    assert_eq!(starts(0), [0, 40, 80, 120, 160]);
    assert!(starts(4).len() >= 4 && (1..5).any(|it| starts(it) != starts(0)));
    assert!(reports[0].counts.epochs >= 5 && reports[0].end == StreamEnd::Stopped);
}

#[test]
fn a_folder_skips_a_bad_file_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    ball(folder.path(), "a.mp4", 25);
    fs::write(folder.path().join("b.mp4"), "not a video at all\n".repeat(100)).unwrap();
    ball(folder.path(), "c.mp4", 25);
    let (batches, reports) = train(&config(vec![files("f", folder.path())]), 0, usize::MAX);
    let items = batches.iter().map(|it| it.clips[0].item.rsplit('/').next().unwrap());
    let items: Vec<_> = items.collect();
    assert_eq!(items, ["a.mp4", "a.mp4", "c.mp4", "c.mp4"]);
    let report = &reports[0];
    assert_eq!((report.end.clone(), report.counts.errors), (StreamEnd::Ended, 1));
    assert!(report.problems.len() == 1 && report.problems[0].contains("b.mp4"), "{report:?}");
    let pattern = format!("{}/[ac].mp4", folder.path().display());
    let (batches, _) = train(&config(vec![files("glob", pattern)]), 0, usize::MAX);
    assert_eq!(batches.len(), 4);
}

#[test]
fn a_folder_of_bad_files_fails_even_when_looped() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.mp4", "b.mp4"] {
        fs::write(folder.path().join(name), "not a video at all\n".repeat(100)).unwrap();
    }
    let mut config = config(vec![files("bad", folder.path())]);
    config.stream[0].repeat = true;
    let (_, reports) = train(&config, 0, usize::MAX);
    let StreamEnd::Failed(text) = &reports[0].end else { panic!("{reports:?}") };
    assert!(text.contains("\"bad\"") && text.contains("none of its 2 files"), "{text}");
}

#[test]
fn a_file_too_short_for_a_clip_fails_clearly() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(vec![files("short", ball(folder.path(), "ball.mp4", 25))]);
    config.clip.frames = 16;
    config.stream[0].repeat = true;
    let (_, reports) = train(&config, 0, usize::MAX);
    let StreamEnd::Failed(text) = &reports[0].end else { panic!("{reports:?}") };
    for part in ["\"short\"", "no clip of 16 frames", "0.2 s apart", "3.00 s", "0.96 s"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn a_stream_too_slow_for_the_interval_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(vec![files("slow", ball(folder.path(), "ball.mp4", 50))]);
    config.clip.interval = 0.03;
    let (_, reports) = train(&config, 0, usize::MAX);
    let problem = reports[0].problems.iter().find(|it| it.contains("too slow")).unwrap();
    assert!(problem.contains("0.040") && problem.contains("0.03"), "{problem}");
}

#[test]
fn a_failed_stream_leaves_the_others_alone() {
    let folder = tempfile::tempdir().unwrap();
    let good = files("good", ball(folder.path(), "ball.mp4", 50));
    let bad = files("bad", folder.path().join("missing.mp4"));
    let (batches, reports) = train(&config(vec![bad, good]), 0, usize::MAX);
    assert_eq!(batches.len(), 5);
    assert!(matches!(reports[0].end, StreamEnd::Failed(_)));
    assert_eq!(reports[1].end, StreamEnd::Ended);
}

#[test]
fn a_uri_is_read_like_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = ball(folder.path(), "a ball.mp4", 50);
    let uri = format!("file://{}", path.display()).replace(' ', "%20");
    let (batches, _) =
        train(&config(vec![stream("u", SourceConfig::Uri(uri.into()))]), 0, usize::MAX);
    assert_eq!(batches.len(), 5);
}

#[test]
fn sound_is_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let launch = format!(
        "mp4mux name=mux faststart=true ! OUT {} ! queue ! mux. \
         audiotestsrc num-buffers=90 ! audioconvert ! avenc_aac ! queue ! mux.",
        h264(50, [64, 48], "ball")
    );
    let path = make(&launch, &folder.path().join("sound.mp4"));
    let (batches, reports) = train(&config(vec![files("sound", path)]), 0, usize::MAX);
    assert_eq!((batches.len(), &reports[0].end), (5, &StreamEnd::Ended));
}

#[test]
fn stopping_in_the_middle_of_a_file_balances() {
    let mut config = config(vec![files("street", real("street.mp4"))]);
    config.clip = pipeline::ClipConfig { hop: 0.04, ..pipeline::ClipConfig::new(4, 0.1) };
    config.stream[0].repeat = true;
    config.batch.pool = 5;
    for taken in [0, 1, 7] {
        let (_, reports) = train(&config, 0, taken);
        assert_eq!(reports[0].end, StreamEnd::Stopped, "{reports:?}");
    }
    drop(start(&config, 0).unwrap());
}
