//! What a newcomer and an operator meet first: the config to start from, completions, and logs.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::Value;
use support::{Setup, Table, finish, looped, media, onward};

#[test]
fn the_config_to_start_from_trains() {
    let done = finish(onward(&["init"])).ended_with(0);
    assert_eq!(done.stderr, "");
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("mine.toml");
    fs::write(&config, &done.stdout).unwrap();
    let run = folder.path().join("run");
    let mut command = onward(&["train"]);
    command.arg(&config);
    for set in [
        &format!("pipeline.stream.0.source.files={}", media("tree.mp4")),
        "pipeline.size=[32, 32]",
        "pipeline.clip={ frames = 3, interval = 0.2 }",
        "pipeline.batch={ clips = 4, pool = 8 }",
        "model.encoder={ patch = 8, dim = 24, depth = 1, heads = 3 }",
        "model.method.head={ hidden = 32, bottleneck = 16, prototypes = 32 }",
        "model.train.steps=2",
        "device=cpu",
        &format!("storage.dir={}", run.display()),
    ] {
        command.args(["--set", set]);
    }
    finish(command).ended_with(0).prints(&["archive: stopped"]);
    assert_eq!(Table::read(&run, "metrics").metric("loss").len(), 2);
}

#[test]
fn completions_know_every_command_and_flag() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let done = finish(onward(&["completions", shell])).ended_with(0);
        done.prints(&["train", "replay", "completions", "log-format", "fresh"]);
    }
    let script = finish(onward(&["completions", "bash"])).ended_with(0).stdout;
    let mut bash = Command::new("bash").arg("-n").stdin(Stdio::piped()).spawn().unwrap();
    bash.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(bash.wait().unwrap().success(), "bash cannot read the script");
    finish(onward(&["completions", "cmd"])).ended_with(2).complains(&["bash"]);
}

/// Whether a text looks like 2026-01-31T12:34:56.789Z, with any number of digits after the dot.
fn is_timestamp(text: &str) -> bool {
    let pattern = "0000-00-00T00:00:00";
    let matches = |(letter, wanted): (char, char)| match wanted {
        '0' => letter.is_ascii_digit(),
        wanted => letter == wanted,
    };
    text.len() > pattern.len()
        && text.ends_with('Z')
        && text.chars().zip(pattern.chars()).all(matches)
}

#[test]
fn log_lines_have_timestamps_outside_of_a_terminal() {
    let setup = Setup::new(&[looped("tree", media("tree.mp4"))]);
    let done = setup.train(&[]).ended_with(0);
    assert!(done.stderr.contains("step 10/10"), "{done}");
    for line in done.stderr.lines() {
        let mut words = line.split_whitespace();
        assert!(words.next().is_some_and(is_timestamp), "{line}");
        assert_eq!(words.next(), Some("INFO"), "{line}");
    }
}

#[test]
fn json_logs_are_one_object_per_line() {
    let missing = looped("missing", "/no/such.mp4");
    let setup = Setup::new(&[looped("tree", media("tree.mp4")), missing]);
    let mut command = setup.command("train", &["storage.rows_per_part=1"]);
    command.args(["--log-format", "json", "--verbose"]);
    let done = finish(command).ended_with(0);
    let lines: Vec<Value> =
        done.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for line in &lines {
        assert!(is_timestamp(line["timestamp"].as_str().unwrap()), "{line}");
        assert!(line["message"].is_string(), "{line}");
    }
    let has = |level: &str, part: &str| {
        lines
            .iter()
            .any(|line| line["level"] == level && line["message"].as_str().unwrap().contains(part))
    };
    assert!(has("INFO", "step 10/10"), "{done}");
    assert!(has("ERROR", "/no/such.mp4"), "{done}");
    // Fields of a message are keys of their own.
    assert!(lines.iter().any(|line| line["table"] == "metrics"), "{done}");
}

#[test]
fn the_error_of_a_command_is_a_json_line_too() {
    let done = finish(onward(&["check", "/no/such.toml", "--log-format", "json"])).ended_with(78);
    let line: Value = serde_json::from_str(done.stderr.trim()).unwrap();
    assert_eq!(line["level"], "ERROR");
    assert!(line["message"].as_str().unwrap().contains("/no/such.toml: cannot be read"), "{line}");
}
