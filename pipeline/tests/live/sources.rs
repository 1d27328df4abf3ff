//! The transports of live video.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{Ipv4Addr, TcpListener, UdpSocket},
    path::Path,
    thread::Builder,
    time::{Duration, SystemTime},
};

use cameras::{Camera, Options, media};
use gstreamer::{self as gst, prelude::*};
use pipeline::{Clock, Protocol, StreamEnd, StreamState};

use crate::watch::{Watch, camera, config, folder, h264};

#[test]
fn rtsp_over_tcp_and_udp_in_h264_and_h265() {
    let one = Camera::start(&Options::playing(&h264()));
    let other = Camera::start(&Options::playing(&media::h265(folder(), [256, 144], 4, 25)));
    let mut streams = Vec::new();
    for (name, camera_) in [("h264", &one), ("h265", &other)] {
        for (way, protocol) in [("tcp", Protocol::Tcp), ("udp", Protocol::Udp)] {
            let mut stream = camera(&format!("{name}-{way}"), camera_.url());
            stream.protocol = protocol;
            streams.push(stream);
        }
    }
    let mut watch = Watch::over(&config(streams));
    for idx in 0..4 {
        watch.until_clips(idx, 0, 5);
    }
    for report in watch.finish() {
        assert_eq!(report.counts.errors, 0, "{report:?}");
    }
}

#[test]
fn capture_times_are_arrival_times_until_the_camera_reports() {
    let door = Camera::start(&Options::playing(&h264()));
    let mut watch = Watch::over(&config(vec![camera("door", door.url())]));
    watch.until("a time of the camera", |it| {
        it.clips.iter().any(|it| it.0.captured.is_some_and(|it| it.clock == Clock::Camera))
    });
    let now = SystemTime::now();
    let first = watch.clips[0].0.captured.unwrap();
    assert_eq!(first.clock, Clock::Arrival);
    let last = watch.clips.last().unwrap().0.captured.unwrap();
    let age = now.duration_since(last.time).unwrap();
    assert!(age < Duration::from_secs(5), "captured {age:?} ago, by {:?}", last.clock);
    watch.finish();
}

/// A sender of MPEG-TS over UDP, at the pace of a camera.
fn broadcast(port: u16) -> gst::Element {
    gst::init().unwrap();
    let launch = format!(
        "videotestsrc is-live=true pattern=ball ! video/x-raw,width=160,height=120,framerate=25/1 \
         ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=25 ! mpegtsmux \
         ! udpsink host=127.0.0.1 port={port}"
    );
    let sender = gst::parse::launch(&launch).unwrap();
    sender.set_state(gst::State::Playing).unwrap();
    sender
}

#[test]
fn a_transport_stream_over_udp() {
    let port = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let sender = broadcast(port);
    let mut watch = Watch::over(&config(vec![camera("air", &format!("udp://127.0.0.1:{port}"))]));
    watch.until_clips(0, 0, 5);
    sender.set_state(gst::State::Null).unwrap();
    // Datagrams have no connection: only silence shows that the sender is gone.
    watch.until_state(0, StreamState::Stalled, 0);
    let again = broadcast(port);
    watch.until_clips(0, 1, 2);
    again.set_state(gst::State::Null).unwrap();
    watch.finish();
}

/// Serves the files of a folder over HTTP; returns its address.
fn serve(folder: &Path) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let folder = folder.to_owned();
    let answer = move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut line = String::new();
            if BufReader::new(&stream).read_line(&mut line).is_err() {
                continue;
            }
            let name = line.split(' ').nth(1).unwrap_or_default().trim_start_matches('/');
            let (status, body) = match std::fs::read(folder.join(name)) {
                Ok(body) => ("200 OK", body),
                Err(_) => ("404 Not MediaInfo", Vec::new()),
            };
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            // The client may have closed the connection already.
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
        }
    };
    Builder::new().name("http".into()).spawn(answer).unwrap();
    format!("http://{address}")
}

#[test]
fn a_playlist_over_http_and_one_that_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    gst::init().unwrap();
    let launch = format!(
        "videotestsrc num-buffers=150 pattern=ball ! video/x-raw,width=160,height=120,\
         framerate=25/1 ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=25 \
         ! h264parse ! hlssink2 target-duration=2 location={dir}/part-%d.ts \
         playlist-location={dir}/list.m3u8 playlist-length=0",
        dir = folder.path().display()
    );
    let made = gst::parse::launch(&launch).unwrap();
    made.set_state(gst::State::Playing).unwrap();
    let end = [gst::MessageType::Eos, gst::MessageType::Error];
    let bus = made.bus().unwrap();
    let message = bus.timed_pop_filtered(gst::ClockTime::NONE, &end).unwrap();
    assert_eq!(message.type_(), gst::MessageType::Eos, "{message:?}");
    made.set_state(gst::State::Null).unwrap();

    let http = serve(folder.path());
    let list = camera("list", &format!("{http}/list.m3u8"));
    let missing = camera("missing", &format!("{http}/none.m3u8"));
    let mut watch = Watch::over(&config(vec![list, missing]));
    watch.until_clips(0, 0, 10);
    watch.until_state(1, StreamState::Waiting, 0);
    // A playlist that states its length ends, and is not tried again.
    watch.until_state(0, StreamState::Ended, 0);
    let reports = watch.finish();
    assert_eq!(reports[0].end, StreamEnd::Ended, "{reports:?}");
    assert_eq!(reports[0].counts.decoded, 150, "{reports:?}");
}
