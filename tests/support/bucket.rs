//! An S3 server on the loopback interface (moto), and what PyArrow's own client finds in it.

use std::env;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::{Done, finish};

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
    pub(crate) fn copy(&self, prefix: &str, to: &Path) {
        let mut command = script(&["copy", &self.port, prefix]);
        command.arg(to);
        finish(command).ended_with(0);
    }

    /// Rows of each table below `prefix`, as read in the bucket.
    pub(crate) fn rows(&self, prefix: &str) -> Done {
        finish(script(&["rows", &self.port, prefix])).ended_with(0)
    }

    /// Changes a bit of an object.
    pub(crate) fn damage(&self, key: &str) {
        finish(script(&["damage", &self.port, key])).ended_with(0);
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
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bucket.py")).args(arguments);
    command
}
