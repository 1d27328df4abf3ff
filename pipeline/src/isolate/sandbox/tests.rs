use std::{env, fs, io::ErrorKind, net::TcpListener, process::Command, thread::Builder};

use super::*;
use crate::{
    ClipConfig, SourceConfig, StreamConfig,
    source::{Item, SourceContext},
    stop::stop,
};

/// Names the folder that the confined process tests.
const FOLDER: &str = "XDG_ONWARD_CONFINED";

fn clip() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/media/street.mp4")
}

#[test]
fn a_confined_process_can_decode_its_file_and_nothing_else() {
    // The test confines its own process, so it runs again in a process of its own.
    if let Some(folder) = env::var_os(FOLDER) {
        return inside(&PathBuf::from(folder));
    }
    let folder = tempfile::tempdir().unwrap();
    for name in ["secret", "allowed"] {
        fs::write(folder.path().join(name), name).unwrap();
    }
    let name = "isolate::sandbox::tests::a_confined_process_can_decode_its_file_and_nothing_else";
    let child = Command::new(env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture"])
        .env(FOLDER, folder.path())
        .output()
        .unwrap();
    let [out, err] = [child.stdout, child.stderr].map(|it| String::from_utf8(it).unwrap());
    assert!(child.status.success() && out.contains("1 passed"), "{out}\n{err}");
    assert!(!folder.path().join("new").exists());
    let read = fs::read_to_string(folder.path().join("allowed")).unwrap();
    assert_eq!(read, "allowed", "it was written to");
}

fn inside(folder: &Path) {
    let [secret, allowed, new] = ["secret", "allowed", "new"].map(|it| folder.join(it));
    let rights = confine(&[allowed.clone(), clip()], 1024);
    let expected = ["no new privileges", "landlock (ABI ", "seccomp", "memory limit 1024 MiB"];
    assert!(expected.iter().all(|it| rights.contains(it)), "{rights}");

    let denied = |it: std::io::Result<()>| it.unwrap_err().kind() == ErrorKind::PermissionDenied;
    assert_eq!(fs::read_to_string(&allowed).unwrap(), "allowed");
    for path in [&secret, Path::new("/etc/shadow"), Path::new("/proc/1/environ")] {
        assert!(denied(fs::read(path).map(drop)), "read {}", path.display());
    }
    for path in [&allowed, &new, &PathBuf::from("/tmp/onward-new")] {
        assert!(denied(fs::write(path, "x")), "wrote {}", path.display());
    }
    assert!(denied(fs::read_dir(folder).map(drop)), "listed a folder");
    assert!(denied(fs::remove_file(&allowed)), "removed a file");
    let refused = Command::new("/bin/true").status().unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(libc::EPERM), "by seccomp, before landlock");
    let big = Vec::<u8>::new().try_reserve_exact(2 << 30);
    assert!(big.is_err(), "took more memory than it may");

    fs::write("/dev/null", "x").unwrap();
    TcpListener::bind("127.0.0.1:0").unwrap();
    let thread = Builder::new().name("another".into());
    thread.spawn(move || assert!(fs::read(secret).is_err())).unwrap().join().unwrap();
    assert_eq!(frames(), 600);
}

/// Number of frames in the clip that may be read.
fn frames() -> usize {
    let source = SourceConfig::Files(clip().to_str().unwrap().into());
    let stream = StreamConfig::new("street", source).into();
    let (_stopper, stop) = stop();
    let clips = ClipConfig::new(2, 1.0);
    let context = SourceContext { stream, clip: clips, stop, side_counters: Default::default() };
    let pictures = source::open(&Item::File(clip()), &context).unwrap();
    pictures.map(Result::unwrap).count()
}
