//! A run that is copied to an object store, and resumes from there.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use support::bucket::Bucket;
use support::results::{Results, assert_same, newest, results};
use support::{Done, Setup, Table, assert_balanced, finish, looped, media, scope};

const STEPS: i64 = 12;
const URL: &str = "storage.url=s3://onward/runs/first";

fn setup() -> Setup {
    Setup::new(&[looped("street", media("street.mp4")), looped("tree", media("tree.mp4"))])
}

/// A run with a checkpoint every three steps and one part per record.
fn train(setup: &Setup, bucket: &Bucket, steps: i64, sets: &[&str]) -> std::process::Command {
    let steps = format!("model.train.steps={steps}");
    let always = [
        URL,
        steps.as_str(),
        "checkpoint.every_steps=3",
        "model.train.warmup=2",
        "storage.rows_per_part=1",
    ];
    let mut command = setup.command("train", &[&always[..], sets].concat());
    bucket.tell(&mut command);
    command
}

/// The same run, started again with `--fresh`.
fn fresh(setup: &Setup, bucket: &Bucket, steps: i64) -> Done {
    let mut command = train(setup, bucket, steps, &[]);
    command.arg("--fresh");
    finish(command)
}

fn die(setup: &Setup, bucket: &Bucket, fault: &str) {
    let mut command = train(setup, bucket, STEPS, &[]);
    command.env("ONWARD_FAULT", fault);
    let done = finish(command);
    assert_eq!(done.code, None, "{fault}: a signal ended it\n{done}");
}

/// What the folder and its copy must have in common: everything but what is made for each place.
fn files(run: &Path) -> BTreeMap<String, Vec<u8>> {
    let all = support::files(run).into_iter();
    let all = all.map(|(path, bytes)| (path.strip_prefix(run).unwrap().to_owned(), bytes));
    let all = all.map(|(path, bytes)| (path.to_str().unwrap().to_owned(), bytes));
    let apart = ["views.sql", "run.json", "lock"];
    all.filter(|it| !it.0.starts_with("superseded/") && !apart.contains(&it.0.as_str())).collect()
}

/// The bucket has the files of the run's folder and no others, and PyArrow counts the same rows.
fn assert_mirrored(setup: &Setup, bucket: &Bucket) {
    let folder = bucket.copy("runs/first");
    let (seen, wanted) = (files(folder.path()), files(&setup.run()));
    assert_eq!(seen.keys().collect::<Vec<_>>(), wanted.keys().collect::<Vec<_>>());
    assert!(seen == wanted, "the bytes differ");
    let views = fs::read_to_string(folder.path().join("views.sql")).unwrap();
    assert!(views.contains("'s3://onward/runs/first/metrics/*.parquet'"), "{views}");
    let rows = bucket.rows("runs/first");
    for name in ["metrics", "embeddings", "streams", "events"] {
        let wanted = format!("{name} {}\n", setup.table(name).rows());
        assert!(rows.contains(&wanted), "{wanted} is not in {rows}");
    }
}

/// The results of a run that is neither killed nor copied.
fn uninterrupted() -> Results {
    let setup = setup();
    let sets = ["model.train.steps=12", "checkpoint.every_steps=3", "model.train.warmup=2"];
    setup.train(&sets).ended_with(0);
    results(&setup.run())
}

#[test]
fn a_bucket_has_what_the_folder_has() {
    let Some(bucket) = Bucket::start() else { return };
    let setup = setup();
    let done = finish(train(&setup, &bucket, STEPS, &[])).ended_with(0);
    done.complains(&["copied to s3://onward/runs/first"])
        .prints(&["and in s3://onward/runs/first"]);
    assert_mirrored(&setup, &bucket);
    assert_same(&results(&setup.run()), &uninterrupted(), "a run that is copied");
    // Started again, it has nothing to do and nothing to copy.
    finish(train(&setup, &bucket, STEPS, &[])).ended_with(0).complains(&["has done its 12 steps"]);
    assert_mirrored(&setup, &bucket);
}

#[test]
fn a_run_whose_folder_is_lost_resumes_from_the_bucket() {
    let Some(bucket) = Bucket::start() else { return };
    let (wanted, setup) = (uninterrupted(), setup());
    finish(train(&setup, &bucket, 6, &[])).ended_with(0);
    die(&setup, &bucket, "remote after:16");
    // The bucket has parts that were written after its last checkpoint.
    let there = bucket.copy("runs/first");
    let state = fs::read(there.path().join("checkpoints/step-00000006/state.json")).unwrap();
    let state: serde_json::Value = serde_json::from_slice(&state).unwrap();
    let parts = fs::read_dir(there.path().join("metrics")).unwrap().count() as u64;
    assert!(parts > state["watermark"]["metrics"].as_u64().unwrap(), "{parts} parts of metrics");
    assert_eq!(newest(there.path()).file_name().unwrap(), "step-00000006");
    fs::remove_dir_all(setup.run()).unwrap();
    let done = finish(train(&setup, &bucket, STEPS, &[])).ended_with(0);
    done.complains(&["was restored from s3://onward/runs/first", "resuming after step 6"]);
    assert_same(&results(&setup.run()), &wanted, "a lost machine");
    assert_balanced(&setup.table("streams"));
    assert_mirrored(&setup, &bucket);
}

#[test]
fn a_finished_run_is_fetched_with_its_last_rows_and_all_its_checkpoints() {
    let Some(bucket) = Bucket::start() else { return };
    let setup = setup();
    let sets = ["checkpoint.keep_last=1", "checkpoint.keep_every=6"];
    finish(train(&setup, &bucket, STEPS, &sets)).ended_with(0);
    let before = files(&setup.run());
    assert!(before.contains_key("checkpoints/step-00000006/state.json"));
    fs::remove_dir_all(setup.run()).unwrap();
    let done = finish(train(&setup, &bucket, STEPS, &sets)).ended_with(0);
    done.complains(&["was restored from s3://onward/runs/first", "has done its 12 steps"]);
    assert_mirrored(&setup, &bucket);
    let after = files(&setup.run());
    for (name, bytes) in before.iter().filter(|it| it.0.contains('/')) {
        assert!(after.get(name) == Some(bytes), "{name}");
    }
    assert_balanced(&setup.table("streams"));
    // It resumes, and keeps the regular checkpoint that was fetched.
    finish(train(&setup, &bucket, 18, &sets)).ended_with(0);
    assert!(files(&setup.run()).contains_key("checkpoints/step-00000006/state.json"));
    assert_mirrored(&setup, &bucket);
}

#[test]
fn a_fetch_that_is_killed_or_finds_the_disk_full_is_repeated() {
    let Some(bucket) = Bucket::start() else { return };
    let (wanted, setup) = (uninterrupted(), setup());
    finish(train(&setup, &bucket, 6, &[])).ended_with(0);
    fs::remove_dir_all(setup.run()).unwrap();
    for fault in ["checkpoint before rename:1", "publish.rename:14", "publish.renamed:30"] {
        die(&setup, &bucket, fault);
        assert!(!setup.run().join("config.toml").exists(), "{fault} came too late");
    }
    let command = train(&setup, &bucket, STEPS, &[]);
    let mut limited = std::process::Command::new("bash");
    // Beyond the limit a write is an error, as on a full disk, because the signal is ignored.
    limited.args(["-c", "trap '' XFSZ; ulimit -f 30; exec \"$@\"", "bash"]);
    limited.arg(command.get_program()).args(command.get_args());
    bucket.tell(&mut limited);
    finish(limited).ended_with(1).complains(&["could not write", "disk has room"]);
    assert!(!setup.run().join("config.toml").exists());
    let done = finish(train(&setup, &bucket, STEPS, &[])).ended_with(0);
    done.complains(&["was restored", "resuming after step 6"]);
    assert_same(&results(&setup.run()), &wanted, "a fetch in several attempts");
    assert_mirrored(&setup, &bucket);
}

#[test]
fn a_run_killed_at_any_request_of_its_copying_ends_with_the_same_results() {
    const FAULTS: [&str; 6] = [
        "remote before:1",
        "remote after:41",
        "remote after:3",
        "remote after:1",
        "remote before:3",
        "remote before:20",
    ];
    let Some(_) = Bucket::start() else { return };
    let wanted = uninterrupted();
    for fault in scope::tier(&FAULTS[..3], &FAULTS) {
        let Some(bucket) = Bucket::start() else { return };
        let setup = setup();
        die(&setup, &bucket, fault);
        finish(train(&setup, &bucket, STEPS, &[])).ended_with(0);
        assert_same(&results(&setup.run()), &wanted, fault);
        assert_mirrored(&setup, &bucket);
    }
}

#[test]
fn a_damaged_checkpoint_in_the_bucket_is_passed_over_for_the_one_before_it() {
    let Some(bucket) = Bucket::start() else { return };
    let (wanted, setup) = (uninterrupted(), setup());
    finish(train(&setup, &bucket, 6, &[])).ended_with(0);
    fs::remove_dir_all(setup.run()).unwrap();
    bucket.damage("runs/first/checkpoints/step-00000006/student.safetensors");
    let done = finish(train(&setup, &bucket, STEPS, &[])).ended_with(0);
    done.complains(&["the checkpoint of step 6", "damaged", "resuming after step 3"]);
    assert_same(&results(&setup.run()), &wanted, "a damaged checkpoint");
    assert_mirrored(&setup, &bucket);
}

#[test]
fn a_folder_that_is_behind_the_bucket_is_refused_and_stays_as_it_is() {
    let Some(bucket) = Bucket::start() else { return };
    let setup = setup();
    finish(train(&setup, &bucket, 3, &[])).ended_with(0);
    let old = setup.path("runs/old");
    support::copy(&setup.run(), &old);
    finish(train(&setup, &bucket, 6, &[])).ended_with(0);
    fs::remove_dir_all(setup.run()).unwrap();
    support::copy(&old, &setup.run());
    let before = support::tree(&setup.run());
    let done = finish(train(&setup, &bucket, 9, &[])).ended_with(1);
    done.complains(&["as it was after step 6", "as it was after step 3", "move"]);
    assert!(support::tree(&setup.run()) == before, "something was touched");
}

#[test]
fn a_bucket_of_another_run_is_refused_and_a_fresh_run_moves_it_away() {
    let Some(bucket) = Bucket::start() else { return };
    let (first, second) = (setup(), setup());
    finish(train(&first, &bucket, 3, &[])).ended_with(0);
    // Another run in another folder.
    second.train(&["model.train.steps=2", "model.train.warmup=2"]).ended_with(0);
    let done = finish(train(&second, &bucket, 3, &[])).ended_with(1);
    done.complains(&["s3://onward/runs/first belongs to another run", "storage.url"]);
    assert_mirrored(&first, &bucket);
    let before = files(&first.run());

    fresh(&second, &bucket, 3).ended_with(0).complains(&["is now in s3://onward/runs/first.1"]);
    assert_mirrored(&second, &bucket);
    let folder = bucket.copy("runs/first.1");
    assert!(files(folder.path()) == before, "what was moved away differs from what was there");
}

#[test]
fn an_unusable_store_is_an_error_before_the_run_begins() {
    let Some(bucket) = Bucket::start() else { return };
    let setup = setup();
    let done = finish(train(&setup, &bucket, 3, &["storage.url=s3://nowhere/run"])).ended_with(1);
    done.complains(&["s3://nowhere/run", "check the network, the AWS_ variables and the bucket"]);
    assert!(!setup.run().exists());
    for (url, part) in [
        ("s3://onward", "must name a folder"),
        ("ftp://host/run", "s3://bucket/folder"),
        ("s3://key:hush@onward/run", "AWS_SECRET_ACCESS_KEY"),
    ] {
        let done = finish(train(&setup, &bucket, 3, &[&format!("storage.url={url}")]));
        let done = done.ended_with(78).complains(&["storage.url", part]);
        assert!(!done.stderr.contains("hush"), "{done}");
    }
    finish(train(&setup, &bucket, 3, &[])).ended_with(0);
    let mut compact = support::onward(&["compact"]);
    compact.arg(setup.run());
    finish(compact).ended_with(1).complains(&["s3://onward/runs/first", "seconds_per_part"]);
    assert_mirrored(&setup, &bucket);
}

#[test]
fn the_run_trains_on_while_the_store_is_unreachable_and_the_copy_is_completed_later() {
    let (setup, disk) = (setup(), tempfile::tempdir().unwrap());
    // A symbolic link, which a rename replaces at once.
    let (place, there) = (disk.path().join("mirror"), disk.path().join("there"));
    let turn = |to: &str| {
        let link = disk.path().join("link");
        symlink(disk.path().join(to), &link).unwrap();
        fs::rename(&link, &place).unwrap();
    };
    fs::create_dir(&there).unwrap();
    fs::write(disk.path().join("file"), "").unwrap();
    turn("there");
    let url = format!("storage.url=file://{}/first", place.display());
    let sets = [url.as_str(), "checkpoint.every_steps=20", "storage.rows_per_part=20"];
    let mut run = setup.endless(&sets);
    run.wait_for("copied to file://");
    run.until("something is copied", || there.join("first/metrics").exists());
    // With a file in the place of the folder, nothing can be read or written there.
    turn("file");
    run.wait_for("the run continues without the copy");
    turn("there");
    run.wait_for("is back, and has everything");
    run.signal("TERM");
    run.finish().ended_with(0);
    let (mut seen, wanted) = (files(&there.join("first")), files(&setup.run()));
    // A write to a folder that went away leaves the client's temporary file, `NAME#1`, which is
    // no part: no reader of `*.parquet` sees it.
    seen.retain(|name, _| !name.contains('#'));
    assert_eq!(seen.keys().collect::<Vec<_>>(), wanted.keys().collect::<Vec<_>>());
    assert!(seen == wanted, "the bytes differ");
    let events = Table::read(&setup.run(), "events");
    let told = events.text("kind").iter().filter(|it| *it == "storage").count();
    assert_eq!(told, 2, "{:?}", events.text("message"));
}
