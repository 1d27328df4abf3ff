//! Sequences of moving digits: one clip each, with a known trajectory.

use std::{collections::HashSet, fs, time::Duration};

use pipeline::{Config, MovingDigits, SourceConfig, StreamEnd, probe, start};

use crate::media::{config, stream, train};

fn digits(digits: &MovingDigits) -> Config {
    let source = SourceConfig::MovingDigits(digits.clone());
    let mut config = config(vec![stream("digits", source)]);
    config.size = [64, 64];
    config.clip.frames = 9;
    config.clip.interval = 1.0 / digits.fps;
    config.clip.cut_threshold = 0.25;
    config
}

#[test]
fn every_sequence_is_exactly_one_clip() {
    for fps in [10.0, 25.0, 29.97] {
        let source = MovingDigits { sequences: 60, fps, seed: 4, digits: None };
        let (batches, reports) = train(&digits(&source), 0, usize::MAX);
        assert_eq!(batches.len(), 60);
        let sequences = source.open().unwrap();
        for (number, batch) in batches.iter().enumerate() {
            assert_eq!(batch.shape, [1, 9, 64, 64, 3]);
            assert!(batch.pixels == sequences.clip(number as u64, [64, 64]), "sequence {number}");
            for (frame, time) in batch.times.iter().enumerate() {
                assert!((time - (number * 9 + frame) as f64 / fps).abs() < 1e-9);
            }
        }
        let report = &reports[0];
        assert_eq!(
            (report.counts.trained, report.counts.decoded, report.counts.clips),
            (540, 540, 60)
        );
        assert_eq!((report.counts.skipped(), report.counts.untrained), (0, 0), "{report:?}");
        assert_eq!(report.end, StreamEnd::Ended);
    }
}

#[test]
fn shorter_clips_do_not_span_sequences() {
    let source = MovingDigits { sequences: 20, ..MovingDigits::default() };
    let mut config = digits(&source);
    (config.clip.frames, config.clip.hop) = (4, 0.1);
    let (batches, _) = train(&config, 0, usize::MAX);
    // The clips that start at frames 1 to 6 of each sequence.
    assert_eq!(batches.len(), 20 * 6);
    for batch in batches {
        let sequences = batch.times.iter().map(|it| (it * 10.0 / 9.0 + 1e-6).floor() as u64);
        assert_eq!(sequences.collect::<HashSet<_>>().len(), 1, "{:?}", batch.times);
    }
}

#[test]
fn every_epoch_of_a_loop_gives_the_same_clips() {
    let source = MovingDigits { sequences: 5, ..MovingDigits::default() };
    let mut config = digits(&source);
    config.stream[0].repeat = true;
    let (batches, reports) = train(&config, 7, 20);
    let epochs: Vec<_> = batches.iter().map(|it| it.clips[0].epoch).collect();
    assert_eq!(epochs, [0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3]);
    assert!((0..15).all(|it| batches[it].pixels == batches[it + 5].pixels));
    assert_eq!(reports[0].counts.skipped(), reports[0].counts.unfinished, "{reports:?}");
}

#[test]
fn stopping_in_the_middle_balances() {
    let source = MovingDigits { sequences: u64::MAX, ..MovingDigits::default() };
    for taken in [0, 1, 7] {
        let mut ingest = start(&digits(&source), 0).unwrap();
        for _ in 0..taken {
            let batch = ingest.batches().recv().unwrap();
            ingest.trained(&batch);
        }
        let report = ingest.finish().remove(0);
        assert!(report.is_balanced() && report.end == StreamEnd::Stopped, "{report:?}");
        assert_eq!(report.counts.trained, 9 * taken);
    }
}

#[test]
fn a_probe_gives_their_duration() {
    let source = SourceConfig::MovingDigits(MovingDigits { sequences: 20, ..Default::default() });
    let found = probe(&stream("digits", source), Duration::from_secs(1)).remove(0).unwrap();
    assert_eq!((&*found.item, found.fps), ("moving-digits", Some(10.0)));
    assert_eq!(found.duration, Some(Duration::from_secs(18)));
}

#[test]
fn a_bad_file_of_digits_fails_the_stream() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d.csv");
    fs::write(&path, "1,2,3\n").unwrap();
    let source = MovingDigits { digits: Some(path), ..MovingDigits::default() };
    let config = digits(&source);
    let (_, reports) = train(&config, 0, 1);
    let StreamEnd::Failed(text) = &reports[0].end else { panic!("{reports:?}") };
    assert!(text.starts_with("stream \"digits\": moving-digits: "), "{text}");
    assert!(text.contains("d.csv:1: has 3 columns"), "{text}");
    let probed = probe(&config.stream[0], Duration::from_secs(1)).remove(0).unwrap_err();
    assert_eq!(&probed.to_string(), text);
}
