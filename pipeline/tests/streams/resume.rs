//! A run that stops after any batch, is saved and resumes gives the batches of an uninterrupted
//! run.

use std::path::Path;

use pipeline::{
    Batch, Config, Ingest, MovingDigits, ResumeState, Sample, SavedState, SourceConfig,
    StreamConfig, StreamReport, resume, start,
};

use crate::media::{config, h264, make, stream};

const MEDIA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/media");

/// A folder of files of different lengths, one of which cannot be read, two videos, and digits.
fn streams(folder: &Path) -> Vec<StreamConfig> {
    for (name, frames) in [("a", 40), ("b", 75), ("d", 20)] {
        let mux = format!("{} ! mp4mux ! OUT", h264(frames, [64, 48], "ball"));
        make(&mux, &folder.join(format!("{name}.mp4")));
    }
    std::fs::write(folder.join("c.mp4"), "this is not a video").unwrap();
    let files = |path: String| SourceConfig::Files(path);
    let digits = MovingDigits { sequences: 30, fps: 25.0, ..MovingDigits::default() };
    let mut all = vec![
        stream("folder", files(folder.display().to_string())),
        stream("street", files(format!("{MEDIA}/street.mp4"))),
        stream("groups", files(format!("{MEDIA}/tree.mp4"))),
        stream("digits", SourceConfig::MovingDigits(digits)),
    ];
    all[1].weight = 2.5;
    all[2].sample = Sample::GopStart;
    all
}

fn of(streams: Vec<StreamConfig>, repeat: bool, reuse: u32) -> Config {
    let mut config = config(streams);
    config.stream.iter_mut().for_each(|it| it.repeat = repeat);
    config.size = [16, 24];
    config.clip.frames = 2;
    config.clip.interval = 0.08;
    config.clip.hop = 0.2;
    config.clip.cut_threshold = 0.1;
    config.batch.clips = 3;
    config.batch.pool = 10;
    config.batch.reuse = reuse;
    config
}

/// Everything in a batch except when its clips were cut.
fn content(batch: &Batch) -> String {
    let times: Vec<_> = batch.times.iter().map(|it| it.to_bits()).collect();
    format!("{:?} {times:?} {:?} {:?}", batch.clips, batch.motion, batch.pixels)
}

/// Trains on `count` batches, or on all of them.
fn train(ingest: &mut Ingest, count: Option<usize>) -> Vec<String> {
    let mut seen = Vec::new();
    while count != Some(seen.len())
        && let Ok(batch) = ingest.batches().recv()
    {
        ingest.trained(&batch);
        seen.push(content(&batch));
    }
    seen
}

/// Saves a state and restores it through text and bytes, as a file would hold them.
fn saved_and_restored(resume_state: &ResumeState, size: [usize; 2]) -> ResumeState {
    let (saved, pixels) = resume_state.save();
    let text = serde_json::to_string(&saved).unwrap();
    serde_json::from_str::<SavedState>(&text).unwrap().restore(&pixels.concat(), size).unwrap()
}

/// The reports without their problems, which a resumed run meets again.
fn totals(reports: Vec<StreamReport>) -> Vec<StreamReport> {
    let silent = |it| StreamReport { problems: Vec::new(), ..it };
    reports.into_iter().map(silent).collect()
}

#[test]
fn finite_archives_resume_bit_for_bit_and_end_with_the_same_reports() {
    let folder = tempfile::tempdir().unwrap();
    let config = of(streams(folder.path()), false, 0);
    let mut whole = start(&config, 5).unwrap();
    let wanted = train(&mut whole, None);
    let report = totals(whole.finish());
    assert!(wanted.len() > 30, "{} batches", wanted.len());
    for stop in [1, 2, wanted.len() / 3, wanted.len() / 2, wanted.len() - 1, wanted.len()] {
        let mut first = start(&config, 5).unwrap();
        assert_eq!(train(&mut first, Some(stop)), wanted[..stop]);
        let resume_state = saved_and_restored(&first.resume_state(), config.size);
        drop(first);
        let mut second = resume(&config, 5, resume_state).unwrap();
        let rest = train(&mut second, None);
        assert_eq!(rest.len(), wanted.len() - stop, "after {stop}");
        assert!(rest == wanted[stop..], "other batches after {stop}");
        assert_eq!(totals(second.finish()), report, "after {stop}");
    }
}

#[test]
fn looped_archives_resume_bit_for_bit_again_and_again() {
    let folder = tempfile::tempdir().unwrap();
    let config = of(streams(folder.path()), true, 1);
    let mut whole = start(&config, 9).unwrap();
    let wanted = train(&mut whole, Some(160));
    assert!(wanted.iter().any(|it| it.contains("epoch: 1")), "more than one epoch");
    let mut resume_state = ResumeState::default();
    for stops in [0, 37, 38, 90, 160].windows(2) {
        let mut ingest = resume(&config, 9, resume_state).unwrap();
        let seen = train(&mut ingest, Some(stops[1] - stops[0]));
        assert!(seen == wanted[stops[0]..stops[1]], "other batches after {}", stops[0]);
        resume_state = saved_and_restored(&ingest.resume_state(), config.size);
        assert!(ingest.finish().iter().all(StreamReport::is_balanced));
    }
}

#[test]
fn a_stream_that_is_gone_leaves_the_pool_and_a_new_one_joins() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = of(streams(folder.path()), true, 0);
    let mut first = start(&config, 3).unwrap();
    train(&mut first, Some(20));
    let resume_state = first.resume_state();
    config.stream.remove(0);
    config.stream.push(StreamConfig::new("new", config.stream[0].source.clone()));
    config.stream[3].repeat = true;
    let mut second = resume(&config, 3, resume_state).unwrap();
    let mut streams = std::collections::BTreeSet::new();
    for _ in 0..40 {
        let batch = second.batches().recv().unwrap();
        streams.extend(batch.clips.iter().map(|it| it.stream));
        second.trained(&batch);
    }
    assert_eq!(streams.into_iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
    for report in second.finish() {
        assert!(report.is_balanced(), "{report:?}");
    }
}

#[test]
fn of_two_streams_with_one_name_the_last_resumes() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = of(streams(folder.path()), true, 0);
    config.stream.remove(0);
    config.stream.truncate(1);
    let mut first = start(&config, 3).unwrap();
    train(&mut first, Some(5));
    first.remove(0);
    let again = first.add(&config.stream[0]).unwrap();
    let of_it = |it: &Batch| it.clips.iter().filter(|it| it.stream == again).count();
    let mut clips = 0;
    while clips < 20 {
        let batch = first.batches().recv().unwrap();
        clips += of_it(&batch);
        first.trained(&batch);
    }
    let resume_state = first.resume_state();
    drop(first);
    let mut second = resume(&config, 3, resume_state).unwrap();
    train(&mut second, Some(20));
    let report = second.finish().remove(0);
    assert!(report.is_balanced(), "{report:?}");
}

#[test]
fn a_missing_file_is_reported_and_costs_no_clip_of_others() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = of(streams(folder.path()), true, 0);
    config.stream.truncate(1);
    let mut first = start(&config, 3).unwrap();
    let batch = first.batches().recv().unwrap();
    first.trained(&batch);
    let resume_state = first.resume_state();
    drop(first);
    std::fs::remove_file(folder.path().join("b.mp4")).unwrap();
    let mut second = resume(&config, 3, resume_state).unwrap();
    train(&mut second, Some(20));
    let report = second.finish().remove(0);
    assert!(report.problems.iter().any(|it| it.contains("b.mp4 is gone")), "{report:?}");
    assert!(report.is_balanced(), "{report:?}");
}
