//! An S3 server on the loopback interface (moto), and what PyArrow's own client finds in it. The
//! tests of `storage` share it.

use std::env;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A server with the empty bucket `onward`; gone when it is dropped.
pub(crate) struct Bucket {
    server: Child,
    port: String,
}

impl Bucket {
    pub(crate) fn start() -> Self {
        let mut command = script(&["serve"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut server = command.spawn().unwrap();
        let mut port = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut port).unwrap();
        assert!(!port.is_empty(), "there is no moto: run the tests by scripts/test");
        Self { server, port: port.trim().to_owned() }
    }

    /// Tells a command where it is, as one tells every S3 client.
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

    /// Writes a file as an object, whatever is there.
    pub(crate) fn put(&self, key: &str, file: &Path) {
        self.run(&["put", &self.port, key, file.to_str().unwrap()]);
    }

    /// Rows of each table below `prefix`, as read in the bucket.
    pub(crate) fn rows(&self, prefix: &str) -> String {
        self.run(&["rows", &self.port, prefix])
    }

    /// Changes a bit of an object.
    pub(crate) fn damage(&self, key: &str) {
        self.run(&["damage", &self.port, key]);
    }

    /// What the script printed.
    fn run(&self, arguments: &[&str]) -> String {
        let output = script(arguments).output().unwrap();
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

fn script(arguments: &[&str]) -> Command {
    let python = env::var("ONWARD_PYTHON").unwrap_or_else(|_| "python3".into());
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let places = [root.join("tests/bucket.py"), root.join("../tests/bucket.py")];
    let mut command = Command::new(python);
    command.arg(places.iter().find(|it| it.is_file()).unwrap()).args(arguments);
    command
}
