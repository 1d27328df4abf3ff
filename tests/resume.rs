//! A run that is killed goes on from its last checkpoint, and nobody can tell from its results.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use support::left::{Left, assert_same, left, newest};
use support::{Done, Setup, assert_balanced, assert_finished, copy, finish, looped, media, once};

const STEPS: i64 = 12;

/// A drawn stream.
const SHAPES: &str = "\n[[pipeline.stream]]\nname = \"shapes\"\n\
                      source = { synthetic = { frames = 60 } }\nloop = true\n";

fn setup() -> Setup {
    Setup::new(&[
        looped("street", media("street.mp4")),
        looped("tree", media("tree.mp4")),
        SHAPES.into(),
    ])
}

/// Trains for so many steps with a checkpoint every third one; dies where `fault` says.
fn train(setup: &Setup, steps: i64, fault: Option<&str>, sets: &[&str]) -> Done {
    let steps = format!("model.train.steps={steps}");
    let always = [steps.as_str(), "checkpoint.every_steps=3", "model.train.warmup=2"];
    let mut command = setup.command("train", &[&always[..], sets].concat());
    if let Some(fault) = fault {
        command.env("ONWARD_FAULT", fault);
    }
    finish(command)
}

/// The same, which must end in being killed there.
fn die(setup: &Setup, steps: i64, fault: &str, sets: &[&str]) {
    let done = train(setup, steps, Some(fault), sets);
    assert_eq!(done.code, None, "{fault}: a signal ended it\n{done}");
}

/// A run of all steps that nobody killed.
fn whole(sets: &[&str]) -> Left {
    let setup = setup();
    train(&setup, STEPS, None, sets).ended_with(0);
    left(&setup.run())
}

#[test]
fn a_run_killed_before_any_step_ends_as_if_it_had_not_been() {
    let wanted = whole(&[]);
    for step in 1..=STEPS {
        let setup = setup();
        die(&setup, STEPS, &format!("step:{step}"), &[]);
        let done = train(&setup, STEPS, None, &[]).ended_with(0);
        let last = (step - 1) / 3 * 3;
        if last > 0 {
            done.complains(&[&format!("resuming after step {last}")]);
        }
        assert_same(&left(&setup.run()), &wanted, &format!("killed at step {step}"));
        assert_balanced(&setup.table("streams"));
        assert_finished(&setup.run());
        let told = setup.table("events").text("kind");
        assert!(told.iter().any(|it| it == "resume"), "{told:?}");
    }
}

#[test]
fn a_run_killed_at_any_point_of_a_checkpoint_ends_as_if_it_had_not_been() {
    let wanted = whole(&[]);
    for fault in [
        "checkpoint before sync:1",
        "checkpoint before sync:8",
        "checkpoint sealed:2",
        "checkpoint before rename:1",
        "checkpoint before rename:3",
        "checkpoint after rename:1",
        "checkpoint after rename:2",
        "checkpoint removed by name:1",
    ] {
        let setup = setup();
        die(&setup, STEPS, fault, &[]);
        train(&setup, STEPS, None, &[]).ended_with(0);
        assert_same(&left(&setup.run()), &wanted, fault);
        assert_finished(&setup.run());
    }
}

#[test]
fn a_run_killed_again_and_again_ends_as_if_it_had_not_been() {
    let (wanted, setup) = (whole(&[]), setup());
    for step in [5, 2, 4, 5, 3] {
        die(&setup, STEPS, &format!("step:{step}"), &[]);
    }
    train(&setup, STEPS, None, &[]).ended_with(0);
    assert_same(&left(&setup.run()), &wanted, "five kills");
    assert_finished(&setup.run());
}

/// Every method, small.
const METHODS: [&str; 19] = [
    "name = 'adassl', dim = 4, hidden = 16, projector = '16-8', editor = '16-8'",
    "name = 'barlow-twins', projector = '16-8'",
    "name = 'byol', projector = '16-8', predictor = '16-8'",
    "name = 'dcl', projector = '16-8'",
    "name = 'dclw', projector = '16-8'",
    "name = 'lejepa', projector = '16-8', loss = { directions = 16 }",
    "name = 'seq-jepa', action_dim = 8, depth = 1, heads = 2, predictor = 16",
    "name = 'simclr', projector = '16-8'",
    "name = 'simclr-abs', projector = '16-8'",
    "name = 'simclr-sq', projector = '16-8'",
    "name = 'simsiam', projector = '16-8', predictor = '4-8'",
    "name = 'spectral', projector = '16-8'",
    "name = 'tdv', head = { hidden = 16, bottleneck = 8, prototypes = 12 }",
    "name = 'tdv-adassl', dim = 4, tdv = { head = { hidden = 16, bottleneck = 8, prototypes = 12 } }",
    "name = 'tdv-sigreg', projector = '16-8', directions = 16",
    "name = 'tico', projector = '16-8'",
    "name = 'vicreg', projector = '16-8'",
    "name = 'vicreg-ctr', projector = '16-8'",
    "name = 'vicreg-exp', projector = '16-8'",
];

#[test]
fn every_method_goes_on_as_if_nothing_had_been() {
    for method in METHODS {
        let name = format!("model.method={{ {method} }}");
        let sets = [name.as_str(), "pipeline.clip.frames=4"];
        let [uninterrupted, killed] = [(); 2].map(|()| setup());
        train(&uninterrupted, 5, None, &sets).ended_with(0);
        die(&killed, 5, "step:5", &sets);
        train(&killed, 5, None, &sets).ended_with(0).complains(&["resuming after step 3"]);
        assert_same(&left(&killed.run()), &left(&uninterrupted.run()), method);
    }
}

#[test]
fn a_frozen_encoder_stays_frozen() {
    let [from, uninterrupted, killed] = [(); 3].map(|()| setup());
    train(&from, 1, None, &[]).ended_with(0);
    let weights = newest(&from.run()).join("student.safetensors");
    let weights = format!("model.encoder.weights={}", weights.display());
    let sets = [weights.as_str(), "model.encoder.frozen=true"];
    train(&uninterrupted, 5, None, &sets).ended_with(0);
    die(&killed, 5, "step:5", &sets);
    train(&killed, 5, None, &sets).ended_with(0).complains(&["resuming after step 3"]);
    let seen = left(&killed.run());
    assert_same(&seen, &left(&uninterrupted.run()), "a frozen encoder");
    let norm = "student: frame_encoder.norm.weight";
    assert_eq!(seen.tensors[norm], left(&from.run()).tensors[norm], "it did not move");
}

#[test]
fn a_run_that_was_stopped_by_hand_goes_on_and_longer_than_it_was_to() {
    let (wanted, setup) = (whole(&[]), setup());
    // With fewer steps, as if somebody had stopped it there.
    train(&setup, 7, None, &[]).ended_with(0);
    let sets = ["checkpoint.keep_last=4", "log_every=2"];
    let done = train(&setup, STEPS, None, &sets).ended_with(0);
    let done = done.complains(&["resuming after step 7", "model.train.steps: 7 before, 12 now"]);
    done.prints(&["12 steps, 5 of them in"]);
    let seen = left(&setup.run());
    // The rows of the last step of a run are extra.
    let of = |left: &Left| -> Vec<_> {
        left.metrics.iter().filter(|it| it.1 == "loss" && it.0 != 7).cloned().collect()
    };
    assert_eq!(of(&seen), of(&wanted));
    let done = train(&setup, STEPS, None, &[]).ended_with(0);
    done.complains(&["has done its 12 steps", "--fresh"]);
}

#[test]
fn a_full_disk_ends_the_run_and_it_goes_on_when_there_is_room() {
    let (wanted, setup) = (whole(&[]), setup());
    die(&setup, STEPS, "step:5", &[]);
    let run = setup.command("train", &["model.train.steps=100000", "checkpoint.every_steps=3"]);
    let mut limited = std::process::Command::new("bash");
    // Without the trap the limit is a signal; with it, it is an error as a full disk is.
    limited.args(["-c", "trap '' XFSZ; ulimit -f 30; exec \"$@\"", "bash"]);
    limited.arg(run.get_program()).args(run.get_args()).args(["--set", "model.train.warmup=2"]);
    let done = finish(limited).ended_with(1);
    let done = done.complains(&["resuming after step 3", "disk has room"]);
    assert_eq!(newest(&setup.run()).file_name().unwrap(), "step-00000003", "{done}");
    train(&setup, STEPS, None, &[]).ended_with(0).complains(&["resuming after step 3"]);
    assert_same(&left(&setup.run()), &wanted, "a full disk");
    assert_finished(&setup.run());
}

/// Changes one bit in the middle of a file.
fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    fs::write(path, bytes).unwrap();
}

fn cut(path: &Path) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
}

#[test]
fn a_damaged_checkpoint_is_set_aside_and_the_one_before_it_is_used() {
    let wanted = whole(&[]);
    let setup = setup();
    die(&setup, STEPS, "step:8", &[]);
    let original = setup.path("runs/original");
    fs::rename(setup.run(), &original).unwrap();
    let files = fs::read_dir(original.join("checkpoints/step-00000006")).unwrap();
    let files: Vec<_> = files.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(files.len(), 8, "{files:?}");
    for (name, damage) in files.iter().flat_map(|it| [(it, flip as fn(&Path)), (it, cut)]) {
        copy(&original, &setup.run());
        damage(&setup.run().join("checkpoints/step-00000006").join(name));
        let done = train(&setup, STEPS, None, &[]).ended_with(0);
        done.complains(&["step-00000006 is damaged", "resuming after step 3"]);
        assert_same(&left(&setup.run()), &wanted, name);
        assert!(setup.run().join("superseded/step-00000006-1").is_dir());
        fs::remove_dir_all(setup.run()).unwrap();
    }
    copy(&original, &setup.run());
    for step in [3, 6] {
        flip(&setup.run().join(format!("checkpoints/step-{step:08}/student.safetensors")));
    }
    let before = support::files(&setup.run());
    train(&setup, STEPS, None, &[]).ended_with(1).complains(&["all 2 checkpoints", "--fresh"]);
    assert!(support::files(&setup.run()) == before, "something was touched");
}

#[test]
fn another_model_is_refused_by_its_keys_and_nothing_is_touched() {
    let setup = setup();
    train(&setup, 4, None, &[]).ended_with(0);
    let before = support::files(&setup.run());
    let sets = ["model.encoder.dim=48", "model.train.learning_rate=1e-2", "log_every=5"];
    let done = train(&setup, 8, None, &sets).ended_with(1);
    let done = done.complains(&[
        "model.encoder.dim: 24 before, 48 now",
        "model.train.learning_rate: 0.001 before, 0.01 now",
        "--fresh",
    ]);
    assert!(!done.stderr.contains("\n  log_every"), "{done}");
    assert!(support::files(&setup.run()) == before, "something was touched");
}

#[test]
fn a_checkpoint_of_another_format_is_refused() {
    let setup = setup();
    train(&setup, 4, None, &[]).ended_with(0);
    let folder = newest(&setup.run());
    let path = folder.join("state.json");
    let text = fs::read_to_string(&path).unwrap().replace("\"format\": 2", "\"format\": 7");
    fs::write(&path, text.replace(env!("CARGO_PKG_VERSION"), "9.8.7")).unwrap();
    let mut sum = std::process::Command::new("bash");
    sum.args(["-c", "sha256sum * > /tmp/$$; grep -v SHA256SUMS /tmp/$$ > SHA256SUMS; rm /tmp/$$"]);
    assert!(sum.current_dir(&folder).status().unwrap().success());
    let done = train(&setup, 8, None, &[]).ended_with(1);
    done.complains(&["was written by onward 9.8.7 in format 7", "--fresh"]);
}

#[test]
fn a_fresh_run_sets_the_one_before_aside() {
    let setup = setup();
    train(&setup, 4, None, &[]).ended_with(0);
    let before = support::files(&setup.run());
    let mut command = setup.command("train", &["model.train.steps=6", "model.encoder.dim=48"]);
    command.arg("--fresh");
    finish(command).ended_with(0).complains(&["the run that was there is now"]);
    assert_eq!(left(&setup.run()).metrics.last().unwrap().0, 6);
    let kept = support::files(&setup.path("runs/first.1"));
    let bytes = |all: Vec<(PathBuf, Vec<u8>)>| all.into_iter().map(|it| it.1).collect::<Vec<_>>();
    assert!(bytes(kept) == bytes(before), "what was set aside is what was there");
}

#[test]
fn finite_streams_end_where_they_would_have_ended() {
    let streams = [once("street", media("street.mp4")), once("tree", media("tree.mp4"))];
    let [uninterrupted, killed] = [(); 2].map(|()| Setup::new(&streams));
    let done = train(&uninterrupted, 100_000, None, &[]).ended_with(0);
    let steps = left(&uninterrupted.run()).metrics.last().unwrap().0;
    assert!((20..1000).contains(&steps), "{steps} steps\n{done}");
    die(&killed, 100_000, &format!("step:{}", steps - 1), &[]);
    train(&killed, 100_000, None, &[]).ended_with(0);
    assert_same(&left(&killed.run()), &left(&uninterrupted.run()), "finite streams");
    let sums = |setup: &Setup| setup.table("streams").sums("decoded");
    assert_eq!(sums(&killed), sums(&uninterrupted));
}
