//! The program over live cameras: what it reports while they come and go.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;

use cameras::{Camera, Options};

use support::processes::decoders;
use support::{Running, Setup, Table, assert_balanced, assert_finished};

/// Real frames as a camera sends them; they are encoded once for all tests.
fn frames() -> PathBuf {
    cameras::media::h264(env!("CARGO_TARGET_TMPDIR").as_ref(), [320, 240], 4, 25)
}

/// A stream of a camera, with short delays before it connects again.
fn camera(name: &str, url: &str) -> String {
    format!(
        "\n[[pipeline.stream]]\nname = \"{name}\"\nsource = {{ uri = \"{url}\" }}\nlatency = 0.05\n\
         retry = {{ stall_timeout = 1.0, max_delay = 0.5 }}\n"
    )
}

/// An endless run with a status page.
struct ServedRun {
    run: Running,
    page: Page,
}

/// The status page of a run.
#[derive(Clone)]
struct Page {
    address: String,
}

impl ServedRun {
    fn start(setup: &Setup, sets: &[&str], environment: &[(&str, &str)]) -> Self {
        let sets = [&["model.train.steps=1000000"], sets].concat();
        let mut command = setup.command("train", &sets);
        command.args(["--listen", "127.0.0.1:0"]).envs(environment.iter().copied());
        let mut run = Running::start(command);
        let line = run.wait_for("can be seen at http://");
        let address = line.split("http://").nth(1).unwrap().trim_end_matches('/').to_owned();
        Self { run, page: Page { address } }
    }

    /// Waits until the page is as wanted.
    fn until(&mut self, what: &str, holds: impl Fn(&Page) -> bool) {
        self.run.until(what, || holds(&self.page));
    }
}

impl Page {
    /// The status and the body of an answer.
    fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        let body = answer.split_once("\r\n\r\n").unwrap().1.to_owned();
        (status, body)
    }

    /// Whether the metrics have a line that begins so.
    fn has(&self, line: &str) -> bool {
        self.get("/metrics").1.lines().any(|it| it.starts_with(line))
    }
}

/// The states of a stream in the order of the table, with repeated attempts counted once.
fn states(events: &Table, stream: &str) -> Vec<String> {
    let rows = events.text("kind").into_iter().zip(events.text("stream"));
    let rows = rows.zip(events.text("state"));
    let of = rows.filter(|((kind, name), _)| kind == "state" && name == stream);
    let mut states: Vec<String> = of.map(|it| it.1).collect();
    let pair = ["waiting", "connecting"];
    let mut idx = 0;
    while idx + 4 <= states.len() {
        if states[idx..idx + 2] == pair && states[idx + 2..idx + 4] == pair {
            states.drain(idx..idx + 2);
        } else {
            idx += 1;
        }
    }
    states
}

#[test]
fn a_run_trains_on_while_cameras_fail_and_reports_it() {
    let options = Options::playing(&frames());
    let [mut door, yard] = [(); 2].map(|()| Camera::start(&options));
    let setup = Setup::new(&[camera("door", door.url()), camera("yard", yard.url())]);
    let mut served = ServedRun::start(&setup, &[], &[]);
    served.until("readiness", |it| it.get("/readyz").0 == 200);
    assert_eq!(served.page.get("/healthz").0, 200);
    served.until("a playing door", |it| {
        it.has("onward_stream_state{stream=\"door\",state=\"playing\"} 1")
    });
    door.kill();
    served.until("a door that is gone", |it| {
        it.has("onward_stream_state{stream=\"door\",state=\"waiting\"} 1")
            || it.has("onward_stream_state{stream=\"door\",state=\"connecting\"} 1")
    });
    // The other camera is enough to train on.
    assert_eq!(served.page.get("/readyz").0, 200);
    door.restart(&options);
    served.until("a door that is back", |it| it.has("onward_reconnects_total{stream=\"door\"} 1"));
    let state = served.page.get("/state.json").1;
    assert!(state.contains("first frame after"), "{state}");
    assert!(!state.contains("data:image"), "a picture without thumbnails = true");
    served.run.signal("INT");
    let done = served.run.finish().ended_with(0);
    done.complains(&["disconnected: its server", "stream \"door\" plays again"]).prints(&[
        "door: stopped",
        "yard: stopped",
        "1 reconnects",
    ]);
    assert_finished(&setup.run());
    assert_balanced(&setup.table("streams"));
    let events = setup.table("events");
    let whole = ["connecting", "playing", "waiting", "connecting", "playing", "stopped"];
    assert_eq!(states(&events, "door"), whole);
    assert_eq!(states(&events, "yard"), ["connecting", "playing", "stopped"]);
    let clocks = setup.table("embeddings").text("captured_by");
    assert!(clocks.iter().all(|it| it == "arrival" || it == "camera"), "{clocks:?}");
}

#[test]
fn a_hang_up_reads_the_streams_again() {
    let options = Options::playing(&frames());
    let [door, yard] = [(); 2].map(|()| Camera::start(&options));
    let setup = Setup::new(&[camera("door", door.url())]);
    let mut served = ServedRun::start(&setup, &[], &[]);
    served.until("readiness", |it| it.get("/readyz").0 == 200);
    let before = fs::read_to_string(setup.config()).unwrap();

    // A config with a mistake changes nothing.
    fs::write(setup.config(), before.replace("latency", "latncy")).unwrap();
    served.run.signal("HUP");
    served.run.wait_for("the streams stay as they are");

    let (start, end) = before.split_once("\n[storage]").unwrap();
    let more = camera("yard", yard.url());
    fs::write(setup.config(), format!("{start}{more}\n[storage]{end}")).unwrap();
    served.run.signal("HUP");
    served.run.wait_for("stream \"yard\" added");
    served.until("a playing yard", |it| {
        it.has("onward_stream_state{stream=\"yard\",state=\"playing\"} 1")
    });

    let door_entry = camera("door", door.url());
    fs::write(setup.config(), format!("{start}{more}\n[storage]{end}").replace(&door_entry, ""))
        .unwrap();
    served.run.signal("HUP");
    served.run.wait_for("stream \"door\" removed");
    served.until("a door that stopped", |it| {
        it.has("onward_stream_state{stream=\"door\",state=\"stopped\"} 1")
    });
    served.run.signal("TERM");
    served.run.finish().ended_with(0).prints(&["door: stopped", "yard: stopped"]);
    let streams = setup.table("streams");
    assert_balanced(&streams);
    assert!(streams.sums("trained")["yard"] > 0);
    assert_eq!(states(&setup.table("events"), "door"), ["connecting", "playing", "stopped"]);
}

#[test]
fn a_password_reaches_neither_the_page_nor_a_decoder_process() {
    const PASSWORD: &str = "Canary-7f3a";
    let login = Some(["viewer".into(), PASSWORD.into()]);
    let door = Camera::start(&Options { login, ..Options::playing(&frames()) });
    let url = door.url().replacen("://", "://viewer:${CAMERA_PASSWORD}@", 1);
    let setup = Setup::new(&[camera("door", &url)]);
    let sets = ["pipeline.isolate=true", "thumbnails=true"];
    let mut served = ServedRun::start(&setup, &sets, &[("CAMERA_PASSWORD", PASSWORD)]);
    served.until("readiness", |it| it.get("/readyz").0 == 200);
    served.until("a picture", |it| it.get("/state.json").1.contains("data:image/jpeg"));
    for path in ["/", "/state.json", "/metrics", "/healthz", "/readyz"] {
        let (status, body) = served.page.get(path);
        assert!(status == 200 && !body.contains(PASSWORD), "{path}: {status}");
    }
    let children = decoders(served.run.id());
    assert_eq!(children.len(), 1);
    for file in ["cmdline", "environ"] {
        let bytes = fs::read(format!("/proc/{}/{file}", children[0])).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains(PASSWORD), "{file} of the decoder process: {text}");
    }
    // A new process takes the place of the camera's process.
    support::processes::send(children[0], "KILL");
    served.until("a new process", |it| it.has("onward_reconnects_total{stream=\"door\"} 1"));
    served.run.signal("INT");
    let done = served.run.finish().ended_with(0);
    let said = format!("{}{}", done.stdout, done.stderr);
    assert!(!said.contains(PASSWORD), "{said}");
    assert_balanced(&setup.table("streams"));
    let written = support::files(&setup.run());
    let config = fs::read_to_string(setup.run().join("config.toml")).unwrap();
    assert!(config.contains("${CAMERA_PASSWORD}"), "{config}");
    for (path, bytes) in written {
        let found = bytes.windows(PASSWORD.len()).any(|it| it == PASSWORD.as_bytes());
        assert!(!found, "{}", path.display());
    }
}

/// The number of frames of the door that were trained on, in the metrics.
const TRAINED: &str = "onward_frames_total{stream=\"door\",outcome=\"trained\"}";

#[test]
fn a_resumed_run_reports_how_much_of_each_camera_was_not_trained_on() {
    let door = Camera::start(&Options::playing(&frames()));
    let setup = Setup::new(&[
        camera("door", door.url()),
        support::looped("tree", support::media("tree.mp4")),
    ]);
    let sets = ["checkpoint.every_steps=5", "embed_every=1", "log_every=1"];
    let mut first = ServedRun::start(&setup, &sets, &[]);
    first.until("two checkpoints", |_| setup.run().join("checkpoints/step-00000010").is_dir());
    first.until("a frame of the camera that was trained on", |it| {
        it.has(TRAINED) && !it.has(&format!("{TRAINED} 0"))
    });
    let kept = || fs::read_dir(setup.run().join("checkpoints")).unwrap().count();
    first.until("two checkpoints that are kept", |_| kept() >= 2);
    first.run.signal("KILL");
    assert_eq!(first.run.finish().code, None);
    let mut second = ServedRun::start(&setup, &sets, &[]);
    let trained = |page: &Page| {
        page.get("/metrics").1.lines().find(|it| it.starts_with(TRAINED)).map(str::to_owned)
    };
    second.until("the metrics of the run", |it| trained(it).is_some());
    let before = trained(&second.page);
    second.until("more frames of the camera", |it| trained(it) != before);
    second.run.signal("INT");
    second.run.finish().ended_with(0);
    let events = setup.table("events");
    let rows = events.text("kind").into_iter().zip(events.text("stream"));
    let rows = rows.zip(events.text("message")).filter(|it| it.0.0 == "resume");
    let told: Vec<_> = rows.map(|((_, stream), message)| (stream, message)).collect();
    let of_door: Vec<_> = told.iter().filter(|it| it.0 == "door").collect();
    assert!(
        matches!(&of_door[..], [it] if it.1.contains(" s of it were not trained on")),
        "{told:?}"
    );
    assert!(told.iter().all(|it| it.0 != "tree"), "an archive loses nothing: {told:?}");
    assert_balanced(&setup.table("streams"));
    // Every connection has its own number, before the kill and after it.
    let embeddings = setup.table("embeddings");
    let rows = embeddings.text("stream").into_iter().zip(embeddings.counts("epoch"));
    let mut passes: Vec<i64> = rows.filter(|it| it.0 == "door").map(|it| it.1).collect();
    assert!(passes.last() > passes.first(), "{passes:?}");
    passes.dedup();
    assert!(passes.is_sorted(), "{passes:?}");
    let losses = setup.table("metrics").metric("loss");
    let steps: Vec<i64> = losses.iter().map(|it| it.0).collect();
    let last = *steps.last().unwrap();
    assert_eq!(steps, (1..=last).collect::<Vec<_>>(), "every step once");
}
