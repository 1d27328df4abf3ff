//! How a run stops before its steps are done: a signal stops it, its loss is not finite, or its
//! disk fails.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use support::{Done, Running, Setup, Table, assert_balanced, assert_finished, finish};
use support::{looped, media};

fn setup() -> Setup {
    Setup::new(&[looped("street", media("street.mp4")), looped("tree", media("tree.mp4"))])
}

/// The only entry of `folder`.
fn only(folder: PathBuf) -> PathBuf {
    let mut found = fs::read_dir(&folder).unwrap().map(|it| it.unwrap().path());
    let first = found.next().unwrap_or_else(|| panic!("{} is empty", folder.display()));
    assert!(found.next().is_none(), "{} holds more than one entry", folder.display());
    first
}

/// A signal ends an endless run as its last step does: with a checkpoint and all rows.
fn saved_after(signal: &str) {
    let setup = setup();
    let mut running = setup.endless(&[]);
    running.wait_for("step 1/1000000");
    running.signal(signal);
    let done: Done = running.finish().ended_with(0);
    let done = done.complains(&["interrupted: saving after step"]);
    let checkpoint = only(setup.run().join("checkpoints"));
    let step: i64 = checkpoint.to_str().unwrap().rsplit('-').next().unwrap().parse().unwrap();
    for name in ["encoder", "student", "teacher"] {
        assert!(checkpoint.join(format!("{name}.safetensors")).is_file(), "{name} is missing");
    }
    done.prints(&["street: stopped", "tree: stopped", checkpoint.to_str().unwrap()]);
    assert_finished(&setup.run());
    let streams = setup.table("streams");
    assert_balanced(&streams);
    let trained: i64 = streams.sums("trained").values().sum();
    assert!(trained >= 4 * step, "{trained} frames in {step} steps of four clips");
    let logged = setup.table("metrics").counts("step");
    assert!(logged.iter().all(|it| *it <= step), "the checkpoint is of step {step}");
    assert!(logged.contains(&1));
    for stream in ["street", "tree"] {
        assert_eq!(streams.last(stream), ("stopped".into(), String::new()));
    }
}

#[test]
fn control_c_saves_everything() {
    saved_after("INT");
}

#[test]
fn a_request_to_terminate_saves_everything() {
    saved_after("TERM");
}

#[test]
fn a_kill_leaves_whole_parts_only() {
    let setup = setup();
    let mut running = verbose(&setup);
    running.wait_for("table=\"metrics\" part=3");
    running.signal("KILL");
    assert_eq!(running.finish().code, None, "a signal ended it");
    for name in ["metrics", "embeddings", "streams"] {
        let table = setup.table(name);
        assert!(table.parts > 0 && table.rows() >= table.parts, "{name}: {} parts", table.parts);
    }
    let losses = setup.table("metrics").metric("loss");
    // The run was killed before its first checkpoint, so that there is nothing to resume from.
    let done = setup.train(&[]).ended_with(0);
    done.complains(&["a run without a checkpoint", "superseded"]);
    let superseded = Table::read(&setup.run().join("superseded/0"), "metrics").metric("loss");
    assert!(superseded.starts_with(&losses), "the superseded rows include those of the open parts");
}

/// An endless run that closes a part for every record, and logs it.
fn verbose(setup: &Setup) -> Running {
    let sets = ["model.train.steps=1000000", "storage.rows_per_part=1"];
    let mut command = setup.command("train", &sets);
    command.arg("--verbose");
    Running::start(command)
}

#[test]
fn a_second_signal_ends_the_run_at_once() {
    let setup = setup();
    // With this many prototypes a step takes far longer than the delivery of two signals.
    let mut running = setup.endless(&["model.method.head.prototypes=200000"]);
    running.wait_for("step 1/1000000");
    // Both signals wait while the process is stopped, and then arrive together.
    running.signal("STOP");
    running.signal("INT");
    running.signal("TERM");
    running.signal("CONT");
    running.finish().ended_with(130);
}

#[test]
fn a_loss_that_is_not_finite_ends_the_run_and_names_its_clips() {
    let setup = setup();
    let diverging = [
        "model.train.steps=1000",
        "model.train.learning_rate=1e30",
        "model.train.warmup=0",
        "model.train.weight_decay=0",
        "model.train.grad_clip=1e30",
        "log_every=5",
    ];
    let done = setup.train(&diverging).ended_with(1);
    let folder = only(setup.run().join("diverged"));
    let done = done.complains(&["training diverged", folder.to_str().unwrap(), "learning_rate"]);
    assert!(done.stderr.contains("the loss is"), "{done}");
    for name in ["encoder", "student", "teacher"] {
        assert!(folder.join(format!("{name}.safetensors")).is_file(), "{name} is missing");
    }
    assert!(!setup.run().join("checkpoints").exists(), "weights that diverged are no checkpoint");

    let (_, step) = done.stderr.split_once("at step ").unwrap();
    let step: u64 = step.split(';').next().unwrap().parse().unwrap();
    let clips = fs::read_to_string(folder.join("clips.json")).unwrap();
    let clips: Vec<serde_json::Value> = serde_json::from_str(&clips).unwrap();
    let of_step: Vec<_> = clips.iter().filter(|it| it["step"] == step).collect();
    assert_eq!(of_step.len(), 4, "the clips of step {step}, four a batch: {clips:?}");
    for clip in of_step {
        let stream = clip["stream"].as_str().unwrap();
        assert_eq!(clip["item"], media(&format!("{stream}.mp4")));
        let times = clip["times"].as_array().unwrap();
        let times: Vec<f64> = times.iter().map(|it| it.as_f64().unwrap()).collect();
        assert!(times.len() == 3 && times.is_sorted(), "three frames a clip: {times:?}");
    }
    let losses = setup.table("metrics").metric("loss");
    assert!(!losses.is_empty() && losses.iter().all(|it| it.1.is_finite()), "{losses:?}");
    assert_balanced(&setup.table("streams"));
    assert_finished(&setup.run());
}

#[test]
fn a_folder_that_is_moved_away_ends_the_run() {
    let setup = setup();
    let mut running = verbose(&setup);
    running.wait_for("table=\"metrics\" part=3");
    let moved = setup.path("runs/moved");
    fs::rename(setup.run(), &moved).unwrap();
    let done = running.finish().ended_with(1);
    done.complains(&["error: ", setup.run().to_str().unwrap(), "still there and writable"]);
    let metrics = Table::read(&moved, "metrics");
    assert!(metrics.parts >= 4, "{} parts", metrics.parts);
    assert_eq!(metrics.metric("loss").len(), metrics.parts);
}

#[test]
fn a_full_disk_ends_the_run_and_keeps_the_closed_parts() {
    let setup = setup();
    // Parts of metrics and streams are below the limit, and a record of embeddings above it.
    let run = setup.command(
        "train",
        &[
            "model.train.steps=1000000",
            "log_every=1",
            "embed_every=5",
            "model.encoder.dim=192",
            "pipeline.batch.clips=32",
            "pipeline.clip.frames=2",
            "storage.rows_per_part=1",
        ],
    );
    let mut limited = Command::new("bash");
    // Beyond the limit a write is an error, as on a full disk, because the signal is ignored.
    limited.args(["-c", "trap '' XFSZ; ulimit -f 20; exec \"$@\"", "bash"]);
    limited.arg(run.get_program()).args(run.get_args());
    let done = finish(limited).ended_with(1);
    // The rows of an open part go to its write-ahead file first.
    let file = setup.run().join("wal/embeddings-00000.wal");
    done.complains(&["error: ", file.to_str().unwrap(), "that its disk has room"]);
    let metrics = setup.table("metrics");
    assert!(metrics.metric("loss").len() >= 4, "four steps before the first embeddings");
    assert_eq!(metrics.metric("loss").len(), metrics.parts, "one record per part");
    assert_eq!(setup.table("embeddings").parts, 0);
    assert_finished(&setup.run());
}
