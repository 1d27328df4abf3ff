//! `onward check` on the config that a newcomer runs first, and what `--quiet` still prints.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::process::Stdio;

use support::{Setup, finish, has_extension, looped, media, onward};

#[test]
fn the_report_names_files_networks_speed_and_memory() {
    let done = finish(onward(&["check", "configs/quickstart.toml"])).ended_with(0);
    assert_eq!(done.stderr, "", "{done}");
    let done = done.prints(&["networks", "parameters", "clips/s", "host memory: at most", "MiB"]);
    let lines: Vec<&str> = done.stdout.lines().map(str::trim).collect();
    let after = |name: &str| {
        let found = lines.iter().position(|it| it.starts_with(name));
        lines[found.unwrap_or_else(|| panic!("no {name} in\n{done}")) + 1]
    };
    for (name, expected) in [
        ("street:", "480 x 360, 10.00 frames/s, 60.0 s, rotation 0°"),
        ("tree:", "320 x 240, 15.00 frames/s, 29.9 s, rotation 0°"),
        ("cup:", "320 x 240, 26.78 frames/s, 8.1 s, rotation 0°"),
    ] {
        let found = after(name);
        assert!(found.starts_with("H.264") && found.ends_with(expected), "{name} {found}");
    }
    for network in ["frame encoder", "motion encoder", "head"] {
        let line = lines.iter().find(|it| it.starts_with(network)).unwrap();
        assert!(number_before(line, " parameters") > 1000.0, "{line}");
    }
    for (name, unit) in [
        ("streams deliver:", " clips/s"),
        ("networks take:", " clips/s"),
        ("together:", " clips/s"),
        ("host memory:", " MiB"),
        ("tables:", " rows per hour"),
    ] {
        let line = lines.iter().find(|it| it.starts_with(name)).unwrap();
        assert!(number_before(line, unit) > 0.0, "{line}");
    }
}

/// The number in front of a unit.
fn number_before(line: &str, unit: &str) -> f64 {
    let text = line.split(unit).next().unwrap().rsplit(' ').next().unwrap();
    text.replace(',', "").parse().unwrap_or_else(|_| panic!("no number before {unit:?}: {line}"))
}

/// With 0 steps a config is refused for that reason only, before its networks are built.
#[test]
fn every_config_of_the_repository_is_valid() {
    let configs = fs::read_dir("configs").unwrap().map(|it| it.unwrap().path());
    let configs: Vec<_> = configs.filter(|it| has_extension(it, "toml")).collect();
    assert!(configs.len() >= 4, "{configs:?}");
    for path in configs {
        let mut command = onward(&["check", "--set", "model.train.steps=0", "--set", "device=cpu"]);
        command.env("CAMERA_USER", "viewer").env("CAMERA_PASSWORD", "of-nobody");
        command.arg(&path);
        let place = format!("error: {}", path.display());
        finish(command).ended_with(78).complains(&[&place, "model.train.steps: ", "at least 1"]);
    }
}

#[test]
fn a_check_leaves_nothing_on_disk() {
    let setup = Setup::new(&[looped("cup", media("cup.mp4"))]);
    finish(setup.command("check", &[])).ended_with(0);
    assert!(!setup.path("runs").exists());
}

#[test]
fn a_quiet_run_prints_nothing() {
    let setup = Setup::new(&[looped("cup", media("cup.mp4"))]);
    let mut command = setup.command("train", &[]);
    command.arg("--quiet");
    let done = finish(command).ended_with(0);
    assert_eq!((&done.stdout[..], &done.stderr[..]), ("", ""));
    assert!(setup.table("metrics").rows() > 0);
}

#[test]
fn a_quiet_run_still_prints_errors() {
    let setup = Setup::new(&[looped("cup", "/no/such.mp4")]);
    let mut command = setup.command("train", &[]);
    command.arg("--quiet");
    finish(command).ended_with(1).complains(&["cup", "/no/such.mp4"]);
}

#[test]
fn a_closed_pipe_is_not_an_error() {
    for name in ["train", "check"] {
        let setup = Setup::new(&[looped("cup", media("cup.mp4"))]);
        let mut command = setup.command(name, &[]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        drop((child.stdout.take(), child.stderr.take()));
        let status = child.wait().unwrap();
        assert_eq!(status.code(), Some(0), "{name} into a closed pipe: {status}");
    }
}
