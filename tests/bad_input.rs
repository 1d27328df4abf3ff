//! Files that cannot be used: `check` and `train` name each with its stream and a remedy, and the
//! other streams are not affected.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::{Done, Setup, assert_balanced, finish, looped, media, once};

/// `check` and `train` fail on one bad stream, read once or looped, and their messages contain
/// `parts`.
fn refused(file: &Path, parts: &[&str], change: impl Fn(&mut Command)) {
    let named = ["\"bad\"", file.to_str().unwrap()];
    let parts = [&named, parts].concat();
    for stream in [once("bad", file), looped("bad", file)] {
        let setup = Setup::new(&[stream]);
        let run = |name: &str| -> Done {
            let mut command = setup.command(name, &[]);
            change(&mut command);
            finish(command).ended_with(1)
        };
        run("check").prints(&["BAD"]).prints(&parts).complains(&["error: one file"]);
        run("train").prints(&["bad: FAILED"]).prints(&parts[1..]).complains(&parts);
        let streams = setup.table("streams");
        let (state, message) = streams.last("bad");
        assert_eq!(state, "failed");
        parts.iter().for_each(|it| assert!(message.contains(it), "no {it:?} in {message:?}"));
        assert_balanced(&streams);
        assert_eq!(streams.sums("trained")["bad"], 0);
    }
}

/// Runs a test on a temporary file with these bytes.
fn with_file(name: &str, bytes: &[u8], test: impl FnOnce(&Path)) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    test(&path);
}

fn as_it_is(_: &mut Command) {}

#[test]
fn a_file_that_is_not_there() {
    refused(Path::new("/no/such.mp4"), &["no such file or folder: check the path"], as_it_is);
}

#[test]
fn a_pattern_and_a_folder_without_files() {
    let folder = tempfile::tempdir().unwrap();
    let parts = ["matches no file: check the pattern or the folder"];
    refused(folder.path(), &parts, as_it_is);
    refused(&folder.path().join("*.mp4"), &parts, as_it_is);
}

#[test]
fn an_empty_file() {
    let parts = ["is empty (0 bytes)", "copy or record it again"];
    with_file("empty.mp4", b"", |it| refused(it, &parts, as_it_is));
}

#[test]
fn a_text_file() {
    let text = "These are words and not a video.\n".repeat(100);
    let parts = ["is not a video", "remove it from the stream"];
    with_file("text.mp4", text.as_bytes(), |it| refused(it, &parts, as_it_is));
}

#[test]
fn sound_without_pictures() {
    let parts = ["has no video stream", "remove it from the stream"];
    with_file("sound.wav", &wav(16_000), |it| refused(it, &parts, as_it_is));
}

#[test]
fn an_mp4_that_was_never_finished() {
    let bytes = fs::read(media("street.mp4")).unwrap();
    let parts = ["its index is missing", "record it again or repair it"];
    with_file("unfinished.mp4", &bytes[..50_000], |it| refused(it, &parts, as_it_is));
}

#[test]
fn a_decoder_that_is_not_installed() {
    let decoders = ["avdec", "openh264dec", "va", "vaapi", "nv", "nvv4l2dec", "v4l2", "v4l2sl"];
    let ranks = decoders.map(|it| match it {
        "avdec" => "avdec_h264:NONE".into(),
        it if it.ends_with("dec") => format!("{it}:NONE"),
        it => format!("{it}h264dec:NONE"),
    });
    let parts = ["decoder that is not installed: H.264", "install gstreamer1.0-libav"];
    refused(Path::new(&media("street.mp4")), &parts, |command| {
        command.env("GST_PLUGIN_FEATURE_RANK", ranks.join(","));
    });
}

#[test]
fn a_clip_that_no_file_is_long_enough_for() {
    let setup = Setup::new(&[looped("cup", media("cup.mp4"))]);
    let done = setup.train(&["pipeline.clip.interval=30"]).ended_with(1);
    done.complains(&["\"cup\"", "no clip of 3 frames, 30 s apart, fits", "change clip.frames"]);
    assert_balanced(&setup.table("streams"));
}

#[test]
fn a_bad_stream_does_not_stop_the_others() {
    let good = looped("good", media("tree.mp4"));
    let setup = Setup::new(&[looped("bad", "/no/such.mp4"), good]);
    let parts = ["/no/such.mp4", "no such file or folder"];
    let done = setup.train(&["model.train.steps=20"]).ended_with(0).complains(&parts);
    done.prints(&["20 steps", "bad: FAILED", "good: stopped"]).prints(&parts);
    let streams = setup.table("streams");
    assert_balanced(&streams);
    let (state, message) = streams.last("bad");
    assert_eq!(state, "failed");
    assert!(parts.iter().all(|it| message.contains(it)), "{message}");
    assert_eq!(streams.last("good"), ("stopped".into(), String::new()));
    assert_eq!(streams.sums("trained")["bad"], 0);
    assert!(streams.sums("trained")["good"] >= 20 * 4, "four clips per step");

    // A check fails when any stream does.
    let check = finish(setup.command("check", &[])).ended_with(1);
    check.prints(&parts).prints(&["good: ", "320 x 240"]).complains(&["error: one file"]);
}

#[test]
fn a_run_fails_when_every_stream_does() {
    let setup = Setup::new(&[once("one", "/no/one.mp4"), looped("two", "/no/two.mp4")]);
    let done = setup.train(&[]).ended_with(1).prints(&["one: FAILED", "two: FAILED"]);
    done.complains(&["/no/one.mp4", "/no/two.mp4", "no stream is left"]);
    let check = finish(setup.command("check", &[])).ended_with(1);
    check.prints(&["/no/one.mp4", "/no/two.mp4"]).complains(&["2 files or URIs cannot be used"]);
}

#[test]
fn a_bad_file_in_a_folder_is_reported_and_skipped() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.mp4"), "").unwrap();
    fs::copy(media("cup.mp4"), folder.path().join("b.mp4")).unwrap();
    let setup = Setup::new(&[once("folder", folder.path())]);
    let done = setup.train(&["model.train.steps=1000"]).ended_with(0);
    done.complains(&["a.mp4", "is empty"]).prints(&["folder: ended", "a.mp4: is empty"]);
    let streams = setup.table("streams");
    assert_balanced(&streams);
    assert_eq!((streams.sums("decoded")["folder"], streams.sums("errors")["folder"]), (217, 1));
    assert!(streams.last("folder").1.contains("a.mp4: is empty"));
}

#[test]
fn a_truncated_file_is_reported_and_its_clips_are_trained_on() {
    let whole = index_first(&fs::read(media("tree.mp4")).unwrap());
    with_file("whole.mp4", &whole, |it| assert_eq!(read_once(it), (449, 0, String::new())));
    with_file("cut.mp4", &whole[..whole.len() / 2], |it| {
        let (decoded, errors, message) = read_once(it);
        assert!((100..400).contains(&decoded), "half of 449 frames: {decoded}");
        assert_eq!(errors, 1);
        assert!(message.contains("cut.mp4: ended at ") && message.contains(" of 29.93 s"));
    });
}

/// Trains on a file to its end. Returns decoded frames, errors, and the message in the ledger.
fn read_once(path: &Path) -> (i64, i64, String) {
    let setup = Setup::new(&[once("file", path)]);
    let done = setup.train(&["model.train.steps=1000"]).ended_with(0);
    let streams = setup.table("streams");
    assert_balanced(&streams);
    assert!(streams.sums("trained")["file"] > 0);
    let (state, message) = streams.last("file");
    assert_eq!(state, "ended");
    done.prints(&["file: ended", &message]).complains(&[&message]);
    (streams.sums("decoded")["file"], streams.sums("errors")["file"], message)
}

/// A RIFF file of 16-bit samples, one channel at 8 kHz.
fn wav(samples: u32) -> Vec<u8> {
    let size = 2 * samples;
    let mut bytes = [b"RIFF", &(36 + size).to_le_bytes()[..], b"WAVEfmt "].concat();
    bytes.extend([16_u32.to_le_bytes(), [1, 0, 1, 0]].concat());
    bytes.extend([8_000_u32.to_le_bytes(), 16_000_u32.to_le_bytes(), [2, 0, 16, 0]].concat());
    bytes.extend([&b"data"[..], &size.to_le_bytes()].concat());
    bytes.extend((0..samples).flat_map(|it| ((it * 97 % 2_000) as i16).to_le_bytes()));
    bytes
}

/// The same mp4 with its index before its pictures, so that the beginning of it can be played.
fn index_first(bytes: &[u8]) -> Vec<u8> {
    let at = |name: &[u8]| bytes.windows(4).position(|it| it == name).unwrap() - 4;
    let (pictures, index) = (at(b"mdat"), at(b"moov"));
    assert!(pictures < index, "the index is in front already");
    let mut moved = bytes[index..].to_vec();
    let table = moved.windows(4).position(|it| it == b"stco").unwrap() + 8;
    let number = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().unwrap());
    let chunks = number(&moved[table..table + 4]) as usize;
    let shift = moved.len() as u32;
    for offset in moved[table + 4..].chunks_exact_mut(4).take(chunks) {
        offset.copy_from_slice(&(number(offset) + shift).to_be_bytes());
    }
    [&bytes[..pictures], &moved, &bytes[pictures..index]].concat()
}

#[test]
fn a_file_where_the_run_wants_a_folder() {
    let setup = Setup::new(&[looped("tree", media("tree.mp4"))]);
    let file: PathBuf = setup.path("file");
    fs::write(&file, "mine").unwrap();
    let inside = file.join("run");
    let done = setup.train(&[&format!("storage.dir={}", inside.display())]).ended_with(1);
    done.complains(&["could not create the folder", inside.to_str().unwrap(), "writable"]);
    assert_eq!(fs::read_to_string(file).unwrap(), "mine");
}
