//! Configs that cannot be run: `check` and `train` name the file, the line and the key, end with
//! exit status 78, and write nothing.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;

use support::{Done, Setup, finish, looped, media, onward};

const BAD_CONFIG: i32 = 78;

/// Both commands refuse a config, and neither writes anything.
fn refused(setup: &Setup, sets: &[&str], parts: &[&str]) {
    for name in ["check", "train"] {
        let done: Done = finish(setup.command(name, sets)).ended_with(BAD_CONFIG);
        assert_eq!(done.stdout, "", "{name} has nothing to report yet");
        done.complains(&["error: "]).complains(parts);
        assert!(!setup.path("runs").exists(), "{name} left something on disk");
    }
}

/// Both commands name the line and the key when `bad` replaces `good` in a valid config.
fn wrong([good, bad, key, says]: [&str; 4]) {
    let streams = ["tree", "cup"].map(|it| looped(it, media(&format!("{it}.mp4"))));
    let setup = Setup::new(&streams);
    let text = fs::read_to_string(setup.config()).unwrap();
    let at = text.find(good).unwrap_or_else(|| panic!("{good:?} is not in the config"));
    let line = 1 + text[..at].matches('\n').count();
    fs::write(setup.config(), text.replacen(good, bad, 1)).unwrap();
    let place = format!("{}:{line}: {key}", setup.config().display());
    refused(&setup, &[], &[&place, says]);
}

#[test]
fn a_key_that_does_not_exist() {
    for case in [
        ["embed_every = 4", "embed_evry = 4", "embed_evry", "unknown field"],
        ["depth = 1", "deepth = 1", "model.encoder.deepth", "unknown field"],
        ["loop = true", "looop = true", "pipeline.stream[0].looop", "unknown field"],
        ["warmup = 4", "warm_up = 4", "model.train.warm_up", "unknown field"],
        ["dir = ", "rows = 3\ndir = ", "storage.rows", "unknown field"],
        ["name = \"tdv\"", "momentun = 0.9\nname = \"tdv\"", "model.method.momentun", "unknown"],
    ] {
        wrong(case);
    }
}

/// serde names only the outer table of an enum that is tagged by its `name`.
#[test]
fn a_key_that_does_not_exist_inside_a_method() {
    wrong(["hidden = 32", "hiden = 32", "model.method.head.hiden", "unknown field"]);
}

#[test]
fn a_value_of_another_type() {
    for case in [
        ["seed = 1", "seed = \"one\"", "seed", "invalid type"],
        ["size = [32, 32]", "size = [32]", "pipeline.size", "length"],
        ["size = [32, 32]", "size = 32", "pipeline.size", "invalid type"],
        ["steps = 10", "steps = -1", "model.train.steps", "-1"],
        ["loop = true", "loop = \"yes\"", "pipeline.stream[0].loop", "invalid type"],
    ] {
        wrong(case);
    }
}

#[test]
fn a_value_that_cannot_be_used() {
    for case in [
        ["log_every = 2", "log_every = 0", "log_every", "at least 1"],
        ["device = \"cpu\"", "device = \"tpu\"", "device", "cuda"],
        ["name = \"tdv\"", "name = \"jepa\"", "model.method", "tdv"],
        ["heads = 3", "heads = 5", "model.encoder.heads", "does not divide"],
        ["patch = 8", "patch = 7", "model.encoder.patch", "does not divide"],
        ["steps = 10", "steps = 0", "model.train.steps", "at least 1"],
        ["learning_rate = 1e-3", "learning_rate = nan", "model.train.learning_rate", "above 0"],
        ["dir = ", "rows_per_part = 0\ndir = ", "storage.rows_per_part", "at least 1"],
        ["name = \"cup\"", "name = \"tree\"", "pipeline.stream[1].name", "another stream is named"],
        ["clip = { frames = 3", "clip = { frames = 1", "pipeline.clip.frames", "at least 2"],
    ] {
        wrong(case);
    }
}

/// Of two lines with the same key the second is named.
#[test]
fn a_key_that_is_there_twice() {
    wrong(["heads = 3", "depth = 2\nheads = 3", "", "duplicate key"]);
}

#[test]
fn text_that_is_not_toml() {
    wrong(["heads = 3", "heads = ", "", "string values must be quoted"]);
    wrong(["[model.encoder]", "[model.encoder", "", "table"]);
}

#[test]
fn a_config_that_is_not_there() {
    for name in ["check", "train"] {
        let done = finish(onward(&[name, "/no/such.toml"])).ended_with(BAD_CONFIG);
        done.complains(&["/no/such.toml", "cannot be read", "check the path"]);
    }
}

#[test]
fn a_replaced_value_that_cannot_be_used() {
    let setup = Setup::new(&[looped("tree", media("tree.mp4"))]);
    for (set, says) in [
        ("model.train.stepps=3", "stepps"),
        ("model.train.steps=many", "model.train.steps=many"),
        ("pipeline.stream.7.name=x", "is not an index below 1"),
        ("model.train.steps", "key=value"),
        ("model.encoder.heads=5", "model.encoder.heads"),
    ] {
        refused(&setup, &[set], &[setup.config().to_str().unwrap(), says]);
    }
}

#[test]
#[cfg(not(feature = "cuda"))]
fn a_device_that_the_program_was_built_without() {
    wrong(["device = \"cpu\"", "device = \"cuda\"", "device", "build it with `--features cuda`"]);
}
