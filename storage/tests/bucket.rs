//! Large files in a bucket: S3 over HTTP, against a server on the loopback interface (moto).

// Clippy knows a test by its attribute, and not the functions that tests share.
#![allow(clippy::unwrap_used)]

mod run;

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use storage::{Mirror, Record, Remote, Seal};

use run::{config, embeddings, named, parts};

/// The folder that the child copies.
const FOLDER: &str = "ONWARD_TEST_FOLDER";
const URL: &str = "s3://onward/runs/first";

/// The process that the other test starts, because the environment says where the bucket is.
#[test]
fn child() {
    let Some(dir) = env::var_os(FOLDER).map(PathBuf::from) else { return };
    let _lock = storage::lock(&dir).unwrap();
    let remote = Remote::open(URL).unwrap();
    let mirror = Mirror::start(remote, &dir, "first-1", &Seal::whole(&dir).unwrap(), 1).unwrap();
    mirror.finish().unwrap();
}

/// A run with a part and a file of a checkpoint that take several requests each.
fn large(dir: &Path, step: u64) {
    let store = storage::start(&config(dir), &named("first")).unwrap();
    store.write(Record::Embeddings(embeddings(step, 4000, 1024))).unwrap();
    store.finish().unwrap();
    let folder = dir.join("checkpoints/step-00000001");
    fs::create_dir_all(&folder).unwrap();
    fs::copy(&parts(dir, "embeddings")[0], folder.join("encoder.safetensors")).unwrap();
    fs::write(folder.join("SHA256SUMS"), "of it").unwrap();
}

struct Bucket {
    server: Child,
    port: String,
}

impl Bucket {
    fn start() -> Self {
        let mut command = script(&["serve"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut server = command.spawn().unwrap();
        let mut port = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut port).unwrap();
        assert!(!port.is_empty(), "there is no moto: run the tests by scripts/test");
        Self { server, port: port.trim().to_owned() }
    }

    /// Copies a run's folder to the bucket. What the process said if it failed.
    fn fill(&self, dir: &Path) -> Result<(), String> {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "child", "--nocapture"]).env(FOLDER, dir).envs([
            ("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", self.port).as_str()),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_REGION", "us-east-1"),
        ]);
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(()) } else { Err(text) }
    }

    /// All objects of the run as PyArrow's own client reads them.
    fn copy(&self) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let mut command = script(&["copy", &self.port, "runs/first"]);
        assert!(command.arg(folder.path()).status().unwrap().success());
        folder
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        self.server.kill().ok();
        self.server.wait().ok();
    }
}

fn script(arguments: &[&str]) -> Command {
    let python = env::var("ONWARD_PYTHON").unwrap_or_else(|_| "python3".into());
    let mut command = Command::new(python);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/bucket.py")).args(arguments);
    command
}

const FILES: [&str; 2] =
    ["embeddings/part-00000.parquet", "checkpoints/step-00000001/encoder.safetensors"];

#[test]
fn large_files_arrive_whole_and_a_part_is_never_written_over() {
    let (bucket, dir, other) =
        (Bucket::start(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    large(dir.path(), 1);
    bucket.fill(dir.path()).unwrap();
    let there = bucket.copy();
    for name in FILES {
        let bytes = fs::read(dir.path().join(name)).unwrap();
        assert!(bytes.len() > 9 << 20, "{name} has {} bytes: one request's worth", bytes.len());
        assert!(fs::read(there.path().join(name)).unwrap() == bytes, "{name} differs");
    }
    assert!(!there.path().join("staging").exists(), "something is left over");
    // Once more, with nothing to do.
    bucket.fill(dir.path()).unwrap();

    // A part of the same size from another process of the same name.
    large(other.path(), 2);
    let mine = fs::metadata(dir.path().join(FILES[0])).unwrap().len();
    let theirs = fs::metadata(other.path().join(FILES[0])).unwrap().len();
    let said = bucket.fill(other.path()).unwrap_err();
    assert!(said.contains("Foreign") && said.contains(FILES[0]), "{mine} and {theirs}: {said}");
    let still = bucket.copy();
    for name in FILES {
        let bytes = fs::read(there.path().join(name)).unwrap();
        assert!(fs::read(still.path().join(name)).unwrap() == bytes, "{name} was written over");
    }
}
