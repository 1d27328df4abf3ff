//! `onward train` on real video: what a run writes, and that it is reproducible.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use support::onward;
use support::{Setup, Table, assert_balanced, assert_finished, finish, looped, media, once};

/// Metrics that are measured with a clock, and so differ from run to run.
const CLOCKED: [&str; 4] = ["clips_per_second", "data_wait", "step_seconds", "clip_age_seconds"];

#[test]
fn three_real_clips_as_file_folder_and_glob() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["street.mp4", "tree.mp4", "cup.mp4"] {
        symlink(media(name), folder.path().join(name)).unwrap();
    }
    let archive = looped("archive", folder.path());
    let glob = looped("pattern", media("*.mp4"));
    let setup = Setup::new(&[looped("street", media("street.mp4")), archive, glob]);
    let done = setup.train(&["model.train.steps=60", "storage.rows_per_part=200"]).ended_with(0);

    let run = setup.run().display().to_string();
    let tables = ["metrics", "embeddings", "streams"];
    done.complains(&["step 1/60", "step 60/60", "loss", "clips/s", "data wait", "ETA"])
        .prints(&["60 steps", "street: stopped", "archive: stopped", "pattern: stopped"])
        .prints(&tables.map(|it| format!("{run}/{it}/*.parquet")).each_ref().map(|it| &it[..]))
        .prints(&["checkpoints/step-00000060/encoder.safetensors", "duckdb -c \"SELECT"]);
    for name in tables {
        assert!(setup.table(name).rows() > 0, "{name} is empty");
    }
    assert!(setup.table("metrics").parts > 1, "200 rows per part make more than one part");
    let streams = setup.table("streams");
    assert_balanced(&streams);
    for (stream, trained) in streams.sums("trained") {
        assert!(trained > 0, "nothing was learned from {stream}");
    }
    assert_finished(&setup.run());
    for name in ["config.toml", "environment.json", "views.sql"] {
        assert!(setup.run().join(name).is_file(), "{name} is missing");
    }
}

#[test]
fn every_metric_is_stored_and_finite() {
    let setup = Setup::new(&[looped("tree", media("tree.mp4"))]);
    setup.train(&["model.train.steps=9", "log_every=4"]).ended_with(0);
    let metrics = setup.table("metrics");
    let spreads = ["variance", "covariance"]
        .iter()
        .flat_map(|it| ["frame", "predicted", "teacher"].map(|of| format!("{it}_{of}")));
    let names = [
        "loss",
        "mse",
        "ce_cls",
        "ce_patch",
        "copy_mse",
        "copy_ratio",
        "teacher_entropy_cls",
        "teacher_entropy_patch",
        "grad_norm",
        "learning_rate",
        "learning_rate_motion",
    ];
    let names = names.into_iter().chain(CLOCKED).map(String::from).chain(spreads);
    for name in names {
        let values = metrics.metric(&name);
        let steps: Vec<i64> = values.iter().map(|it| it.0).collect();
        assert_eq!(steps, [1, 4, 8, 9], "{name} at the first step, every fourth and the last");
        assert!(values.iter().all(|it| it.1.is_finite()), "{name}: {values:?}");
    }
    assert!(metrics.text("run").iter().all(|it| it == "first"), "the run is its folder's name");
}

#[test]
fn the_metrics_are_what_their_names_say() {
    let setup = Setup::new(&[looped("street", media("street.mp4"))]);
    setup.train(&["log_every=1"]).ended_with(0);
    let metrics = setup.table("metrics");
    let of = |name: &str| metrics.metric(name).into_iter().map(|it| it.1).collect::<Vec<_>>();
    let [loss, mse, cls, patch] = ["loss", "mse", "ce_cls", "ce_patch"].map(of);
    let [copy, ratio] = ["copy_mse", "copy_ratio"].map(of);
    let [rate, motion] = ["learning_rate", "learning_rate_motion"].map(of);
    for step in 0..10 {
        let expected = 1.5 * mse[step] + 0.75 * cls[step] + 0.75 * patch[step];
        assert!((loss[step] / expected - 1.0).abs() < 1e-5, "{} is not {expected}", loss[step]);
        assert!((ratio[step] * copy[step] / mse[step] - 1.0).abs() < 1e-5);
        let risen = 1e-3 * ((step + 1) as f64 / 4.0).min(1.0);
        assert!((rate[step] / risen - 1.0).abs() < 1e-3, "{rate:?} does not rise in 4 steps");
        assert!((motion[step] / rate[step] - 0.03).abs() < 1e-6, "{motion:?} beside {rate:?}");
    }
    let entropies = ["teacher_entropy_cls", "teacher_entropy_patch"].map(of).concat();
    let most = 32_f64.ln() + 1e-4;
    assert!(entropies.iter().all(|it| (0.0..=most).contains(it)), "32 prototypes: {entropies:?}");
    assert!(loss[9] < loss[0], "ten steps did not lower the loss: {loss:?}");
}

#[test]
fn the_same_seed_gives_the_same_numbers_and_another_seed_others() {
    let streams = [looped("street", media("street.mp4")), looped("tree", media("tree.mp4"))];
    let [first, second, other] = [(); 3].map(|()| Setup::new(&streams));
    first.train(&[]).ended_with(0);
    second.train(&[]).ended_with(0);
    other.train(&["seed=2"]).ended_with(0);
    assert_same(&first.run(), &second.run());
    let [a, b] = [&first, &other].map(|it| numbers(&it.run()));
    assert_eq!(a.len(), b.len());
    assert_ne!(a, b, "another seed gave the same metrics");
    let [a, b] = [&first, &other].map(|it| it.table("embeddings").vectors());
    assert_ne!(a, b, "another seed gave the same embeddings");
}

#[test]
fn a_run_can_be_repeated_from_the_config_that_it_writes() {
    let setup = Setup::new(&[looped("street", media("street.mp4"))]);
    setup.train(&["model.train.weight_decay=0.2", "model.train.accumulate=2"]).ended_with(0);
    let again = setup.path("runs/again");
    let mut command = onward(&["train"]);
    command.arg(setup.run().join("config.toml"));
    command.arg("--set").arg(format!("storage.dir={}", again.display()));
    finish(command).ended_with(0);
    assert_same(&setup.run(), &again);
}

/// Steps, names and values of the metrics that are not measured with a clock.
fn numbers(run: &Path) -> Vec<(i64, String, u64)> {
    let metrics = Table::read(run, "metrics");
    let values = metrics.reals("value").into_iter().map(f64::to_bits);
    let rows = metrics.counts("step").into_iter().zip(metrics.text("name")).zip(values);
    let rows = rows.map(|((step, name), value)| (step, name, value));
    rows.filter(|it| !CLOCKED.contains(&&it.1[..])).collect()
}

/// The runs have the same metrics and the same embeddings of the same frames, bit for bit.
fn assert_same(a: &Path, b: &Path) {
    let [a_numbers, b_numbers] = [a, b].map(numbers);
    assert!(!a_numbers.is_empty());
    assert_eq!(a_numbers, b_numbers, "the metrics differ");
    let [a, b] = [a, b].map(|it| Table::read(it, "embeddings"));
    assert!(a.rows() > 0);
    for name in ["stream", "item"] {
        assert_eq!(a.text(name), b.text(name), "the embeddings are of other frames");
    }
    assert_eq!(a.reals("pts"), b.reals("pts"), "the embeddings are of other frames");
    assert_eq!(a.vectors(), b.vectors(), "the embeddings differ");
}

#[test]
fn embeddings_name_their_frame() {
    let glob = media("*e*.mp4");
    let setup = Setup::new(&[looped("cup", media("cup.mp4")), looped("two", &glob)]);
    setup.train(&["model.train.steps=30", "embed_every=5"]).ended_with(0);
    let table = setup.table("embeddings");
    let steps: Vec<i64> = (5..=30).step_by(5).flat_map(|it| [it; 4]).collect();
    assert_eq!(table.counts("step"), steps, "four clips a batch, every fifth step");
    assert!(table.text("encoder").iter().all(|it| it == "teacher"));
    assert!(table.vectors().iter().all(|it| it.len() == 24 && it.iter().all(|it| it.is_finite())));

    // The frame rate and the number of frames of each file, by other tools than ours.
    let files = [("cup", 26.777, 217), ("street", 10.0, 600), ("tree", 1e6 / 66_667.0, 449)];
    let frames = table.text("item").into_iter().zip(table.reals("pts")).zip(table.text("stream"));
    for ((item, pts), stream) in frames {
        let name = Path::new(&item).file_stem().unwrap().to_str().unwrap();
        assert_eq!(item, media(&format!("{name}.mp4")));
        assert_eq!(stream == "cup", name == "cup", "{stream} does not read {item}");
        let (_, rate, count) = files.into_iter().find(|it| it.0 == name).unwrap();
        let frame = pts * rate;
        assert!((frame - frame.round()).abs() < 0.01, "{item} shows no frame at {pts} s");
        assert!((0.0..f64::from(count)).contains(&frame.round()), "{pts} s is outside of {item}");
    }
    let epochs = table.counts("epoch").into_iter().zip(table.text("stream"));
    let cup: Vec<i64> = epochs.filter(|it| it.1 == "cup").map(|it| it.0).collect();
    assert!(cup.contains(&0) && cup.contains(&1), "8 s of video were not read twice: {cup:?}");
    for name in ["loss_mse", "loss_copy_mse"] {
        assert!(table.floats(name).iter().all(|it| *it > 0.0), "{name}");
    }
}

#[test]
fn embeddings_are_of_the_encoder_and_the_tokens_that_were_asked_for() {
    let embedded = |set: &str| {
        let setup = Setup::new(&[looped("tree", media("tree.mp4"))]);
        setup.train(&[set]).ended_with(0);
        let table = setup.table("embeddings");
        let encoders = table.text("encoder");
        assert!(encoders.iter().all(|it| *it == encoders[0]));
        (encoders[0].clone(), table.reals("pts"), table.vectors())
    };
    let (teacher, times, plain) = embedded("model.embed.pool=cls");
    let (student, student_times, by_student) = embedded("model.embed.encoder=student");
    let (encoder, patch_times, patches) = embedded("model.embed.pool=mean");
    assert_eq!([&teacher[..], &student, &encoder], ["teacher", "student", "teacher"]);
    assert_eq!((&times, &times), (&student_times, &patch_times), "the frames are the same");
    assert_ne!(plain, by_student);
    assert_ne!(plain, patches);
}

#[test]
fn no_embeddings_when_none_are_wanted() {
    let setup = Setup::new(&[looped("tree", media("tree.mp4"))]);
    setup.train(&["embed_every=0"]).ended_with(0);
    assert_eq!(setup.table("embeddings").parts, 0);
    assert!(setup.table("metrics").rows() > 0);
}

#[test]
fn a_run_ends_when_its_streams_do() {
    let setup = Setup::new(&[once("cup", media("cup.mp4"))]);
    let done = setup.train(&["model.train.steps=1000", "pipeline.clip.cut_threshold=0"]);
    done.ended_with(0).prints(&["cup: ended; 217 frames decoded"]);
    let streams = setup.table("streams");
    assert_balanced(&streams);
    assert_eq!(streams.sums("decoded")["cup"], 217, "the file holds 217 frames");
    assert_eq!((streams.sums("epochs")["cup"], streams.sums("errors")["cup"]), (1, 0));
    assert_eq!(streams.last("cup"), ("ended".into(), String::new()));
    // A clip every 0.2 s of 8.1 s, the last of which must still fit.
    let clips = streams.sums("clips")["cup"];
    assert!((36..=41).contains(&clips), "{clips} clips");
    let last = setup.table("metrics").counts("step").into_iter().max().unwrap();
    assert!((8..=10).contains(&last), "four clips per step: {last} steps");
}

#[test]
fn synthetic_video_needs_no_file() {
    let source = "{ synthetic = { frames = 100, fps = 20, cuts = [50, 57] } }";
    let stream = format!("[[pipeline.stream]]\nname = \"drawn\"\nsource = {source}\n");
    let setup = Setup::new(&[stream]);
    // Clips without gaps between them: at least one spans one of the two cuts.
    let sets = ["model.train.steps=1000", "pipeline.clip.hop=0"];
    setup.train(&sets).ended_with(0).prints(&["drawn: ended"]);
    let streams = setup.table("streams");
    assert_balanced(&streams);
    assert_eq!(streams.sums("decoded")["drawn"], 100);
    assert!(streams.sums("scene_cut")["drawn"] > 0, "the clip is dropped");
    assert!(streams.sums("trained")["drawn"] > 0);
}

#[test]
fn the_checkpoint_holds_the_teacher_with_dinov2_names() {
    let setup = Setup::new(&[looped("tree", media("tree.mp4"))]);
    setup.train(&[]).ended_with(0);
    let bytes = fs::read(setup.run().join("checkpoints/step-00000010/encoder.safetensors"));
    let bytes = bytes.unwrap();
    let (length, rest) = bytes.split_at(8);
    let length = u64::from_le_bytes(length.try_into().unwrap()) as usize;
    let header: serde_json::Value = serde_json::from_slice(&rest[..length]).unwrap();
    for (name, shape) in [
        ("cls_token", vec![1, 1, 24]),
        ("pos_embed", vec![1, 17, 24]),
        ("patch_embed.proj.weight", vec![24, 3, 8, 8]),
        ("blocks.0.attn.qkv.weight", vec![72, 24]),
        ("blocks.0.mlp.fc2.bias", vec![24]),
        ("norm.weight", vec![24]),
    ] {
        assert_eq!(header[name]["shape"], serde_json::json!(shape), "{name}");
    }
    let weights = rest[length..].chunks(4).map(|it| f32::from_le_bytes(it.try_into().unwrap()));
    let weights: Vec<f32> = weights.collect();
    // Patches, [CLS], positions, one block, the last norm.
    assert_eq!(weights.len(), (24 * 192 + 24) + 24 + 17 * 24 + (12 * 24 * 24 + 13 * 24) + 48);
    assert!(weights.iter().all(|it| it.is_finite()));
}
