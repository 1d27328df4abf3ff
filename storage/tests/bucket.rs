//! Large files in a bucket: S3 over HTTP, against a server on the loopback interface (moto).

// Clippy knows a test by its attribute, and not the functions that tests share.
#![allow(dead_code, clippy::unwrap_used)]

#[path = "../../tests/support/bucket.rs"]
mod bucket;
mod run;
#[path = "../../tests/support/scope.rs"]
mod scope;

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use storage::{Error, Mirror, Record, Remote, Watermark};

use bucket::Bucket;
use run::{config, embeddings, named, parts};

/// The folder that the child copies.
const FOLDER: &str = "ONWARD_TEST_FOLDER";
const URL: &str = "s3://onward/runs/first";
const PART: &str = "embeddings/part-00000.parquet";
const WEIGHTS: &str = "checkpoints/step-00000001/encoder.safetensors";

/// The process that the other tests start, because the environment says where the bucket is. It
/// acquires the store's folder, waits for a line on standard input, and copies.
#[test]
fn child() {
    let Some(dir) = env::var_os(FOLDER).map(PathBuf::from) else { return };
    let _lock = storage::lock(&dir).unwrap();
    let remote = Remote::open(URL).unwrap();
    let mirror =
        Mirror::start(remote, &dir, "first-1", &Watermark::of_folder(&dir).unwrap(), 1).unwrap();
    let say = |text: &str| writeln!(std::io::stdout(), "\n{text}").unwrap();
    say("acquired");
    std::io::stdin().read_line(&mut String::new()).unwrap();
    fs::rename(dir.join("later"), dir.join("embeddings")).unwrap();
    match mirror.finish() {
        Ok(()) => say("copied"),
        Err(Error::ObjectConflict { url }) => say(&format!("conflict {url}")),
        Err(other) => panic!("{other:?}"),
    }
}

/// Such a process, which has acquired the store's folder.
struct Acquired(Child);

impl Acquired {
    fn start(bucket: &Bucket, dir: &Path) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "child", "--nocapture"]).env(FOLDER, dir);
        bucket.tell(&mut command);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while line.trim() != "acquired" {
            line.clear();
            assert!(lines.read_line(&mut line).unwrap() > 0, "it ended early");
        }
        child.stdout = Some(lines.into_inner());
        Self(child)
    }

    /// Lets it copy. Returns what it printed.
    fn copy(mut self) -> String {
        self.0.stdin.take().unwrap().write_all(b"\n").unwrap();
        let mut said = String::new();
        self.0.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(self.0.wait().unwrap().success(), "{said}");
        said
    }
}

/// A run with a checkpoint and a part of that many vectors, which is still in the folder `later`.
fn run_of(vectors: usize, step: u64) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let store = storage::start(&config(dir.path()), &named("first")).unwrap();
    store.write(Record::Embeddings(embeddings(step, vectors, 1024))).unwrap();
    store.finish().unwrap();
    let folder = dir.path().join("checkpoints/step-00000001");
    fs::create_dir_all(&folder).unwrap();
    fs::copy(&parts(dir.path(), "embeddings")[0], folder.join("encoder.safetensors")).unwrap();
    fs::write(folder.join("SHA256SUMS"), "of it").unwrap();
    fs::rename(dir.path().join("embeddings"), dir.path().join("later")).unwrap();
    dir
}

#[test]
fn large_files_arrive_whole() {
    let Some(bucket) = Bucket::start() else { return };
    let dir = run_of(4000, 1);
    let said = Acquired::start(&bucket, dir.path()).copy();
    assert!(said.contains("copied"), "{said}");
    let there = bucket.copy("runs/first");
    for name in [PART, WEIGHTS] {
        let bytes = fs::read(dir.path().join(name)).unwrap();
        assert!(bytes.len() > 9 << 20, "{name} has {} bytes: one request's worth", bytes.len());
        assert!(fs::read(there.path().join(name)).unwrap() == bytes, "{name} differs");
    }
    assert!(!there.path().join("staging").exists(), "something is left over");
}

#[test]
fn a_part_that_another_process_wrote_meanwhile_is_not_overwritten() {
    // In one request, and in several.
    for vectors in [10, 4000] {
        let Some(bucket) = Bucket::start() else { return };
        let dir = run_of(vectors, 1);
        let theirs = run_of(vectors, 2);
        let acquired = Acquired::start(&bucket, dir.path());
        bucket.put(&format!("runs/first/{PART}"), &theirs.path().join("later/part-00000.parquet"));
        let said = acquired.copy();
        assert!(said.contains(&format!("conflict {URL}/{PART}")), "{said}");
        let there = bucket.copy("runs/first");
        let theirs = fs::read(theirs.path().join("later/part-00000.parquet")).unwrap();
        assert!(fs::read(there.path().join(PART)).unwrap() == theirs, "it was overwritten");

        // The same bytes count as an earlier attempt, whose answer was lost.
        let Some(bucket) = Bucket::start() else { return };
        let dir = run_of(vectors, 1);
        let acquired = Acquired::start(&bucket, dir.path());
        bucket.put(&format!("runs/first/{PART}"), &dir.path().join("later/part-00000.parquet"));
        let said = acquired.copy();
        assert!(said.contains("copied"), "{said}");
    }
}
