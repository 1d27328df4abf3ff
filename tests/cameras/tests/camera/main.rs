//! The cameras, seen by a plain RTSP client.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod client;

use std::{
    fs,
    io::{ErrorKind, Read as _, Write as _},
    net::TcpStream,
    path::PathBuf,
    time::Duration,
};

use cameras::{Camera, Options, media, mute};
use client::{Arrival, Client, Packet};

const SIZE: [u32; 2] = [160, 120];
const SECOND: Duration = Duration::from_secs(1);

/// Two seconds of H.264, and the camera that plays them without faults.
fn street() -> (PathBuf, Options) {
    let file = media::h264(&folder(), SIZE, 2, 25);
    let options = Options::playing(&file);
    (file, options)
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
}

fn plays(file: PathBuf, codec: &str, transport: &str) {
    let camera = Camera::start(&Options::playing(&file));
    let client = Client::of_frames(camera.url(), codec, transport);
    let frames: Vec<_> = (0..60).map(|_| client.frame()).collect();
    assert!(frames.iter().all(|it| it.0 == [160, 120]), "{frames:?}");
    assert!(frames.is_sorted_by(|a, b| a.1 < b.1), "{frames:?}");
}

#[test]
fn h264_plays() {
    plays(street().0, "h264", "tcp");
}

#[test]
fn h265_plays() {
    plays(media::h265(&folder(), SIZE, 2, 25), "h265", "tcp");
}

#[test]
fn datagrams_arrive() {
    plays(street().0, "h264", "udp");
}

#[test]
fn time_is_regular_across_the_loop() {
    let camera = Camera::start(&street().1);
    let stamps = timestamps(&Client::of_packets(camera.url()), 200);
    let gaps: Vec<_> = stamps.windows(2).map(|it| it[1].wrapping_sub(it[0])).collect();
    assert!(gaps.iter().all(|&it| it == 90_000 / 25), "{gaps:?}");
}

/// The RTP timestamps of the next frames.
fn timestamps(client: &Client, frames: usize) -> Vec<u32> {
    let mut stamps = vec![client.packet().timestamp];
    while stamps.len() < frames {
        let packet = client.packet();
        if stamps.last() != Some(&packet.timestamp) {
            stamps.push(packet.timestamp);
        }
    }
    stamps
}

/// A camera that did not send in real time would be as fast at 5 frames per second as at 25, and
/// its timestamps would run five times as far.
#[test]
fn cameras_of_different_frame_rates_send_in_the_same_real_time() {
    let (_, options) = street();
    let slow = Camera::start(&Options { fps: 5, ..options.clone() });
    let fast = Camera::start(&options);
    let [slow, fast] = [&slow, &fast].map(|it| Client::of_packets(it.url()));
    let first = slow.packet().timestamp;
    let stamps = timestamps(&fast, 200);
    let mut last = first;
    while let Arrival::Packet(packet) = slow.arrival(Duration::ZERO) {
        last = packet.timestamp;
    }
    let [slow, fast] = [(first, last), (stamps[0], stamps[199])]
        .map(|(first, last)| f64::from(last.wrapping_sub(first)) / 90_000.0);
    assert!((0.5..2.0).contains(&(slow / fast)), "{slow} s and {fast} s of frames");
}

#[test]
fn a_password_is_asked_for() {
    let login = Some(["viewer", "right"].map(String::from));
    let camera = Camera::start(&Options { login, ..street().1 });
    Client::of_packets(&camera.url_with("viewer", "right")).packet();
    for url in [camera.url_with("viewer", "wrong"), camera.url().to_owned()] {
        let arrival = Client::of_packets(&url).arrival(10 * SECOND);
        let Arrival::End(said) = arrival else { panic!("{arrival:?} at {url}") };
        assert!(said.contains("Unauthorized"), "{said}");
    }
}

#[test]
fn it_is_killed_and_restarts_on_the_same_port() {
    let (_, options) = street();
    let mut camera = Camera::start(&options);
    let url = camera.url().to_owned();
    let client = Client::of_packets(&url);
    client.packet();
    camera.kill();
    assert!(matches!(client.after_packets(10 * SECOND), Arrival::End(_)));
    assert_eq!(
        TcpStream::connect(("127.0.0.1", camera.port())).unwrap_err().kind(),
        ErrorKind::ConnectionRefused
    );
    camera.restart(&options);
    assert_eq!(camera.url(), url);
    Client::of_packets(&url).packet();
}

#[test]
fn it_freezes_and_thaws() {
    let camera = Camera::start(&street().1);
    let client = Client::of_packets(camera.url());
    client.packet();
    camera.freeze();
    assert_eq!(client.after_packets(2 * SECOND), Arrival::Nothing);
    camera.thaw();
    client.packet();
}

#[test]
fn packets_are_lost() {
    let (_, options) = street();
    assert_eq!(lost(&options), 0.0);
    let share = lost(&Options { lose: 0.2, ..options });
    assert!((0.1..0.3).contains(&share), "{share} of the packets are lost");
}

/// The share of the first 500 sequence numbers that did not arrive.
fn lost(options: &Options) -> f64 {
    let camera = Camera::start(options);
    let client = Client::of_packets(camera.url());
    let first = client.packet().number;
    let mut arrived = 1;
    loop {
        let Packet { number, .. } = client.packet();
        let passed = number.wrapping_sub(first);
        if passed >= 500 {
            return 1.0 - f64::from(arrived) / 500.0;
        }
        arrived += 1;
    }
}

#[test]
fn media_have_the_frames_and_keyframes_that_were_asked_for() {
    let file = fs::read(media::h264(&folder(), SIZE, 3, 10)).unwrap();
    let nals: Vec<_> =
        file.windows(4).filter(|it| it[..3] == [0, 0, 1]).map(|it| it[3] & 31).collect();
    let [keys, delimiters] = [5, 9].map(|kind| nals.iter().filter(|&&it| it == kind).count());
    assert_eq!([keys, delimiters], [8, 75], "{nals:?}");
}

#[test]
fn two_clients_watch_at_once() {
    let camera = Camera::start(&street().1);
    let [one, other] = [(); 2].map(|()| Client::of_packets(camera.url()));
    for _ in 0..50 {
        one.packet();
        other.packet();
    }
}

#[test]
fn the_end_of_the_file_is_the_end_when_played_once() {
    let camera = Camera::start(&Options { once: true, ..street().1 });
    let client = Client::of_packets(camera.url());
    client.packet();
    assert_eq!(client.after_packets(10 * SECOND), Arrival::End("end of stream".into()));
}

#[test]
fn a_mute_server_never_answers() {
    let server = mute();
    assert!(server.url().contains(&server.port().to_string()));
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    stream.set_read_timeout(Some(SECOND)).unwrap();
    stream.write_all(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n").unwrap();
    assert_eq!(stream.read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::WouldBlock);
    let arrival = Client::of_packets(&server.url()).arrival(3 * SECOND);
    assert_eq!(arrival, Arrival::Nothing);
}
