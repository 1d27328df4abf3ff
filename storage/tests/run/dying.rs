//! Processes that are killed on purpose, and what they leave.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// The variables that say what the child is to do, and the folder it does it in.
pub(crate) const JOB: &str = "ONWARD_TEST_JOB";
pub(crate) const FOLDER: &str = "ONWARD_TEST_FOLDER";

/// This test program as a child that does `job` in a folder.
pub(crate) fn command(job: &str, dir: &Path) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "child", "--nocapture", "--test-threads=1"]);
    command.env(JOB, job).env(FOLDER, dir).env_remove(storage::disk::fault::VARIABLE);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs a child to its end, or to a point where it dies. Whether it died there.
pub(crate) fn dies(job: &str, dir: &Path, fault: Option<(&str, u64)>) -> bool {
    let mut command = command(job, dir);
    if let Some((point, count)) = fault {
        command.env(storage::disk::fault::VARIABLE, format!("{point}:{count}"));
    }
    let output = command.output().unwrap();
    let killed = output.status.signal() == Some(9);
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(killed || output.status.success(), "{job} at {fault:?}: {text}");
    killed
}

/// A folder in memory where there is one: a kill takes nothing from the page cache.
pub(crate) fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// The names of all points in the sources, except those of requests to the object store, which the
/// program's own tests cover.
pub(crate) fn points() -> Vec<String> {
    let mut pending = vec![PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut points = Vec::new();
    while let Some(folder) = pending.pop() {
        for path in fs::read_dir(folder).unwrap().map(|it| it.unwrap().path()) {
            if path.is_dir() {
                pending.push(path);
                continue;
            }
            let text = fs::read_to_string(path).unwrap();
            let found = text.split("point(\"").skip(1).filter_map(|it| it.split_once("\")"));
            let found = found.map(|it| it.0).filter(|it| !it.starts_with("remote "));
            points.extend(found.map(str::to_owned));
        }
    }
    points.sort();
    points.dedup();
    assert!(points.len() > 20, "{points:?}");
    points
}

/// Every file below a folder with its bytes, by its path in it; not those that hold the folder's
/// own path.
pub(crate) fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut pending = vec![dir.to_owned()];
    let mut files = BTreeMap::new();
    while let Some(folder) = pending.pop() {
        for path in fs::read_dir(folder).unwrap().map(|it| it.unwrap().path()) {
            if path.is_dir() {
                pending.push(path);
            } else if !path.ends_with("views.sql") {
                let name = path.strip_prefix(dir).unwrap().to_owned();
                files.insert(name, fs::read(path).unwrap());
            }
        }
    }
    files
}

/// A copy of a folder.
pub(crate) fn copy(dir: &Path) -> TempDir {
    let copy = folder();
    for (name, bytes) in files(dir) {
        let path = copy.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    copy
}

/// Checks that no temporary file is left.
pub(crate) fn is_tidy(dir: &Path) {
    let stray = |it: &PathBuf| {
        let name = it.to_string_lossy().into_owned();
        !name.starts_with("superseded") && (name.ends_with(".tmp") || name.ends_with(".wal"))
    };
    let stray: Vec<PathBuf> = files(dir).into_keys().filter(stray).collect();
    assert!(stray.is_empty(), "{stray:?}");
}

/// The files below a folder are those, byte by byte.
pub(crate) fn same_files(dir: &Path, reference: &BTreeMap<PathBuf, Vec<u8>>) {
    let found = files(dir);
    let names = |it: &BTreeMap<PathBuf, Vec<u8>>| it.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&found), names(reference));
    let other = found.iter().find(|(name, bytes)| reference[*name] != **bytes);
    assert!(other.is_none(), "{:?} holds something else", other.unwrap().0);
}
