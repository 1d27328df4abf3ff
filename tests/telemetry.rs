//! The telemetry of a stream, as `onward check` reports it.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;

use support::{Done, Setup, finish, looped, media};

/// Checks a stream with this telemetry, or with a file that is missing. Returns the file's path.
fn check(text: Option<&str>) -> (String, Done) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cup.csv");
    if let Some(text) = text {
        fs::write(&path, text).unwrap();
    }
    let path = path.to_str().unwrap().to_owned();
    let stream = looped("cup", media("cup.mp4")) + &format!("telemetry = \"{path}\"\n");
    let done = finish(Setup::new(&[stream]).command("check", &[]));
    (path, done)
}

#[test]
fn a_check_describes_the_telemetry() {
    let (path, done) = check(Some("time,yaw,pitch\n0,1,2\n4.5,,2\n8,1,2\n"));
    done.ended_with(0).prints(&[
        &format!("    telemetry: {path}"),
        "3 rows from 0.00 s to 8.00 s, 1 of them incomplete; yaw, pitch",
    ]);
}

#[test]
fn a_bad_file_is_named_and_fails_the_check() {
    for (text, says) in [
        (None, "cannot be read"),
        (Some("yaw\n1\n"), "no column `time`"),
        (Some("time,yaw\n1,1\n0,1\n"), "sort the rows by `time`"),
        (Some("time,yaw\n0,left\n"), "\"left\", not a number"),
    ] {
        let (path, done) = check(text);
        let done = done.ended_with(1).complains(&["error: one file"]);
        done.prints(&["cup: ", "BAD stream \"cup\": telemetry", &path, says]);
    }
}
