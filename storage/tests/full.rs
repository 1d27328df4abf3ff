//! A full disk ends the writing with a helpful error, damages no closed part, and the run resumes
//! when there is room.

// Clippy knows a test by its attribute, and not the functions that tests share.
#![allow(clippy::unwrap_used)]

mod run;

use std::env;
use std::error::Error as _;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::process::{Command, Stdio};

use storage::{Error, Record};

use run::sequence::rows;
use run::{config, embeddings, metrics, named, wait_for};

/// Where the child writes.
const FOLDER: &str = "ONWARD_TEST_FOLDER";

/// Bytes of the small disk, and of the file on it that makes room when it goes.
const DISK: u64 = 8 << 20;
const BALLAST: usize = 4 << 20;

/// Ways to get a small disk, the best first. `$0` is the folder, `"$@"` the child. The last one only
/// limits the size of a file, and works everywhere.
const WAYS: [(&str, &[&str], &str); 3] = [
    ("unshare", &["-rm"], "mount -t tmpfs -o size=8m tmpfs \"$0\" && exec \"$@\""),
    ("unshare", &["-m"], "mount -t tmpfs -o size=8m tmpfs \"$0\" && exec \"$@\""),
    ("env", &[], "trap '' XFSZ && ulimit -f 4096 && exec \"$@\""),
];

/// What the process does whose disk is small.
fn fill(dir: &Path) {
    let run = dir.join("run");
    let small = storage::free_space(dir).unwrap() <= DISK;
    if small {
        fs::write(dir.join("ballast"), vec![1; BALLAST]).unwrap();
    }

    let store = storage::start(&config(&run), &named("first")).unwrap();
    store.write(metrics(1)).unwrap();
    store.write(Record::Embeddings(embeddings(1, 10, 256))).unwrap();
    let watermark = store.sync().unwrap();
    let synced = ["metrics", "embeddings"].map(|it| rows(&run, it).unwrap());
    let mut step = 1;
    wait_for("the disk's end", || {
        step += 1;
        match store.write(Record::Embeddings(embeddings(step, 50, 256))) {
            Ok(()) => false,
            Err(Error::WriterStopped) => true,
            Err(other) => panic!("{other}"),
        }
    });
    names_the_disk(&store.finish().unwrap_err());
    assert_eq!(["metrics", "embeddings"].map(|it| rows(&run, it).unwrap()), synced);
    if small {
        assert!(storage::free_space(dir).unwrap() < 1 << 20);
        fs::remove_file(dir.join("ballast")).unwrap();
        assert!(storage::free_space(dir).unwrap() >= BALLAST as u64);
    }

    let store = storage::resume(&config(&run), &named("first"), &watermark).unwrap();
    assert_eq!(["metrics", "embeddings"].map(|it| rows(&run, it).unwrap()), synced);
    let lost = rows(&run.join("superseded/0"), "embeddings").unwrap();
    assert!(lost.num_rows() >= 50, "{} rows were written before the end", lost.num_rows());
    store.write(metrics(2)).unwrap();
    assert_eq!(store.finish().unwrap()[0].rows, 4);
}

fn names_the_disk(error: &Error) {
    let message = error.to_string();
    assert!(message.contains("embeddings") && message.contains("has room"), "{message}");
    let cause = error.source().unwrap();
    let full = match cause.downcast_ref::<io::Error>() {
        Some(it) => matches!(it.kind(), ErrorKind::StorageFull | ErrorKind::FileTooLarge),
        None => cause.to_string().contains("os error 28"),
    };
    assert!(full, "{message}: {cause}");
}

/// Runs a program the way of that number.
fn command(way: usize, folder: &Path) -> Command {
    let (program, arguments, script) = WAYS[way];
    let mut command = Command::new(program);
    command.args(arguments).args(["sh", "-c", script]).arg(folder).stdin(Stdio::null());
    command
}

#[test]
fn a_full_disk_damages_no_closed_part() {
    // The test starts itself again, where the disk is small.
    if let Some(folder) = env::var_os(FOLDER) {
        return fill(Path::new(&folder));
    }
    let works = |way: &usize| {
        let folder = tempfile::tempdir().unwrap();
        let tried = command(*way, folder.path()).arg("true").output();
        tried.is_ok_and(|it| it.status.success())
    };
    let ways: Vec<usize> = (0..WAYS.len()).filter(works).collect();
    assert!(ways.contains(&2), "a shell can limit the size of files");
    for way in ways {
        let folder = tempfile::tempdir().unwrap();
        let mut command = command(way, folder.path());
        command.arg(env::current_exe().unwrap());
        let own = "a_full_disk_damages_no_closed_part";
        command.args(["--exact", own, "--nocapture"]).env(FOLDER, folder.path());
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{:?}: {text}", WAYS[way]);
    }
}

#[test]
fn a_missing_folder_has_no_free_space() {
    let dir = tempfile::tempdir().unwrap();
    assert!(storage::free_space(dir.path()).unwrap() > 0);
    let error = storage::free_space(&dir.path().join("none")).unwrap_err();
    assert!(error.to_string().contains("none"), "{error}");
}
