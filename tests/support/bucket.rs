//! An S3 server on the loopback interface (moto), read and written by PyArrow's own client. The
//! tests of `storage` use it, too.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::scope;

/// A server with the empty bucket `onward`; dropping it ends the server.
pub(crate) struct Bucket {
    python: String,
    server: Child,
    port: String,
}

impl Bucket {
    /// Starts a server; without moto the calling test is skipped.
    #[track_caller]
    pub(crate) fn start() -> Option<Self> {
        let python = scope::python("ONWARD_BUCKET_PYTHON", "moto and PyArrow")?;
        let mut command = script(&python, &["serve"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut server = command.spawn().unwrap();
        let mut port = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut port).unwrap();
        assert!(!port.is_empty(), "{python} cannot start moto: see what it said above");
        Some(Self { python, server, port: port.trim().to_owned() })
    }

    /// Sets the variables by which S3 clients find the server.
    pub(crate) fn tell(&self, command: &mut Command) {
        command.envs([
            ("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", self.port).as_str()),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_REGION", "us-east-1"),
        ]);
    }

    /// Copies all objects below `prefix` to a folder.
    pub(crate) fn copy(&self, prefix: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        self.run(&["copy", &self.port, prefix, folder.path().to_str().unwrap()]);
        folder
    }

    /// Writes a file as an object, and replaces the one of that key.
    pub(crate) fn put(&self, key: &str, file: &Path) {
        self.run(&["put", &self.port, key, file.to_str().unwrap()]);
    }

    /// The number of rows of each table below `prefix`, a line each, as PyArrow counts them.
    pub(crate) fn rows(&self, prefix: &str) -> String {
        self.run(&["rows", &self.port, prefix])
    }

    /// Changes a bit of an object.
    pub(crate) fn damage(&self, key: &str) {
        self.run(&["damage", &self.port, key]);
    }

    /// Runs the script and gives its standard output.
    fn run(&self, arguments: &[&str]) -> String {
        let output = script(&self.python, arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        self.server.kill().ok();
        self.server.wait().ok();
    }
}

/// `bucket.py`, which lies in this package for the program's tests and beside it for `storage`'s.
fn script(python: &str, arguments: &[&str]) -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let paths = ["tests", "../tests"].map(|it| root.join(it).join("python/bucket.py"));
    let mut command = Command::new(python);
    command.arg(paths.iter().find(|it| it.is_file()).unwrap()).args(arguments);
    command
}
