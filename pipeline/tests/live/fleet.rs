//! Many streams at once: a failing stream does not affect the others.

use std::time::Duration;

use cameras::{Camera, Options};
use pipeline::{BatchConfig, ClipConfig, SourceConfig, StreamConfig, StreamState, Synthetic};

use crate::watch::{Watch, camera, config, h264};

/// Clips of each healthy stream, 0.4 s each, while one camera fails.
const CLIPS_PER_FAULT: usize = 5;

#[test]
fn four_failing_streams_cost_the_other_four_nothing() {
    let options = Options::playing(&h264());
    let steady = Camera::start(&options);
    let mut failing: Vec<Camera> = (0..2).map(|_| Camera::start(&options)).collect();
    let silent = cameras::mute();
    let mut streams: Vec<StreamConfig> =
        (0..4).map(|it| camera(&format!("steady-{it}"), steady.url())).collect();
    streams.extend(failing.iter().map(|it| camera("failing", it.url())));
    streams.push(camera("silent", &silent.url()));
    streams.push(camera("refused", "rtsp://127.0.0.1:1/cam"));
    for (idx, stream) in streams.iter_mut().enumerate() {
        stream.name = format!("{idx}-{}", stream.name);
        stream.retry.connect_timeout = 1.0;
    }
    let mut watch = Watch::over(&config(streams));
    for idx in 0..4 {
        watch.until_clips(idx, 0, 2);
    }
    for turn in 0..4 {
        // One is killed and the other frozen, in turns.
        let [first, second] = &mut failing[..] else { unreachable!("there are two") };
        match turn % 2 {
            0 => first.kill(),
            _ => second.freeze(),
        }
        for idx in 0..4 {
            let clips = watch.clips_of(idx).count() + CLIPS_PER_FAULT;
            watch.until_clips(idx, 0, clips);
        }
        match turn % 2 {
            0 => first.restart(&options),
            _ => second.thaw(),
        }
    }
    for idx in 0..4 {
        // Back to back: not one frame is missing.
        let starts: Vec<f64> = watch.clips_of(idx).map(|it| it.1[0]).collect();
        assert!(starts.len() >= 4 * CLIPS_PER_FAULT, "{idx}: {starts:?}");
        assert!(starts.windows(2).all(|it| (it[1] - it[0] - 0.4).abs() < 0.055), "{starts:?}");
        assert_eq!(watch.states(idx), [StreamState::Connecting, StreamState::Playing], "{watch:?}");
    }
    let reports = watch.finish();
    for report in &reports[..4] {
        let counts = report.counts;
        let lost = [
            counts.dropped_backlog,
            counts.dropped,
            counts.discontinuity,
            counts.irregular,
            counts.errors,
        ];
        assert_eq!(lost, [0; 5], "{report:?}");
    }
    for report in &reports[4..] {
        assert!(report.counts.errors > 1, "{report:?}");
    }
}

#[test]
fn clips_that_are_not_taken_are_dropped_oldest_first_and_counted() {
    let door = Camera::start(&Options::playing(&h264()));
    let watch = Watch::over(&config(vec![camera("door", door.url())]));
    // No batch is taken; totals are published once a second.
    let mut watch = watch;
    let dropped_frames = |watch: &mut Watch| watch.ingest.snapshot()[0].dropped;
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while dropped_frames(&mut watch) == 0 {
        let event = watch.ingest.events().recv_timeout(Duration::from_millis(100));
        watch.events.extend(event);
        assert!(std::time::Instant::now() < deadline, "nothing was dropped: {watch:?}");
    }
    let dropped = dropped_frames(&mut watch);
    watch.until_clips(0, 0, 12);
    // The dropped clips lie between those that waited in batches and the newest.
    let numbers: Vec<u64> = watch.clips.iter().map(|it| it.0.number).collect();
    assert!(numbers.windows(2).any(|it| it[1] > it[0] + 1), "{numbers:?}");
    let report = watch.finish().remove(0);
    assert!(report.counts.dropped >= dropped && dropped > 0, "{report:?}");
}

#[test]
fn a_decoder_that_is_too_slow_skips_to_keyframes() {
    let door = Camera::start(&Options { fps: 200, ..Options::playing(&h264()) });
    let mut config = config(vec![camera("door", door.url())]);
    // Every frame starts a clip, and estimating the motion of one takes far longer than 5 ms.
    config.size = [1024, 1024];
    config.clip = ClipConfig { hop: 0.005, camera_motion: true, ..ClipConfig::new(2, 0.2) };
    let mut watch = Watch::over(&config);
    watch.until("something skipped", |it| {
        it.clips.last().is_some_and(|it| it.0.counts.dropped_backlog > 0)
    });
    let report = watch.finish().remove(0);
    assert!(report.counts.dropped_backlog > 0 && report.counts.stalls == 0, "{report:?}");
}

#[test]
fn an_archive_and_a_camera_share_a_run() {
    let door = Camera::start(&Options::playing(&h264()));
    let mut archive = StreamConfig::new("archive", SourceConfig::Synthetic(Synthetic::default()));
    archive.repeat = true;
    let mut config = config(vec![camera("door", door.url()), archive]);
    config.batch = BatchConfig::new(2, 4);
    let mut watch = Watch::over(&config);
    watch.until_clips(0, 0, 5);
    let reports = watch.finish();
    assert!(reports.iter().all(|it| it.counts.trained > 0), "{reports:?}");
}

#[test]
fn a_pool_with_reuse_keeps_a_fast_trainer_busy_with_older_clips() {
    let door = Camera::start(&Options::playing(&h264()));
    let mut config = config(vec![camera("door", door.url())]);
    config.batch = BatchConfig { reuse: 5, ..BatchConfig::new(2, 4) };
    let mut watch = Watch::over(&config);
    watch.until("clips that were used before", |it| {
        it.clips.iter().filter(|it| it.0.uses > 0).count() > 10
    });
    for pair in watch.clips.chunks_exact(2) {
        assert_ne!(pair[0].0.number, pair[1].0.number, "one clip twice in a batch");
    }
    assert!(watch.clips.iter().all(|it| it.0.uses <= 5), "{watch:?}");
    assert!(watch.clips.iter().all(|it| it.0.uses == 0 || it.0.new_frames == 0), "counted again");
    watch.finish();
}
