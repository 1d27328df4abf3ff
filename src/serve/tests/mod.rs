//! The server over real sockets, with an invented run.

mod numbers;
mod page;
#[allow(dead_code, reason = "shared with the tests of the program")]
#[path = "../../../tests/support/scope.rs"]
mod scope;
mod sockets;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant, SystemTime};

use pipeline::{Counts, StreamState};

use super::snapshot::{Event, Queue, Snapshot, Stream};
use super::state::{ServerState, StuckAfter};
use super::{Publisher, start, start_with};
use crate::run::throughput::Throughput;

/// Nothing here takes longer, except on a machine that hangs.
const DEADLINE: Duration = Duration::from_secs(20);

/// A name that every format must escape.
const NASTY: &str = "<b>x</b> \"y\" \\ z";

/// 2 hours of a run with a stream in every state, at `step`.
fn snapshot(step: u64) -> Snapshot {
    let now = SystemTime::now();
    let ago = |seconds| now - Duration::from_secs(seconds);
    let reasons = [
        ("front door", StreamState::Playing, "frames came again after 12 s", 4_000),
        ("loading bay", StreamState::Stalled, "no frame for 5 s", 9),
        (
            "car park",
            StreamState::Waiting,
            "Could not connect to server (try 4, next in 3.6 s)",
            31,
        ),
        (NASTY, StreamState::Connecting, "the config was read again", 2),
        ("roof", StreamState::GivenUp, "Unauthorized: check the user and password", 5_100),
        ("archive of 2024", StreamState::Playing, "", 7_150),
        ("demo.mp4", StreamState::Ended, "read to its end", 2_000),
        ("lift", StreamState::Failed, "this plugin is missing: gst-plugins-ugly", 7_190),
    ];
    let streams: Vec<_> = (0..)
        .zip(reasons)
        .map(|(idx, (name, state, reason, since))| stream(idx, name, state, reason, ago(since)))
        .collect();
    let events = streams.iter().map(|it| Event {
        time: it.since,
        stream: it.name.clone(),
        state: it.state,
        epoch: it.epoch,
        reason: it.reason.clone(),
    });
    let mut events: Vec<_> = events.collect();
    events.sort_by_key(|it| std::cmp::Reverse(it.time));
    Snapshot {
        run: "street-tdv".into(),
        step,
        steps: 100_000,
        started: ago(7_200),
        throughput: Throughput {
            clips_per_second: 37.25,
            data_wait: 0.125,
            clip_age_seconds: 8.5,
            reused_share: 0.0,
            step_seconds: 0.43,
        },
        queue: Queue { batches: 1, pool: Some(256) },
        losses: losses(step),
        streams,
        events,
    }
}

/// Curves that fall, wobble and rise, and one that is NaN.
fn losses(step: u64) -> Vec<(String, f64)> {
    let x = step as f64;
    let wobble = ((x * 0.37).sin() + (x * 1.91).sin()) * 0.04;
    [
        ("loss", 7.2 * (-x / 9_000.0).exp() + 3.1 + 3.0 * wobble),
        ("loss_mse", 0.9 * (-x / 4_000.0).exp() + 0.05 * (1.0 + wobble)),
        ("copy_ratio", 0.55 + 0.4 * (-x / 7_000.0).exp() + wobble),
        ("rank", 190.0 - 170.0 * (-x / 6_000.0).exp()),
        ("student_entropy", 6.1 - 2.0 * (x / 30_000.0).min(1.0) + wobble),
        ("gradient_norm", 1.2 + 0.5 * wobble),
        ("probe", f64::NAN),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

fn stream(idx: u64, name: &str, state: StreamState, reason: &str, since: SystemTime) -> Stream {
    let playing = state == StreamState::Playing;
    let counts = Counts {
        decoded: 25_000 * idx + 100_000,
        off_grid: 9_000 * idx + 30_000,
        scene_cut: 400 * idx,
        discontinuity: 900 * (idx % 3),
        irregular: 1_200,
        light_change: 350 * (idx % 2),
        r#static: 7_000 * (idx % 4),
        dropped: 2_500,
        unfinished: 3,
        trained: 40_000 + 2_000 * idx,
        clips: 20_000 + idx,
        errors: idx / 2,
        reconnects: 3 * idx,
        stalls: idx,
        dropped_backlog: 5_788 * (idx % 2),
        ..Counts::default()
    };
    let connecting = state == StreamState::Connecting;
    Stream {
        name: name.into(),
        state,
        since,
        epoch: 3 * idx,
        reason: reason.into(),
        counts: if connecting { Counts::default() } else { counts },
        decoded_per_second: if playing { 24.97 } else { 0.0 },
        clips_per_second: if playing { 6.2 } else { 0.0 },
        share: if connecting { 0.0 } else { 0.14 },
        thumbnail: (idx == 0).then(|| THUMBNAIL.into()),
    }
}

/// A PNG of one pixel.
const THUMBNAIL: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==";

fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// A server of a run that has done `step` steps.
fn server(step: u64) -> Publisher {
    start(loopback(), snapshot(step), || 1).unwrap()
}

/// What came back: status, head, and body.
struct Reply {
    status: u16,
    head: String,
    body: String,
}

fn connect(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket
}

/// Sends bytes and reads until the server hangs up.
fn exchange(address: SocketAddr, request: &str) -> Reply {
    let mut socket = connect(address);
    socket.write_all(request.as_bytes()).unwrap();
    read(&mut socket)
}

/// Reads until the server hangs up.
fn read(socket: &mut TcpStream) -> Reply {
    let mut text = String::new();
    socket.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Reply { status, head: head.into(), body: body.into() }
}

fn get(address: SocketAddr, path: &str) -> Reply {
    exchange(address, &format!("GET {path} HTTP/1.1\r\nHost: anything\r\n\r\n"))
}

/// Asks until the answer is as wanted: what is published is shown within moments, not at once.
fn get_until(address: SocketAddr, path: &str, wanted: impl Fn(&Reply) -> bool) -> Reply {
    let start = Instant::now();
    loop {
        let reply = get(address, path);
        if wanted(&reply) {
            return reply;
        }
        assert!(start.elapsed() < DEADLINE, "{path} stayed {}: {}", reply.status, reply.body);
    }
}
