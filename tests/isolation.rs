//! Decoding in worker processes: the numbers are the same, and a crash does not end the run.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;

use support::processes::{arguments, decoders, is_decoder, kill, send, status, wait_for_end};
use support::{Running, Setup, Table, assert_balanced, assert_finished, looped, media, scope};

const ISOLATED: &str = "pipeline.isolate=true";

fn setup() -> Setup {
    Setup::new(&[looped("street", media("street.mp4")), looped("tree", media("tree.mp4"))])
}

/// A run that logs what its decoder processes do.
fn verbose(setup: &Setup, sets: &[&str]) -> Running {
    let mut command = setup.command("train", &[&[ISOLATED], sets].concat());
    command.arg("--verbose");
    Running::start(command)
}

/// What must not depend on which process decodes.
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
fn every_killed_process_ends_one_epoch_and_the_run_trains_on() {
    let setup = setup();
    let (kills, steps) = scope::tier((4, 750), (8, 1500));
    let mut run = verbose(&setup, &[&format!("model.train.steps={steps}")]);
    run.wait_for("is ready");
    run.wait_for("is ready");
    let signals = ["KILL", "SEGV"].iter().cycle().take(kills);
    for (round, signal) in signals.enumerate() {
        // The newest process has frames in flight.
        run.wait_for("step ");
        run.wait_for("step ");
        let children = decoders(run.id());
        assert_eq!(children.len(), 2, "a process a stream");
        kill(children[round % 2], signal);
        run.wait_for("is ready");
    }
    let done = run.finish().ended_with(0);
    let done = done.complains(&["street.mp4: decoding crashed", "tree.mp4: decoding crashed"]);
    let done = done.complains(&["process died (SIGKILL)", "process died (SIGSEGV)"]);
    done.prints(&[&steps.to_string()]);
    assert_finished(&setup.run());
    let streams = setup.table("streams");
    assert_balanced(&streams);
    assert_eq!(streams.sums("errors").values().sum::<i64>(), kills as i64, "one per kill");
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
    children.iter().for_each(|it| wait_for_end(*it));
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
fn a_process_is_confined_and_knows_no_secret() {
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
    // No server listens there, and the process may say so.
    run.wait_for_all(&["127.0.0.1:9", "step 1/"]);
    run.signal("INT");
    let done = run.finish().ended_with(0);
    let done = done.complains(&["landlock", "seccomp, memory limit 3000 MiB"]);
    assert!(!done.to_string().contains("hunter2"), "{done}");
    assert!(Table::read(&setup.run(), "metrics").rows() > 0);
}

#[test]
fn a_worker_that_is_started_by_hand_ends_with_an_explanation() {
    let done = support::finish(support::onward(&["decode-worker"])).ended_with(1);
    done.complains(&["not by hand"]);
}
