//! `onward replay` repeats the steps before a loss that is not finite, and names what went wrong
//! first.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::path::Path;

use safetensors::SafeTensors;
use support::{Done, Setup, finish, looped, media, onward};

const SETS: [&str; 8] = [
    "model.train.steps=1000",
    "model.train.learning_rate=1e30",
    "model.train.warmup=0",
    "model.train.weight_decay=0",
    "model.train.grad_clip=1e30",
    "log_every=50",
    "checkpoint.every_steps=1",
    "checkpoint.keep_last=1",
];

/// A run whose loss soon is not finite, with a checkpoint at every step before that.
fn diverged(sets: &[&str]) -> (Setup, u64) {
    diverged_over(Path::new(&media("street.mp4")), sets)
}

fn diverged_over(video: &Path, sets: &[&str]) -> (Setup, u64) {
    let setup = Setup::new(&[looped("street", video)]);
    let done = setup.train(&[&SETS, sets].concat()).ended_with(1);
    let done = done.complains(&["training diverged", "onward replay"]);
    let (_, step) = done.stderr.split_once("at step ").unwrap();
    let step = step.split(';').next().unwrap().parse().unwrap();
    (setup, step)
}

fn replay(setup: &Setup) -> Done {
    finish(onward(&["replay", setup.run().to_str().unwrap()]))
}

#[test]
fn the_first_values_that_are_not_finite_are_named_with_their_clips() {
    let (setup, step) = diverged(&[]);
    let before = support::tree(&setup.run());
    let done = replay(&setup).ended_with(0);
    let said = done.stdout.lines().next().unwrap().to_owned();
    let at: u64 = said.split([' ', ':']).nth(1).unwrap().parse().unwrap();
    // The weights or gradients of the step before may be the first that are not finite.
    assert!(at <= step && at + 1 >= step, "{said} and the loss of step {step}\n{done}");
    let done = done.prints(&["the first numbers that are not finite", "its clips"]);
    assert!(done.stdout.contains("street.mp4 at "), "{done}");
    assert!(support::tree(&setup.run()) == before, "a replay writes nothing");
}

#[test]
fn kept_batches_are_replayed_without_their_streams() {
    let folder = tempfile::tempdir().unwrap();
    let video = folder.path().join("street.mp4");
    fs::copy(media("street.mp4"), &video).unwrap();
    let [(kept, _), (again, _)] = ["true", "false"]
        .map(|it| diverged_over(&video, &[&format!("checkpoint.keep_batches={it}")]));
    let wanted = replay(&again).ended_with(0).stdout;
    fs::remove_file(&video).unwrap();
    assert_eq!(replay(&kept).ended_with(0).stdout, wanted, "the same numbers either way");
    for batch in fs::read_dir(kept.run().join("replay")).unwrap() {
        let path = batch.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    }
    replay(&kept).ended_with(1).complains(&[".batch", "is cut off"]);
}

#[test]
fn the_layer_that_overflows_is_named() {
    for layer in ["frame_encoder.blocks.0.mlp.fc1", "motion_encoder.blocks.0.cross_attn.kv"] {
        let setup = Setup::new(&[looped("street", media("street.mp4"))]);
        setup.train(&["model.train.steps=3"]).ended_with(0);
        let folder = setup.run().join("checkpoints/step-00000003");
        let weights = folder.join("student.safetensors");
        fill(&weights, &format!("{layer}.weight"), 1e38);
        let mut sums = std::process::Command::new("bash");
        sums.args([
            "-c",
            "sums=$(sha256sum *.safetensors *.json *.rgb); echo \"$sums\" > SHA256SUMS",
        ]);
        assert!(sums.current_dir(&folder).status().unwrap().success());
        let done =
            replay(&setup).ended_with(0).prints(&["step 4: the first numbers", "the output of"]);
        let named = done.stdout.lines().find(|it| it.contains("the output of")).unwrap();
        assert!(named.contains(&format!("the output of {layer}:")), "{done}");
    }
}

/// Sets every element of a tensor of a file.
fn fill(path: &Path, name: &str, number: f32) {
    let mut bytes = fs::read(path).unwrap();
    let (length, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let (from, to) = header.info(name).unwrap().data_offsets;
    let data = &mut bytes[8 + length..];
    data[from..to].chunks_exact_mut(4).for_each(|it| it.copy_from_slice(&number.to_le_bytes()));
    fs::write(path, bytes).unwrap();
}

#[test]
fn steps_with_finite_values_are_counted() {
    let setup = Setup::new(&[looped("street", media("street.mp4"))]);
    setup.train(&["model.train.steps=3"]).ended_with(0);
    let mut command = onward(&["replay", setup.run().to_str().unwrap(), "--steps", "4"]);
    command.arg("--quiet");
    finish(command).ended_with(0).prints(&["4 steps repeated, up to step 7", "every number is"]);

    let folder = tempfile::tempdir().unwrap();
    let video = folder.path().join("street.mp4");
    fs::copy(media("street.mp4"), &video).unwrap();
    let gone = Setup::new(&[looped("street", &video)]);
    gone.train(&["model.train.steps=3"]).ended_with(0);
    fs::remove_file(&video).unwrap();
    replay(&gone).ended_with(1).complains(&["steps could be repeated", "street.mp4"]);
    let done = finish(onward(&["replay", setup.path("none").to_str().unwrap()])).ended_with(1);
    done.complains(&["is not a run or an intact checkpoint"]);
}
