//! A camera: a process that a test starts and breaks.

use std::{
    env,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

/// How long a test waits for a camera to read its media and to listen.
const START: Duration = Duration::from_secs(60);

/// What a camera plays, and its faults.
#[derive(Clone, Debug)]
pub struct Options {
    /// File to play, .h264 or .h265.
    pub media: PathBuf,
    /// Path of the URL, without a slash before it.
    pub path: String,
    /// Frames per second.
    pub fps: u32,
    /// User and password that a client must give.
    pub login: Option<[String; 2]>,
    /// Share of RTP packets that are lost, 0 to 1.
    pub lose: f64,
    /// Whether the stream ends with the file, instead of starting the file again.
    pub once: bool,
}

impl Options {
    /// A camera without faults: `/cam` at 25 frames per second, without a password, in a loop.
    pub fn playing(media: &Path) -> Self {
        let path = "cam".into();
        Self { media: media.into(), path, fps: 25, login: None, lose: 0.0, once: false }
    }
}

/// A camera in its own process; dropping it kills the process.
#[derive(Debug)]
pub struct Camera {
    child: Child,
    url: String,
    port: u16,
}

impl Camera {
    /// Starts a camera on a free port of the loopback interface and waits until it listens.
    ///
    /// # Panics
    ///
    /// When it does not listen within 60 s, or its binary is not built.
    pub fn start(options: &Options) -> Self {
        Self::start_on(0, options)
    }

    fn start_on(port: u16, options: &Options) -> Self {
        let mut child = command(port, options).spawn().expect("a process for a camera");
        let stdout = child.stdout.take().expect("the output of a camera");
        let Some(url) = first_line(stdout) else {
            let _ = child.kill();
            panic!("the camera does not listen ({:?}): see what it said above", child.wait());
        };
        let port = url["rtsp://127.0.0.1:".len()..].split('/').next();
        let port = port.and_then(|it| it.parse().ok()).expect("a port in the URL of a camera");
        Self { child, url, port }
    }

    /// Its URL, as in `rtsp://127.0.0.1:40123/cam`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its URL with `user:password@`, which must be percent-encoded already.
    pub fn url_with(&self, user: &str, password: &str) -> String {
        self.url.replacen("://", &format!("://{user}:{password}@"), 1)
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Kills the process, so that the kernel closes its connections. The port is closed when this
    /// returns.
    pub fn kill(&mut self) {
        self.child.kill().expect("a camera to kill");
        self.child.wait().expect("a camera that ends");
    }

    /// Stops the process: its connections stay open and the kernel accepts new ones, but nothing is
    /// sent.
    pub fn freeze(&self) {
        kill_process(self.pid(), Signal::STOP).expect("a camera to freeze");
        // A signal takes effect some time after it was sent.
        waitpid(Some(self.pid()), WaitOptions::UNTRACED).expect("a camera that freezes");
    }

    /// Lets a frozen process continue.
    pub fn thaw(&self) {
        kill_process(self.pid(), Signal::CONT).expect("a camera to thaw");
    }

    /// Kills the process, and starts another with these options on the same port.
    pub fn restart(&mut self, options: &Options) {
        self.kill();
        *self = Self::start_on(self.port, options);
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(port: u16, options: &Options) -> Command {
    // Cargo puts a test into target/debug/deps and binaries into target/debug.
    let test = env::current_exe().expect("the path of this test");
    let folder = test.parent().and_then(Path::parent).expect("the folder of this test's folder");
    let binary = folder.join("camera");
    assert!(binary.exists(), "{}: run cargo build -p cameras first", binary.display());
    let mut command = Command::new(binary);
    // The camera ends with its standard input, whose other end is in the handle.
    command.arg("--leashed").stdin(Stdio::piped()).stdout(Stdio::piped());
    command.args(["--port", &port.to_string(), "--path", &options.path]);
    command.args(["--fps", &options.fps.to_string(), "--lose", &options.lose.to_string()]);
    command.arg("--media").arg(&options.media);
    if let Some([user, password]) = &options.login {
        command.args(["--user", user, "--password", password]);
    }
    if options.once {
        command.arg("--once");
    }
    command
}

fn first_line(stdout: ChildStdout) -> Option<String> {
    let (said, line) = mpsc::channel();
    let read = move || {
        let mut line = String::new();
        let read = BufReader::new(stdout).read_line(&mut line);
        if read.is_ok_and(|it| it > 0) {
            // The receiver is gone if the line came too late.
            let _ = said.send(line.trim_end().to_owned());
        }
    };
    thread::Builder::new().name("camera's output".into()).spawn(read).expect("a thread");
    line.recv_timeout(START).ok()
}
