//! `onward embed`: the encoder of a checkpoint embeds every clip of any streams.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::path::PathBuf;

use support::{Done, Setup, Table, finish, looped, media};

/// A finished run, and the folder of its checkpoint.
fn trained() -> (Setup, PathBuf) {
    let setup =
        Setup::new(&[looped("street", media("street.mp4")), looped("cup", media("cup.mp4"))]);
    setup.train(&["model.train.steps=6", "model.encoder.depth=2"]).ended_with(0);
    let checkpoint = setup.run().join("checkpoints/step-00000006");
    (setup, checkpoint)
}

fn embed(setup: &Setup, out: &str, more: &[&str], fault: Option<&str>) -> Done {
    let checkpoint = setup.run().join("checkpoints/step-00000006");
    let mut command = setup.command("embed", &["checkpoint.every_steps=2"]);
    command.arg("--checkpoint").arg(checkpoint).arg("--out").arg(setup.path(out)).args(more);
    if let Some(fault) = fault {
        command.env("ONWARD_FAULT", fault);
    }
    finish(command)
}

/// Stream, time and embedding of every row.
fn rows(setup: &Setup, out: &str) -> Vec<(String, u64, Vec<u32>)> {
    let table = Table::read(&setup.path(out), "embeddings");
    let bits = |it: Vec<f32>| it.into_iter().map(f32::to_bits).collect();
    let rows = table.text("stream").into_iter().zip(table.reals("pts")).zip(table.vectors());
    rows.map(|((stream, pts), it)| (stream, pts.to_bits(), bits(it))).collect()
}

#[test]
fn every_clip_is_embedded_once_with_its_time() {
    let (setup, _) = trained();
    let done = embed(&setup, "all", &["--tokens", "cls,mean,patches", "--layers", "1,2"], None);
    let done = done.ended_with(0).prints(&["embeddings in", "per second", "decoded frames"]);
    let all = rows(&setup, "all");
    let streams = Table::read(&setup.path("all"), "streams");
    let clips: i64 = streams.sums("clips").values().sum();
    assert_eq!(all.len() as i64, clips, "{done}");
    assert!(clips % 4 != 0, "the last batch is a smaller one: {clips}");
    let mut times: Vec<_> = all.iter().map(|it| (it.0.clone(), it.1)).collect();
    times.sort();
    times.dedup();
    assert_eq!(times.len(), all.len(), "a time of a stream twice");
    let table = Table::read(&setup.path("all"), "embeddings");
    for (name, width) in [("mean_1", 24), ("patches_1", 24 * 16), ("cls_2", 24), ("patches_2", 384)]
    {
        assert_eq!(table.width(name), width, "{name}");
    }
}

#[test]
fn a_killed_command_resumes_and_ends_with_the_same_rows() {
    let (setup, _) = trained();
    embed(&setup, "whole", &[], None).ended_with(0);
    for fault in ["embed batch:1", "embed batch:5", "checkpoint before rename:2"] {
        let out = fault.replace([' ', ':'], "-");
        assert_eq!(embed(&setup, &out, &[], Some(fault)).code, None, "{fault} kills it");
        embed(&setup, &out, &[], None).ended_with(0);
        assert_eq!(rows(&setup, &out), rows(&setup, "whole"), "{fault}");
    }
    let again = embed(&setup, "whole", &[], None).ended_with(0);
    again.prints(&["0 embeddings in"]);
    embed(&setup, "whole", &["--tokens", "mean"], None).ended_with(1).complains(&["--out"]);
}

#[test]
fn unreadable_streams_are_an_error_when_none_is_left() {
    let (setup, _) = trained();
    let missing = setup.path("missing.mp4").display().to_string();
    let streams = [0, 1].map(|it| format!("pipeline.stream.{it}.source={{ files = '{missing}' }}"));
    let sets = [&["--set", &streams[0]][..], &["--set", &streams[1]]].concat();
    let done = embed(&setup, "none", &sets, None).ended_with(1);
    done.complains(&["missing.mp4", "all 2 failed"]);
    let done = embed(&setup, "some", &sets[..2], None).ended_with(0);
    done.prints(&["street FAILED, see above"]);
}

#[test]
fn a_damaged_checkpoint_and_a_missing_layer_are_refused() {
    let (setup, checkpoint) = trained();
    let weights = checkpoint.join("encoder.safetensors");
    let bytes = fs::read(&weights).unwrap();
    fs::write(&weights, &bytes[1..]).unwrap();
    let done = embed(&setup, "none", &[], None).ended_with(1);
    done.complains(&[
        "is not an intact checkpoint",
        "encoder.safetensors is not as it was written",
    ]);
    fs::write(&weights, bytes).unwrap();
    let done = embed(&setup, "none", &["--layers", "3"], None).ended_with(1);
    done.complains(&["there is no layer 3", "1 to 2"]);
}
