mod cut;
mod local;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use cut::Cut;
use local::{Local, collect, write};

use super::requests::{CHUNK, Source};
use super::upload::Shipper;
use super::*;
use crate::Seal;

fn remote(store: &Arc<Cut>) -> Remote {
    Remote::over(store.clone(), Key::from("runs/first"), "mem://runs/first".into()).unwrap()
}

/// Everything in the store by its name in the run's folder.
fn objects(store: &Arc<Cut>) -> BTreeMap<String, Vec<u8>> {
    let remote = remote(store);
    let names = remote.list("").unwrap();
    names.into_keys().map(|it| (it.clone(), remote.read(&it).unwrap().unwrap())).collect()
}

/// A run's folder as a new machine makes it.
fn fetch(remote: &Remote, dir: &Path, seal: &Seal) {
    for step in remote.steps().unwrap() {
        let folder = dir.join(format!("checkpoints/step-{step:08}"));
        fs::create_dir_all(&folder).unwrap();
        remote.fetch_checkpoint(step, &folder).unwrap();
    }
    remote.fetch_tables(dir, seal).unwrap();
}

fn eventually(holds: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < until, "waited in vain");
        std::thread::yield_now();
    }
}

fn shipper(store: &Arc<Cut>, local: &Local, seal: &Seal, at: u64) -> Result<Shipper> {
    Shipper::begin(remote(store), local.path(), "id", seal, at)
}

/// The store has what the folder has, each once, and nothing else that a reader would find.
fn assert_same(store: &Arc<Cut>, local: &Local) {
    let mut objects = objects(store);
    let views = String::from_utf8(objects.remove("views.sql").unwrap()).unwrap();
    assert!(views.contains("'mem://runs/first/metrics/*.parquet'"), "{views}");
    assert!(objects.remove("run.json").is_some());
    objects.retain(|name, _| !name.starts_with("superseded/"));
    assert_eq!(names(&objects), names(&local.files()));
    assert!(objects == local.files(), "the bytes differ");
}

fn names(files: &BTreeMap<String, Vec<u8>>) -> Vec<&str> {
    files.keys().map(String::as_str).collect()
}

#[test]
fn the_store_becomes_what_the_folder_is() {
    let (cloud, local) = (Cut::new(), Local::new());
    let store = local.open(&Seal::default());
    let mirror = Mirror::start(remote(&cloud), local.path(), "id", &Seal::default(), 0).unwrap();
    fs::write(local.path().join("config.toml"), "seed = 1").unwrap();
    local.step(&store, 1, 10);
    // More than one request's worth.
    local.step(&store, 2, CHUNK as usize + 10);
    write(&store, 3);
    store.finish().unwrap();
    mirror.check().unwrap();
    mirror.finish().unwrap();
    assert_same(&cloud, &local);
    assert!(names(&objects(&cloud)).contains(&"metrics/part-00002.parquet"));
}

#[test]
fn cut_off_at_any_request_it_ends_the_same() {
    let mut cuts = 0;
    for requests in 0.. {
        let (cloud, local) = (Cut::new(), Local::new());
        // A run that was copied whole, and went on to a row after its checkpoint.
        let store = local.open(&Seal::default());
        let first = local.step(&store, 1, 10);
        write(&store, 2);
        store.finish().unwrap();
        shipper(&cloud, &local, &Seal::default(), 0).unwrap().pass().unwrap();
        let superseded = objects(&cloud)["metrics/part-00001.parquet"].clone();

        // It goes on from the checkpoint, to a row in a part of the same name.
        let store = local.open(&first);
        cloud.after(requests);
        let claimed = shipper(&cloud, &local, &first, 1);
        let mut was_cut = claimed.is_err();
        let again = |_| {
            cloud.heal();
            shipper(&cloud, &local, &first, 1)
        };
        let mut copying = claimed.or_else(again).unwrap();
        let second = local.step(&store, 20, CHUNK as usize + 10);
        local.forget(1);
        store.finish().unwrap();
        if copying.pass().is_err() {
            (was_cut, cuts) = (true, cuts + 1);
            cloud.heal();
            let store = local.open(&second);
            shipper(&cloud, &local, &second, 20).unwrap().pass().unwrap();
            store.finish().unwrap();
        }
        cloud.heal();
        assert_same(&cloud, &local);
        let kept = objects(&cloud);
        let aside = kept.iter().filter(|it| it.0.ends_with("metrics/part-00001.parquet"));
        assert!(aside.clone().any(|it| *it.1 == superseded), "{:?}", names(&kept));
        if !was_cut {
            break;
        }
    }
    assert!(cuts > 5, "only {cuts} attempts to copy were cut off");
}

#[test]
fn a_large_part_is_created_on_the_same_condition() {
    let (cloud, local) = (Cut::new(), Local::new());
    let remote = remote(&cloud);
    let file = local.path().join("large");
    fs::write(&file, vec![7; 2 * CHUNK as usize + 1]).unwrap();
    let create =
        || remote.create_file("metrics/part-00000.parquet", &mut Source::open(&file).unwrap());
    create().unwrap();
    // The answer to the first attempt may have been lost.
    create().unwrap();
    let first = objects(&cloud);
    assert_eq!(names(&first), ["metrics/part-00000.parquet"]);
    fs::write(&file, vec![8; 2 * CHUNK as usize + 1]).unwrap();
    let error = create().unwrap_err();
    assert!(matches!(error, Error::Foreign { .. }), "{error}");
    assert!(objects(&cloud) == first, "it was written over");
}

#[test]
fn of_two_processes_that_believe_to_be_the_run_the_later_one_has_it() {
    let (cloud, one, other) = (Cut::new(), Local::new(), Local::new());
    let mine = one.open(&Seal::default());
    let mirror = Mirror::start(remote(&cloud), one.path(), "id", &Seal::default(), 0).unwrap();
    let seal = one.step(&mine, 1, 10);
    write(&mine, 2);
    mine.seal().unwrap();
    // All of it is in the store when the other one begins, from the checkpoint.
    eventually(|| objects(&cloud).contains_key("metrics/part-00001.parquet"));
    eventually(|| remote(&cloud).steps().unwrap() == [1]);
    fetch(&remote(&cloud), other.path(), &seal);
    let theirs = other.open(&seal);
    let second = Mirror::start(remote(&cloud), other.path(), "id", &seal, 1).unwrap();
    write(&mine, 3);
    mine.finish().unwrap();
    let error = mirror.finish().unwrap_err();
    assert!(matches!(error, Error::Taken { .. }), "{error}");
    other.step(&theirs, 20, 10);
    theirs.finish().unwrap();
    second.finish().unwrap();
    assert_same(&cloud, &other);
}

#[test]
fn who_lost_the_run_in_the_middle_of_copying_copies_and_removes_no_more() {
    let mut lost = 0;
    for requests in 1.. {
        let (cloud, local) = (Cut::new(), Local::new());
        let store = local.open(&Seal::default());
        local.step(&store, 1, 10);
        let mut copying = shipper(&cloud, &local, &Seal::default(), 0).unwrap();
        copying.pass().unwrap();
        local.step(&store, 2, 10);
        local.step(&store, 3, 10);
        local.forget(1);
        store.finish().unwrap();
        cloud.until_taken.store(requests, Ordering::Relaxed);
        let copied = copying.pass();
        let Some(before) = cloud.seen.lock().unwrap().take() else {
            copied.unwrap();
            assert!(lost > 10, "lost {lost} times only");
            return;
        };
        // The request that was on its way.
        let after = cloud.reader_sees();
        let changed: Vec<_> = before.symmetric_difference(&after).collect();
        assert!(changed.len() <= 1, "{requests}: {changed:?}");
        if let Err(error) = copied {
            assert!(matches!(error, Error::Taken { .. }), "{error}");
            lost += 1;
        }
    }
}

#[test]
fn a_checkpoint_that_the_run_removed_stays_until_there_is_another() {
    let (cloud, local) = (Cut::new(), Local::new());
    let store = local.open(&Seal::default());
    local.step(&store, 1, 10);
    let mut copying = shipper(&cloud, &local, &Seal::default(), 0).unwrap();
    copying.pass().unwrap();
    local.forget(1);
    copying.pass().unwrap();
    assert_eq!(remote(&cloud).steps().unwrap(), [1]);
    local.step(&store, 2, 10);
    copying.pass().unwrap();
    store.finish().unwrap();
    assert_eq!(remote(&cloud).steps().unwrap(), [2]);
    copying.pass().unwrap();
    assert_same(&cloud, &local);
}

#[test]
fn what_is_half_copied_when_the_run_removes_it_is_removed_too() {
    let mut halves = 0;
    for requests in 0.. {
        let (cloud, local) = (Cut::new(), Local::new());
        let store = local.open(&Seal::default());
        let mut copying = shipper(&cloud, &local, &Seal::default(), 0).unwrap();
        local.step(&store, 1, 10);
        cloud.after(requests);
        let was_cut = copying.pass().is_err();
        cloud.heal();
        let is_half = objects(&cloud).keys().any(|it| it.starts_with("checkpoints/step-00000001"));
        halves += u64::from(was_cut && is_half);
        local.forget(1);
        local.step(&store, 2, 10);
        store.finish().unwrap();
        copying.pass().unwrap();
        assert_same(&cloud, &local);
        if !was_cut {
            assert!(halves > 0, "no checkpoint was cut off in the middle");
            return;
        }
    }
}

#[test]
fn a_later_checkpoint_is_set_aside_whole_also_when_that_is_cut_off() {
    for requests in 0.. {
        let (cloud, local) = (Cut::new(), Local::new());
        let store = local.open(&Seal::default());
        let first = local.step(&store, 1, 10);
        let second = local.step(&store, 2, 10);
        store.finish().unwrap();
        shipper(&cloud, &local, &Seal::default(), 0).unwrap().pass().unwrap();
        let before = objects(&cloud);
        // The second one is damaged here, so that the run goes on from the first.
        local.forget(2);
        local.open(&first).finish().unwrap();
        cloud.after(requests);
        let was_cut = shipper(&cloud, &local, &first, 1).is_err();
        cloud.heal();
        // A machine that is lost now finds a checkpoint and all that it counts on.
        let seal = if remote(&cloud).steps().unwrap() == [1, 2] { &second } else { &first };
        remote(&cloud).fetch_tables(Local::new().path(), seal).unwrap();
        shipper(&cloud, &local, &first, 1).unwrap().pass().unwrap();
        assert_same(&cloud, &local);
        let after = objects(&cloud);
        for (name, bytes) in before.iter().filter(|it| it.0.contains("step-00000002")) {
            let mut kept = after.iter().filter(|it| it.0.starts_with("superseded/"));
            assert!(kept.any(|it| it.0.ends_with(name) && it.1 == bytes), "{name} is gone");
        }
        if !was_cut {
            assert!(requests > 5, "cut off {requests} times only");
            return;
        }
    }
}

#[test]
fn the_folder_of_another_run_is_refused_and_left_alone() {
    let (cloud, local) = (Cut::new(), Local::new());
    remote(&cloud).claim(local.path(), "another", &Seal::default(), 0).unwrap();
    let before = objects(&cloud);
    let error = Mirror::start(remote(&cloud), local.path(), "id", &Seal::default(), 0).err();
    let Some(Error::Owned { run, .. }) = error else { panic!("{error:?}") };
    assert_eq!(run, "another");
    assert_eq!(objects(&cloud), before);
}

#[test]
fn an_outage_is_told_once_and_made_good() {
    let (cloud, local) = (Cut::new(), Local::new());
    let store = local.open(&Seal::default());
    let mirror = Mirror::start(remote(&cloud), local.path(), "id", &Seal::default(), 0).unwrap();
    cloud.after(0);
    local.step(&store, 1, 10);
    let wait = Duration::from_secs(60);
    let away = mirror.news().recv_timeout(wait).unwrap();
    assert!(away.contains("mem://runs/first") && away.contains("the cable is cut"), "{away}");
    mirror.check().unwrap();
    cloud.heal();
    let back = mirror.news().recv_timeout(wait).unwrap();
    assert!(back.contains("is back"), "{back}");
    store.finish().unwrap();
    mirror.finish().unwrap();
    assert_same(&cloud, &local);
}

#[test]
fn a_lost_folder_is_made_again() {
    let (cloud, local) = (Cut::new(), Local::new());
    let store = local.open(&Seal::default());
    local.step(&store, 1, 10);
    let seal = local.step(&store, 2, CHUNK as usize + 10);
    write(&store, 3);
    store.finish().unwrap();
    let whole = local.files();
    shipper(&cloud, &local, &Seal::default(), 0).unwrap().pass().unwrap();

    let remote = remote(&cloud);
    assert_eq!(
        (remote.owner().unwrap().as_deref(), remote.steps().unwrap()),
        (Some("id"), vec![1, 2])
    );
    let again = Local::new();
    fetch(&remote, again.path(), &seal);
    assert_eq!(names(&again.files()), names(&whole));
    assert!(again.files() == whole, "the bytes differ; also of what came after the checkpoint");
    again.open(&seal).finish().unwrap();

    // An earlier attempt fetched what the store has no longer, or has otherwise.
    let stale = Local::new();
    let store = stale.open(&Seal::default());
    (40..45).for_each(|it| drop((write(&store, it), store.seal().unwrap())));
    store.finish().unwrap();
    fetch(&remote, stale.path(), &seal);
    assert!(stale.files() == whole, "{:?}", names(&stale.files()));
    assert!(stale.path().join("superseded/0/metrics/part-00004.parquet").exists());

    remote.delete("metrics/part-00000.parquet").unwrap();
    let error = remote.fetch_tables(Local::new().path(), &seal).unwrap_err();
    let Error::Gone { place } = &error else { panic!("{error}") };
    assert_eq!(place, "mem://runs/first/metrics/part-00000.parquet");
}

#[test]
fn what_was_there_is_set_aside_whole_also_when_it_is_cut_off() {
    for requests in 0.. {
        let (cloud, local) = (Cut::new(), Local::new());
        let store = local.open(&Seal::default());
        local.step(&store, 1, 10);
        store.finish().unwrap();
        shipper(&cloud, &local, &Seal::default(), 0).unwrap().pass().unwrap();
        let before = objects(&cloud);

        cloud.after(requests);
        let was_cut = remote(&cloud).set_aside().is_err();
        cloud.heal();
        if was_cut {
            remote(&cloud).set_aside().unwrap();
        }
        assert_eq!(objects(&cloud), BTreeMap::new());
        let aside = remote(&cloud).beside(1).unwrap();
        let found = aside.list("").unwrap().into_keys();
        let found = found.map(|it| (it.clone(), aside.read(&it).unwrap().unwrap())).collect();
        assert!(before == found, "{requests}: {:?}", names(&found));
        assert!(remote(&cloud).beside(2).unwrap().list("").unwrap().is_empty());
        if !was_cut {
            assert!(requests > 10, "cut off {requests} times only");
            return;
        }
    }
}

#[test]
fn a_folder_of_another_disk_will_do() {
    let (local, disk) = (Local::new(), tempfile::tempdir().unwrap());
    let url = format!("file://{}/runs/first/", disk.path().display());
    let store = local.open(&Seal::default());
    let remote = Remote::open(&url).unwrap();
    let mirror = Mirror::start(remote, local.path(), "id", &Seal::default(), 0).unwrap();
    local.step(&store, 1, CHUNK as usize + 10);
    store.finish().unwrap();
    mirror.finish().unwrap();
    let mut found = BTreeMap::new();
    collect(&disk.path().join("runs"), "first", &mut found);
    for (name, bytes) in local.files() {
        assert!(found[&format!("first/{name}")] == bytes, "{name} differs");
    }
    let again = Remote::open(&url).unwrap();
    assert_eq!(again.steps().unwrap(), [1]);
}
