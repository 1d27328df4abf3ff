//! The program as the first process of a container, for which the kernel ignores every signal
//! that has no handler.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use support::scope::skip_refused;
use support::{Running, Setup, assert_balanced, assert_finished, looped, media, onward};

/// Exit status of a shell for a program that SIGTERM ended.
const TERMINATED: i32 = 143;

/// A command that starts `command` as the first process of a namespace; none where the system
/// refuses.
fn first_process(command: &Command) -> Option<Command> {
    let namespace = ["--pid", "--fork", "--kill-child", "--mount-proc"];
    let as_root: &[&str] = &[];
    let works = |user: &&[&str]| {
        let tried = Command::new("unshare").args(*user).args(namespace).arg("true").output();
        tried.is_ok_and(|tried| tried.status.success())
    };
    let Some(user) = [as_root, &["--user", "--map-root-user"]].into_iter().find(works) else {
        skip_refused("unshare");
        return None;
    };
    let mut outer = Command::new("unshare");
    outer.args(user).args(namespace).arg(command.get_program()).args(command.get_args());
    Some(outer)
}

/// Sends SIGTERM to the first process, as a container runtime does from outside.
fn terminate(running: &Running) {
    let id = running.id();
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
    assert!(support::processes::send(children.trim().parse().unwrap(), "TERM"), "{children}");
}

/// Waits until the program reads a file that cannot be read to its end.
fn blocked_at(fifo: &Path) -> File {
    File::options().write(true).open(fifo).unwrap()
}

fn make_fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn a_request_to_terminate_saves_a_checkpoint() {
    let setup = Setup::new(&[looped("street", media("street.mp4"))]);
    let Some(command) = first_process(&setup.command("train", &["model.train.steps=1000000"]))
    else {
        return;
    };
    let mut running = Running::start(command);
    running.wait_for("step 1/1000000");
    terminate(&running);
    let done = running.finish().ended_with(0);
    done.complains(&["interrupted: saving after step"]).prints(&["street: stopped"]);
    let checkpoints = fs::read_dir(setup.run().join("checkpoints")).unwrap();
    assert_eq!(checkpoints.count(), 1);
    assert_finished(&setup.run());
    assert_balanced(&setup.table("streams"));
    // A run that resumes is the first process again.
    let more = setup.command("train", &["model.train.steps=1000000"]);
    let mut running = Running::start(first_process(&more).unwrap());
    running.wait_for("resuming after step");
    terminate(&running);
    running.finish().ended_with(0);
}

#[test]
fn a_request_to_terminate_ends_a_check() {
    let camera = TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("rtsp://{}/silent", camera.local_addr().unwrap());
    let stream =
        format!("\n[[pipeline.stream]]\nname = \"silent\"\nsource = {{ uri = \"{uri}\" }}\n");
    let setup = Setup::new(&[stream]);
    let Some(command) = first_process(&setup.command("check", &[])) else { return };
    let running = Running::start(command);
    let connection = camera.accept().unwrap();
    terminate(&running);
    running.finish().ended_with(TERMINATED);
    drop(connection);
}

#[test]
fn a_request_to_terminate_ends_a_compaction() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("metrics")).unwrap();
    let config = folder.path().join("config.toml");
    make_fifo(&config);
    let Some(command) = first_process(&with_path("compact", folder.path())) else { return };
    let running = Running::start(command);
    let blocked = blocked_at(&config);
    terminate(&running);
    running.finish().ended_with(TERMINATED);
    drop(blocked);
}

#[test]
fn a_request_to_terminate_ends_an_export_and_saves_embeddings() {
    let setup = Setup::new(&[looped("street", media("street.mp4"))]);
    setup.train(&["model.train.steps=2"]).ended_with(0);
    let checkpoint = setup.run().join("checkpoints/step-00000002");

    let camera = TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("rtsp://{}/silent", camera.local_addr().unwrap());
    let source = format!("pipeline.stream.0.source={{ uri = \"{uri}\" }}");
    let mut command = setup.command("embed", &[&source, "pipeline.stream.0.loop=false"]);
    command.arg("--checkpoint").arg(&checkpoint).arg("--out").arg(setup.path("embeddings"));
    let Some(command) = first_process(&command) else { return };
    let running = Running::start(command);
    let connection = camera.accept().unwrap();
    terminate(&running);
    running.finish().ended_with(0).complains(&["interrupted: the same command resumes"]);
    drop(connection);

    // The card's metrics are the last thing that an export reads.
    fs::remove_file(checkpoint.join("state.json")).unwrap();
    make_fifo(&checkpoint.join("state.json"));
    let mut command = with_path("export", &checkpoint);
    command.arg("--out").arg(setup.path("exported"));
    let running = Running::start(first_process(&command).unwrap());
    let blocked = blocked_at(&checkpoint.join("state.json"));
    terminate(&running);
    running.finish().ended_with(TERMINATED);
    drop(blocked);
}

fn with_path(name: &str, path: impl AsRef<OsStr>) -> Command {
    let mut command = onward(&[name]);
    command.arg(path.as_ref());
    command
}
