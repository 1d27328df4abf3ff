//! A run that is killed resumes from its last checkpoint and ends with the same results.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use support::results::{Results, assert_same, newest, results};
use support::{
    Done, Setup, assert_balanced, assert_finished, copy, finish, looped, media, once, scope,
};

const STEPS: i64 = 12;

/// A synthetic stream.
const SHAPES: &str = "\n[[pipeline.stream]]\nname = \"shapes\"\n\
                      source = { synthetic = { frames = 60 } }\nloop = true\n";

fn setup() -> Setup {
    Setup::new(&[
        looped("street", media("street.mp4")),
        looped("tree", media("tree.mp4")),
        SHAPES.into(),
    ])
}

/// Trains with a checkpoint every three steps, up to where `fault` kills it.
fn train(setup: &Setup, steps: i64, fault: Option<&str>, sets: &[&str]) -> Done {
    let steps = format!("model.train.steps={steps}");
    let always = [steps.as_str(), "checkpoint.every_steps=3", "model.train.warmup=2"];
    let mut command = setup.command("train", &[&always[..], sets].concat());
    if let Some(fault) = fault {
        command.env("ONWARD_FAULT", fault);
    }
    finish(command)
}

/// Trains until `fault` kills the process, which it must.
fn die(setup: &Setup, steps: i64, fault: &str, sets: &[&str]) {
    let done = train(setup, steps, Some(fault), sets);
    assert_eq!(done.code, None, "{fault}: a signal ended it\n{done}");
}

/// The results of a run that is not killed.
fn uninterrupted(sets: &[&str]) -> Results {
    let setup = setup();
    train(&setup, STEPS, None, sets).ended_with(0);
    results(&setup.run())
}

#[test]
fn a_run_killed_before_any_step_ends_with_the_same_results() {
    let wanted = uninterrupted(&[]);
    // The first and the last step, those before and after a checkpoint, and one between two.
    let some = vec![1, 3, 4, 8, STEPS];
    for step in scope::tier(some, (1..=STEPS).collect()) {
        let setup = setup();
        die(&setup, STEPS, &format!("step:{step}"), &[]);
        let done = train(&setup, STEPS, None, &[]).ended_with(0);
        let last = (step - 1) / 3 * 3;
        if last > 0 {
            done.complains(&[&format!("resuming after step {last}")]);
        }
        assert_same(&results(&setup.run()), &wanted, &format!("killed at step {step}"));
        assert_balanced(&setup.table("streams"));
        assert_finished(&setup.run());
        let told = setup.table("events").text("kind");
        assert!(told.iter().any(|it| it == "resume"), "{told:?}");
    }
}

#[test]
fn a_run_killed_at_any_point_of_a_checkpoint_ends_with_the_same_results() {
    // Every point once, and then some of them at another passing.
    const FAULTS: [&str; 8] = [
        "checkpoint before sync:8",
        "checkpoint sealed:2",
        "checkpoint before rename:3",
        "checkpoint after rename:1",
        "checkpoint removed by name:1",
        "checkpoint before sync:1",
        "checkpoint before rename:1",
        "checkpoint after rename:2",
    ];
    let wanted = uninterrupted(&[]);
    for fault in scope::tier(&FAULTS[..5], &FAULTS) {
        let setup = setup();
        die(&setup, STEPS, fault, &[]);
        train(&setup, STEPS, None, &[]).ended_with(0);
        assert_same(&results(&setup.run()), &wanted, fault);
        assert_finished(&setup.run());
    }
}

#[test]
fn a_run_killed_five_times_ends_with_the_same_results() {
    let (wanted, setup) = (uninterrupted(&[]), setup());
    for step in [5, 2, 4, 5, 3] {
        die(&setup, STEPS, &format!("step:{step}"), &[]);
    }
    train(&setup, STEPS, None, &[]).ended_with(0);
    assert_same(&results(&setup.run()), &wanted, "five kills");
    assert_finished(&setup.run());
}

/// Every method, with small networks.
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
fn every_method_resumes_exactly() {
    for method in METHODS {
        let name = format!("model.method={{ {method} }}");
        let sets = [name.as_str(), "pipeline.clip.frames=4"];
        let [uninterrupted, killed] = [(); 2].map(|()| setup());
        train(&uninterrupted, 5, None, &sets).ended_with(0);
        die(&killed, 5, "step:5", &sets);
        train(&killed, 5, None, &sets).ended_with(0).complains(&["resuming after step 3"]);
        assert_same(&results(&killed.run()), &results(&uninterrupted.run()), method);
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
    let seen = results(&killed.run());
    assert_same(&seen, &results(&uninterrupted.run()), "a frozen encoder");
    let norm = "student: frame_encoder.norm.weight";
    assert_eq!(seen.tensors[norm], results(&from.run()).tensors[norm], "it did not move");
}

#[test]
fn a_finished_run_resumes_when_more_steps_are_asked_for() {
    let (wanted, setup) = (uninterrupted(&[]), setup());
    train(&setup, 7, None, &[]).ended_with(0);
    let sets = ["checkpoint.keep_last=4", "log_every=2"];
    let done = train(&setup, STEPS, None, &sets).ended_with(0);
    let done = done.complains(&["resuming after step 7", "model.train.steps: 7 before, 12 now"]);
    done.prints(&["12 steps, 5 of them in"]);
    let seen = results(&setup.run());
    // A run logs its last step as well, which is not due here.
    let of = |results: &Results| -> Vec<_> {
        results.metrics.iter().filter(|it| it.1 == "loss" && it.0 != 7).cloned().collect()
    };
    assert_eq!(of(&seen), of(&wanted));
    let done = train(&setup, STEPS, None, &[]).ended_with(0);
    done.complains(&["has done its 12 steps", "--fresh"]);
}

#[test]
fn a_full_disk_ends_the_run_which_resumes_when_there_is_space() {
    let (wanted, setup) = (uninterrupted(&[]), setup());
    die(&setup, STEPS, "step:5", &[]);
    let run = setup.command("train", &["model.train.steps=100000", "checkpoint.every_steps=3"]);
    let mut limited = std::process::Command::new("bash");
    // Beyond the limit a write is an error, as on a full disk, because the signal is ignored.
    limited.args(["-c", "trap '' XFSZ; ulimit -f 30; exec \"$@\"", "bash"]);
    limited.arg(run.get_program()).args(run.get_args()).args(["--set", "model.train.warmup=2"]);
    let done = finish(limited).ended_with(1);
    let done = done.complains(&["resuming after step 3", "disk has room"]);
    assert_eq!(newest(&setup.run()).file_name().unwrap(), "step-00000003", "{done}");
    train(&setup, STEPS, None, &[]).ended_with(0).complains(&["resuming after step 3"]);
    assert_same(&results(&setup.run()), &wanted, "a full disk");
    assert_finished(&setup.run());
}

/// Changes one bit in the middle of a file.
fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    fs::write(path, bytes).unwrap();
}

/// Removes the second half of a file.
fn cut(path: &Path) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
}

#[test]
fn a_damaged_checkpoint_is_superseded_by_the_one_before_it() {
    let wanted = uninterrupted(&[]);
    let setup = setup();
    die(&setup, STEPS, "step:8", &[]);
    let original = setup.path("runs/original");
    fs::rename(setup.run(), &original).unwrap();
    let files = fs::read_dir(original.join("checkpoints/step-00000006")).unwrap();
    let files: Vec<_> = files.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(files.len(), 8, "{files:?}");
    let [one, other] = [flip as fn(&Path), cut];
    let both = files.iter().flat_map(|it| [(it, one), (it, other)]);
    let in_turn = files.iter().zip([one, other].into_iter().cycle());
    for (name, damage) in scope::tier(in_turn.collect(), both.collect::<Vec<_>>()) {
        copy(&original, &setup.run());
        damage(&setup.run().join("checkpoints/step-00000006").join(name));
        let done = train(&setup, STEPS, None, &[]).ended_with(0);
        done.complains(&["step-00000006 is damaged", "resuming after step 3"]);
        assert_same(&results(&setup.run()), &wanted, name);
        assert!(setup.run().join("superseded/step-00000006-1").is_dir());
        fs::remove_dir_all(setup.run()).unwrap();
    }
    copy(&original, &setup.run());
    for step in [3, 6] {
        flip(&setup.run().join(format!("checkpoints/step-{step:08}/student.safetensors")));
    }
    let before = support::tree(&setup.run());
    train(&setup, STEPS, None, &[]).ended_with(1).complains(&["all 2 checkpoints", "--fresh"]);
    assert!(support::tree(&setup.run()) == before, "something was touched");
}

#[test]
fn another_model_is_refused_by_its_keys_and_the_run_stays_as_it_is() {
    let setup = setup();
    train(&setup, 4, None, &[]).ended_with(0);
    let before = support::tree(&setup.run());
    let sets = ["model.encoder.dim=48", "model.train.learning_rate=1e-2", "log_every=5"];
    let done = train(&setup, 8, None, &sets).ended_with(1);
    let done = done.complains(&[
        "model.encoder.dim: 24 before, 48 now",
        "model.train.learning_rate: 0.001 before, 0.01 now",
        "--fresh",
    ]);
    assert!(!done.stderr.contains("\n  log_every"), "{done}");
    assert!(support::tree(&setup.run()) == before, "something was touched");
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
fn a_fresh_run_moves_the_one_before_it_away() {
    let setup = setup();
    train(&setup, 4, None, &[]).ended_with(0);
    let before = support::files(&setup.run());
    let mut command = setup.command("train", &["model.train.steps=6", "model.encoder.dim=48"]);
    command.arg("--fresh");
    finish(command).ended_with(0).complains(&["the run that was there is now"]);
    assert_eq!(results(&setup.run()).metrics.last().unwrap().0, 6);
    let kept = support::files(&setup.path("runs/first.1"));
    let bytes = |all: Vec<(PathBuf, Vec<u8>)>| all.into_iter().map(|it| it.1).collect::<Vec<_>>();
    assert!(bytes(kept) == bytes(before), "the files differ from before");
}

#[test]
fn finite_streams_end_at_the_same_step_after_a_kill() {
    let streams = [once("street", media("street.mp4")), once("tree", media("tree.mp4"))];
    let [uninterrupted, killed] = [(); 2].map(|()| Setup::new(&streams));
    let done = train(&uninterrupted, 100_000, None, &[]).ended_with(0);
    let steps = results(&uninterrupted.run()).metrics.last().unwrap().0;
    assert!((20..1000).contains(&steps), "{steps} steps\n{done}");
    die(&killed, 100_000, &format!("step:{}", steps - 1), &[]);
    train(&killed, 100_000, None, &[]).ended_with(0);
    assert_same(&results(&killed.run()), &results(&uninterrupted.run()), "finite streams");
    let sums = |setup: &Setup| setup.table("streams").sums("decoded");
    assert_eq!(sums(&killed), sums(&uninterrupted));
}
