//! A camera that dies, freezes, changes or refuses, and what its stream does.

use cameras::{Camera, Options, media, mute};
use pipeline::StreamState::{Connecting, GivenUp, Playing, Stalled, Stopped, Waiting};
use pipeline::{Protocol, StreamEnd};

use crate::watch::{Watch, camera, config, folder, h264};

#[test]
fn a_killed_camera_reconnects() {
    let options = Options::playing(&h264());
    let mut door = Camera::start(&options);
    let mut watch = Watch::over(&config(vec![camera("door", door.url())]));
    watch.until_clips(0, 0, 5);
    door.kill();
    watch.until_state(0, Waiting, 1);
    assert!(watch.reason(0, Waiting).contains("trying again in"), "{watch:?}");
    door.restart(&options);
    watch.until_clips(0, 1, 5);
    let seen = [Connecting, Playing, Waiting, Connecting, Playing];
    assert_eq!(watch.states(0), seen, "{watch:?}");
    let report = watch.finish().remove(0);
    assert_eq!((report.counts.reconnects, report.counts.stalls), (1, 0), "{report:?}");
    assert!(report.counts.errors >= 1 && report.end == StreamEnd::Stopped, "{report:?}");
}

#[test]
fn a_frozen_camera_stalls_and_reconnects() {
    let door = Camera::start(&Options::playing(&h264()));
    let mut watch = Watch::over(&config(vec![camera("door", door.url())]));
    watch.until_clips(0, 0, 3);
    door.freeze();
    watch.until_state(0, Stalled, 0);
    assert!(watch.reason(0, Stalled).contains("no frame for 1 s"), "{watch:?}");
    watch.until_state(0, Waiting, 1);
    door.thaw();
    watch.until_clips(0, 1, 3);
    let seen = [Connecting, Playing, Stalled, Waiting, Connecting, Playing];
    assert_eq!(watch.states(0), seen, "{watch:?}");
    let report = watch.finish().remove(0);
    assert_eq!((report.counts.reconnects, report.counts.stalls), (1, 1), "{report:?}");
}

#[test]
fn a_camera_may_change_size_and_codec_between_connections() {
    let mut door = Camera::start(&Options::playing(&h264()));
    let mut watch = Watch::over(&config(vec![camera("door", door.url())]));
    watch.until_clips(0, 0, 3);
    let small = media::h264(folder(), [160, 120], 4, 25);
    let other = media::h265(folder(), [256, 144], 4, 25);
    for (epoch, media) in [(1, &small), (2, &other)] {
        door.restart(&Options::playing(media));
        watch.until_clips(0, epoch, 3);
    }
    watch.finish();
}

#[test]
fn a_wrong_password_is_tried_again_and_not_printed() {
    let open = Options::playing(&h264());
    let login = Some(["viewer".into(), "right".into()]);
    let mut door = Camera::start(&Options { login, ..open.clone() });
    let wrong = camera("wrong", &door.url_with("viewer", "hush-hush"));
    let right = camera("right", &door.url_with("viewer", "right"));
    let mut watch = Watch::over(&config(vec![wrong, right]));
    watch.until_clips(1, 0, 3);
    watch.until_state(0, Waiting, 0);
    let reason = watch.reason(0, Waiting).to_lowercase();
    assert!(reason.contains("unauthorized") || reason.contains("401"), "{reason}");
    assert!(!format!("{watch:?}").contains("hush-hush"), "{watch:?}");
    door.restart(&open);
    watch.until_clips(0, 0, 3);
    watch.finish();
}

#[test]
fn a_server_that_accepts_and_never_answers_is_tried_again() {
    let silent = mute();
    let mut door = camera("door", &silent.url());
    door.retry.connect_timeout = 0.5;
    let mut watch = Watch::over(&config(vec![door]));
    watch.until("three attempts", |it| {
        it.events.iter().filter(|it| it.state == Waiting).count() >= 3
    });
    assert_eq!(watch.states(0)[..2], [Connecting, Waiting], "{watch:?}");
    assert!(watch.reason(0, Waiting).contains("no frame in 0.5 s"), "{watch:?}");
    let report = watch.finish().remove(0);
    assert_eq!((report.counts.decoded, report.counts.stalls), (0, 0), "{report:?}");
}

#[test]
fn a_stream_is_given_up_only_after_max_attempts() {
    let mut door = Camera::start(&Options::playing(&h264()));
    let mut limited = camera("limited", door.url());
    limited.retry.max_attempts = 2;
    let mut watch = Watch::over(&config(vec![limited, camera("steady", door.url())]));
    watch.until_clips(0, 0, 2);
    watch.until_clips(1, 0, 2);
    door.kill();
    watch.until("one to be given up", |it| it.events.iter().any(|it| it.state == GivenUp));
    assert!(watch.reason(0, GivenUp).contains("given up after 2 attempts"), "{watch:?}");
    door.restart(&Options::playing(&h264()));
    watch.until_clips(1, 1, 2);
    assert!(!watch.states(1).contains(&GivenUp), "{watch:?}");
    let reports = watch.finish();
    assert!(matches!(reports[0].end, StreamEnd::Failed(_)), "{reports:?}");
}

#[test]
fn lost_packets_cost_frames_but_not_the_stream() {
    let lossy = Options { lose: 0.02, ..Options::playing(&h264()) };
    let door = Camera::start(&lossy);
    let mut stream = camera("door", door.url());
    stream.protocol = Protocol::Udp;
    let mut watch = Watch::over(&config(vec![stream]));
    watch.until("twenty clips", |it| it.clips.len() >= 20);
    assert!(watch.states(0).starts_with(&[Connecting, Playing]), "{watch:?}");
    watch.finish();
}

#[test]
fn a_removed_stream_stops_and_an_added_one_plays() {
    let one = Camera::start(&Options::playing(&h264()));
    let other = Camera::start(&Options::playing(&h264()));
    let mut watch = Watch::over(&config(vec![camera("one", one.url())]));
    watch.until_clips(0, 0, 2);
    assert_eq!(watch.ingest.add(&camera("other", other.url())).unwrap(), 1);
    watch.until_clips(1, 0, 2);
    watch.ingest.remove(0);
    watch.until_state(0, Stopped, 0);
    let before = watch.clips.iter().filter(|it| it.0.stream == 1).count();
    watch.until_clips(1, 0, before + 3);
    assert_eq!(watch.ingest.names(), ["one", "other"]);
    let reports = watch.finish();
    assert!(reports.iter().all(|it| it.end == StreamEnd::Stopped), "{reports:?}");
}
