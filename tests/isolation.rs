//! Decoding in processes of its own: the same numbers, and no crash that costs the run anything.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;

use support::processes::{arguments, decoders, eventually, is_decoder, send, status};
use support::{Running, Setup, Table, assert_balanced, assert_finished, looped, media};

const ISOLATED: &str = "pipeline.isolate=true";

fn setup() -> Setup {
    Setup::new(&[looped("street", media("street.mp4")), looped("tree", media("tree.mp4"))])
}

/// A run that says what its decoder processes do.
fn verbose(setup: &Setup, sets: &[&str]) -> Running {
    let mut command = setup.command("train", &[&[ISOLATED], sets].concat());
    command.arg("--verbose");
    Running::start(command)
}

/// Everything that must not depend on where the frames were decoded.
fn numbers(setup: &Setup) -> (Vec<(i64, f64)>, Vec<Vec<f32>>) {
    (setup.table("metrics").metric("loss"), setup.table("embeddings").vectors())
}

#[test]
fn training_is_the_same_bit_for_bit() {
    let [here, isolated] = [(); 2].map(|()| setup());
    let steps = ["model.train.steps=60", "pipeline.clip.camera_motion=true"];
    here.train(&steps).ended_with(0);
    let done = isolated.train(&[&steps[..], &[ISOLATED]].concat()).ended_with(0);
    done.complains(&["decoder processes: no new privileges"]);
    let (losses, embeddings) = numbers(&here);
    assert_eq!(losses.len(), 31);
    assert_eq!(losses, numbers(&isolated).0);
    assert!(!embeddings.is_empty() && embeddings == numbers(&isolated).1);
    let [here, isolated] = [here, isolated].map(|it| it.table("streams"));
    assert_balanced(&isolated);
    assert_eq!(here.sums("trained"), isolated.sums("trained"));
}

#[test]
fn processes_that_are_killed_cost_one_reading_each() {
    let setup = setup();
    let mut run = verbose(&setup, &["model.train.steps=1500"]);
    run.wait_for("is ready");
    run.wait_for("is ready");
    let signals = ["KILL", "SEGV"].iter().cycle().take(8);
    for (round, signal) in signals.enumerate() {
        // Some frames of the newest process are under way.
        run.wait_for("step ");
        run.wait_for("step ");
        let children = decoders(run.id());
        assert_eq!(children.len(), 2, "a process a stream");
        let victim = children[round % 2];
        // Rust's own handler takes the first SIGSEGV that nothing in the process caused.
        eventually("a death", || {
            send(victim, signal);
            !is_decoder(victim)
        });
        run.wait_for("is ready");
    }
    let done = run.finish().ended_with(0);
    let done = done.complains(&["street.mp4: decoding crashed", "tree.mp4: decoding crashed"]);
    let done = done.complains(&["process died (SIGKILL)", "process died (SIGSEGV)"]);
    done.prints(&["1500"]);
    assert_finished(&setup.run());
    let streams = setup.table("streams");
    assert_balanced(&streams);
    assert_eq!(streams.sums("errors").values().sum::<i64>(), 8, "one a kill");
}

#[test]
fn no_process_outlives_its_run() {
    let setup = setup();
    let mut run = verbose(&setup, &["model.train.steps=1000000"]);
    run.wait_for("is ready");
    run.wait_for("is ready");
    let children = decoders(run.id());
    assert_eq!(children.len(), 2);
    run.signal("KILL");
    assert_eq!(run.finish().code, None);
    eventually("the decoders end", || !children.iter().any(|it| is_decoder(*it)));
}

#[test]
fn a_process_that_is_stuck_does_not_keep_the_run_from_ending() {
    let setup = setup();
    let mut run = verbose(&setup, &["model.train.steps=1000000"]);
    run.wait_for("is ready");
    run.wait_for("is ready");
    run.wait_for("step ");
    let children = decoders(run.id());
    children.iter().for_each(|it| assert!(send(*it, "STOP")));
    run.signal("INT");
    run.finish().ended_with(0);
    assert!(!children.iter().any(|it| is_decoder(*it)), "they were killed and reaped");
    assert_balanced(&setup.table("streams"));
}

#[test]
fn a_process_has_no_rights_and_no_secrets() {
    let camera = "\n[[pipeline.stream]]\nname = \"gate\"\nlive = true\n\
                  source = { uri = \"http://me:hunter2@127.0.0.1:9/a.mp4\" }\n";
    let setup = Setup::new(&[looped("tree", media("tree.mp4")), camera.into()]);
    let mut run = verbose(&setup, &["pipeline.isolation.memory=3000", "model.train.steps=1000000"]);
    run.wait_for("is ready");
    run.wait_for("is ready");
    let children = decoders(run.id());
    assert_eq!(children.len(), 2);
    for id in children {
        assert_eq!(arguments(id)[1..], ["decode-worker"]);
        let told = fs::read_to_string(format!("/proc/{id}/environ")).unwrap();
        assert!(!told.contains("hunter2") && !told.contains("CARGO"), "{told}");
        assert_eq!(status(id, "status", "NoNewPrivs:"), "1");
        assert_eq!(status(id, "status", "Seccomp:"), "2");
        let limits = ["Max address space", "Max core file size"].map(|it| status(id, "limits", it));
        assert!(limits[0].starts_with("3145728000"), "{limits:?}");
        assert!(limits[1].starts_with("0 "), "{limits:?}");
    }
    // Nobody answers there, and the process may say so.
    run.wait_for_all(&["127.0.0.1:9", "step 1/"]);
    run.signal("INT");
    let done = run.finish().ended_with(0);
    let done = done.complains(&["landlock", "seccomp, memory limit 3000 MiB"]);
    assert!(!done.to_string().contains("hunter2"), "{done}");
    assert!(Table::read(&setup.run(), "metrics").rows() > 0);
}

#[test]
fn a_person_who_starts_one_by_hand_is_told_so() {
    let done = support::finish(support::onward(&["decode-worker"])).ended_with(1);
    done.complains(&["not by hand"]);
}
