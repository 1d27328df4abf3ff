mod cut;
mod local;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use cut::Cut;
use local::{Local, collect, write};

use super::requests::{CHUNK, Source};
use super::upload::Uploader;
use super::*;
use crate::Watermark;
use crate::checkpoint_names::step_name;

fn remote(store: &Arc<Cut>) -> Remote {
    Remote::over(store.clone(), Key::from("runs/first"), "mem://runs/first".into()).unwrap()
}

/// All objects in the store, by their names in the run's folder.
fn objects(store: &Arc<Cut>) -> BTreeMap<String, Vec<u8>> {
    let remote = remote(store);
    let names = remote.list("").unwrap();
    names.into_keys().map(|it| (it.clone(), remote.read(&it).unwrap().unwrap())).collect()
}

/// Restores a run's folder, as a new machine does.
fn fetch(remote: &Remote, dir: &Path, watermark: &Watermark) {
    for step in remote.steps().unwrap() {
        let folder = dir.join(format!("checkpoints/{}", step_name(step)));
        fs::create_dir_all(&folder).unwrap();
        remote.fetch_checkpoint(step, &folder).unwrap();
    }
    remote.fetch_tables(dir, watermark).unwrap();
}

fn uploader(store: &Arc<Cut>, local: &Local, watermark: &Watermark, at: u64) -> Result<Uploader> {
    Uploader::start(remote(store), local.path(), "id", watermark, at)
}

/// Checks that the store has the files of the folder, and no others that a reader would find.
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
    let store = local.open(&Watermark::default());
    let mirror =
        Mirror::start(remote(&cloud), local.path(), "id", &Watermark::default(), 0).unwrap();
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
        // A run that was copied completely, with a row after its checkpoint.
        let store = local.open(&Watermark::default());
        let first = local.step(&store, 1, 10);
        write(&store, 2);
        store.finish().unwrap();
        uploader(&cloud, &local, &Watermark::default(), 0).unwrap().upload_missing().unwrap();
        let superseded = objects(&cloud)["metrics/part-00001.parquet"].clone();

        // It resumes from the checkpoint, and writes a row in a part of the same name.
        let store = local.open(&first);
        cloud.after(requests);
        let acquired = uploader(&cloud, &local, &first, 1);
        let mut was_cut = acquired.is_err();
        let again = |_| {
            cloud.heal();
            uploader(&cloud, &local, &first, 1)
        };
        let mut uploading = acquired.or_else(again).unwrap();
        let second = local.step(&store, 20, CHUNK as usize + 10);
        local.remove_checkpoint(1);
        store.finish().unwrap();
        if uploading.upload_missing().is_err() {
            (was_cut, cuts) = (true, cuts + 1);
            cloud.heal();
            let store = local.open(&second);
            uploader(&cloud, &local, &second, 20).unwrap().upload_missing().unwrap();
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
fn a_large_part_is_created_only_if_none_exists() {
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
    assert!(matches!(error, Error::ObjectConflict { .. }), "{error}");
    assert!(objects(&cloud) == first, "it was overwritten");
}

#[test]
fn if_two_processes_run_the_same_run_the_newer_takes_over() {
    let (cloud, one, other) = (Cut::new(), Local::new(), Local::new());
    let mine = one.open(&Watermark::default());
    let mirror = Mirror::start(remote(&cloud), one.path(), "id", &Watermark::default(), 0).unwrap();
    let watermark = one.step(&mine, 1, 10);
    write(&mine, 2);
    mine.sync().unwrap();
    // All of it is in the store when the other one resumes from the checkpoint.
    cloud.wait_for("metrics/part-00001.parquet");
    cloud.wait_for("checkpoints/step-00000001/SHA256SUMS");
    assert_eq!(remote(&cloud).steps().unwrap(), [1]);
    fetch(&remote(&cloud), other.path(), &watermark);
    let theirs = other.open(&watermark);
    let second = Mirror::start(remote(&cloud), other.path(), "id", &watermark, 1).unwrap();
    write(&mine, 3);
    mine.finish().unwrap();
    let error = mirror.finish().unwrap_err();
    assert!(matches!(error, Error::LeaseLost { .. }), "{error}");
    other.step(&theirs, 20, 10);
    theirs.finish().unwrap();
    second.finish().unwrap();
    assert_same(&cloud, &other);
}

#[test]
fn a_process_that_loses_the_lease_uploads_and_removes_nothing_more() {
    let mut lost = 0;
    for requests in 1.. {
        let (cloud, local) = (Cut::new(), Local::new());
        let store = local.open(&Watermark::default());
        local.step(&store, 1, 10);
        let mut uploading = uploader(&cloud, &local, &Watermark::default(), 0).unwrap();
        uploading.upload_missing().unwrap();
        local.step(&store, 2, 10);
        local.step(&store, 3, 10);
        local.remove_checkpoint(1);
        store.finish().unwrap();
        cloud.until_taken.store(requests, Ordering::Relaxed);
        let copied = uploading.upload_missing();
        let Some(before) = cloud.seen.lock().unwrap().take() else {
            copied.unwrap();
            assert!(lost > 10, "lost {lost} times only");
            return;
        };
        // At most the request that was in progress.
        let after = cloud.reader_sees();
        let changed: Vec<_> = before.symmetric_difference(&after).collect();
        assert!(changed.len() <= 1, "{requests}: {changed:?}");
        if let Err(error) = copied {
            assert!(matches!(error, Error::LeaseLost { .. }), "{error}");
            lost += 1;
        }
    }
}

#[test]
fn a_checkpoint_that_the_run_removed_stays_until_there_is_another() {
    let (cloud, local) = (Cut::new(), Local::new());
    let store = local.open(&Watermark::default());
    local.step(&store, 1, 10);
    let mut uploading = uploader(&cloud, &local, &Watermark::default(), 0).unwrap();
    uploading.upload_missing().unwrap();
    local.remove_checkpoint(1);
    uploading.upload_missing().unwrap();
    assert_eq!(remote(&cloud).steps().unwrap(), [1]);
    local.step(&store, 2, 10);
    uploading.upload_missing().unwrap();
    store.finish().unwrap();
    assert_eq!(remote(&cloud).steps().unwrap(), [2]);
    uploading.upload_missing().unwrap();
    assert_same(&cloud, &local);
}

#[test]
fn a_checkpoint_that_is_removed_during_its_upload_is_removed_from_the_store() {
    let mut halves = 0;
    for requests in 0.. {
        let (cloud, local) = (Cut::new(), Local::new());
        let store = local.open(&Watermark::default());
        let mut uploading = uploader(&cloud, &local, &Watermark::default(), 0).unwrap();
        local.step(&store, 1, 10);
        cloud.after(requests);
        let was_cut = uploading.upload_missing().is_err();
        cloud.heal();
        let is_half = objects(&cloud).keys().any(|it| it.starts_with("checkpoints/step-00000001"));
        halves += u64::from(was_cut && is_half);
        local.remove_checkpoint(1);
        local.step(&store, 2, 10);
        store.finish().unwrap();
        uploading.upload_missing().unwrap();
        assert_same(&cloud, &local);
        if !was_cut {
            assert!(halves > 0, "no checkpoint was cut off in the middle");
            return;
        }
    }
}

#[test]
fn a_later_checkpoint_is_superseded_completely_even_after_an_interruption() {
    for requests in 0.. {
        let (cloud, local) = (Cut::new(), Local::new());
        let store = local.open(&Watermark::default());
        let first = local.step(&store, 1, 10);
        let second = local.step(&store, 2, 10);
        store.finish().unwrap();
        uploader(&cloud, &local, &Watermark::default(), 0).unwrap().upload_missing().unwrap();
        let before = objects(&cloud);
        // The second one is damaged here, so the run resumes from the first.
        local.remove_checkpoint(2);
        local.open(&first).finish().unwrap();
        cloud.after(requests);
        let was_cut = uploader(&cloud, &local, &first, 1).is_err();
        cloud.heal();
        // If this machine is lost now, the store has a checkpoint and all parts it depends on.
        let watermark = if remote(&cloud).steps().unwrap() == [1, 2] { &second } else { &first };
        remote(&cloud).fetch_tables(Local::new().path(), watermark).unwrap();
        uploader(&cloud, &local, &first, 1).unwrap().upload_missing().unwrap();
        assert_same(&cloud, &local);
        let after = objects(&cloud);
        for (name, bytes) in before.iter().filter(|it| it.0.contains("step-00000002")) {
            let mut kept = after.iter().filter(|(kept, _)| kept.starts_with("superseded/"));
            assert!(
                kept.any(|(kept, found)| kept.ends_with(name) && found == bytes),
                "{name} is gone"
            );
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
    remote(&cloud).acquire(local.path(), "another", &Watermark::default(), 0).unwrap();
    let before = objects(&cloud);
    let error = Mirror::start(remote(&cloud), local.path(), "id", &Watermark::default(), 0).err();
    let Some(Error::OtherRun { run_id, .. }) = error else { panic!("{error:?}") };
    assert_eq!(run_id, "another");
    assert_eq!(objects(&cloud), before);
}

#[test]
fn an_outage_is_reported_once_and_made_up_for() {
    let (cloud, local) = (Cut::new(), Local::new());
    let store = local.open(&Watermark::default());
    let mirror =
        Mirror::start(remote(&cloud), local.path(), "id", &Watermark::default(), 0).unwrap();
    cloud.after(0);
    local.step(&store, 1, 10);
    let away = mirror.notices().recv().unwrap();
    assert!(away.contains("mem://runs/first") && away.contains("the cable is cut"), "{away}");
    mirror.check().unwrap();
    cloud.heal();
    let back = mirror.notices().recv().unwrap();
    assert!(back.contains("is back"), "{back}");
    store.finish().unwrap();
    mirror.finish().unwrap();
    assert_same(&cloud, &local);
}

#[test]
fn a_lost_folder_is_restored() {
    let (cloud, local) = (Cut::new(), Local::new());
    let store = local.open(&Watermark::default());
    local.step(&store, 1, 10);
    let watermark = local.step(&store, 2, CHUNK as usize + 10);
    write(&store, 3);
    store.finish().unwrap();
    let whole = local.files();
    uploader(&cloud, &local, &Watermark::default(), 0).unwrap().upload_missing().unwrap();

    let remote = remote(&cloud);
    assert_eq!(
        (remote.owner().unwrap().as_deref(), remote.steps().unwrap()),
        (Some("id"), vec![1, 2])
    );
    let again = Local::new();
    fetch(&remote, again.path(), &watermark);
    assert_eq!(names(&again.files()), names(&whole));
    assert!(again.files() == whole, "the bytes differ; also those after the checkpoint");
    again.open(&watermark).finish().unwrap();

    // An earlier attempt fetched parts that the store no longer has, or that differ now.
    let stale = Local::new();
    let store = stale.open(&Watermark::default());
    (40..45).for_each(|it| drop((write(&store, it), store.sync().unwrap())));
    store.finish().unwrap();
    fetch(&remote, stale.path(), &watermark);
    assert!(stale.files() == whole, "{:?}", names(&stale.files()));
    assert!(stale.path().join("superseded/0/metrics/part-00004.parquet").exists());

    remote.delete("metrics/part-00000.parquet").unwrap();
    let error = remote.fetch_tables(Local::new().path(), &watermark).unwrap_err();
    let Error::MissingObject { url } = &error else { panic!("{error}") };
    assert_eq!(url, "mem://runs/first/metrics/part-00000.parquet");
}

#[test]
fn the_folder_is_renamed_completely_even_after_an_interruption() {
    for requests in 0.. {
        let (cloud, local) = (Cut::new(), Local::new());
        let store = local.open(&Watermark::default());
        local.step(&store, 1, 10);
        store.finish().unwrap();
        uploader(&cloud, &local, &Watermark::default(), 0).unwrap().upload_missing().unwrap();
        let before = objects(&cloud);

        cloud.after(requests);
        let was_cut = remote(&cloud).rename_folder().is_err();
        cloud.heal();
        if was_cut {
            remote(&cloud).rename_folder().unwrap();
        }
        assert_eq!(objects(&cloud), BTreeMap::new());
        let aside = remote(&cloud).numbered(1).unwrap();
        let found = aside.list("").unwrap().into_keys();
        let found = found.map(|it| (it.clone(), aside.read(&it).unwrap().unwrap())).collect();
        assert!(before == found, "{requests}: {:?}", names(&found));
        assert!(remote(&cloud).numbered(2).unwrap().list("").unwrap().is_empty());
        if !was_cut {
            assert!(requests > 10, "cut off {requests} times only");
            return;
        }
    }
}

#[test]
fn a_folder_on_another_disk_works_too() {
    let (local, disk) = (Local::new(), tempfile::tempdir().unwrap());
    let url = format!("file://{}/runs/first/", disk.path().display());
    let store = local.open(&Watermark::default());
    let remote = Remote::open(&url).unwrap();
    let mirror = Mirror::start(remote, local.path(), "id", &Watermark::default(), 0).unwrap();
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
