//! `onward evaluate` on a benchmark that `onward benchmark make` draws.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use pipeline::{FileFrames, Fit};
use serde_json::Value;
use support::{Done, Setup, files, finish, looped, media, onward, tree};

/// Images of 12 by 12 pixels in the format of MNIST: a bar that lies, one that stands, and a
/// square.
fn write_images(folder: &Path, name: &str, count: usize) {
    let mut images = vec![0, 0, 8, 3];
    let mut labels = vec![0, 0, 8, 1];
    for size in [count as u32, 12, 12] {
        images.extend(size.to_be_bytes());
    }
    labels.extend((count as u32).to_be_bytes());
    for image in 0..count {
        let label = image % 3;
        labels.push(label as u8);
        for (y, x) in (0..12).flat_map(|y| (0..12).map(move |x| (y, x))) {
            let near = |at: usize, width: usize| at.abs_diff(6) <= width;
            let inside = match label {
                0 => near(y, 1) && near(x, 5),
                1 => near(y, 5) && near(x, 1),
                _ => near(y, 3) && near(x, 3),
            };
            images.push(if inside { 180 + (image % 70) as u8 } else { 0 });
        }
    }
    fs::write(folder.join(format!("{name}-images-idx3-ubyte")), images).unwrap();
    fs::write(folder.join(format!("{name}-labels-idx1-ubyte")), labels).unwrap();
}

/// A benchmark of 36 and 12 items and of four scenes of each difficulty.
fn make(setup: &Setup, name: &str, seed: &str) -> PathBuf {
    let images = setup.path("images");
    fs::create_dir_all(&images).unwrap();
    write_images(&images, "train", 36);
    write_images(&images, "t10k", 12);
    let folder = setup.path(name);
    let mut command = onward(&["benchmark", "make"]);
    command.arg(&folder).args(["--seed", seed, "--train", "36", "--test", "12", "--scenes", "2"]);
    command.arg("--images").arg(images);
    finish(command).ended_with(0).prints(&["36 videos to learn from and 12 to test on"]);
    folder
}

/// A finished run of a few steps.
fn trained() -> Setup {
    let setup = Setup::new(&[looped("cup", media("cup.mp4"))]);
    setup.train(&["model.train.steps=2", "pipeline.size=[64, 64]"]).ended_with(0);
    setup
}

fn evaluate(setup: &Setup, data: &Path, options: &[&str]) -> Command {
    let mut command = onward(&["evaluate"]);
    command.arg(setup.run()).arg("--data").arg(data).args(options);
    command.arg("--cache").arg(setup.path("cache"));
    command
}

fn json(done: &Done) -> Value {
    serde_json::from_str(&done.stdout).unwrap()
}

/// The value of a metric of an encoder, which must lie in its interval.
fn value(report: &Value, encoder: &str, metric: &str) -> f64 {
    let results = report["results"].as_array().unwrap();
    let line = results
        .iter()
        .find(|it| it["encoder"].as_str().unwrap().starts_with(encoder) && it["metric"] == metric);
    let line = line.unwrap_or_else(|| panic!("no {metric} of {encoder} in {report:#}"));
    let [value, low, high] = ["value", "low", "high"].map(|it| line[it].as_f64().unwrap());
    assert!(low <= value && value <= high, "{line}");
    value
}

#[test]
fn every_task_gives_numbers_for_the_encoder_and_all_baselines() {
    let setup = trained();
    let data = make(&setup, "made", "3");
    let options = ["--task", "knn,linear", "--baselines", "--json", "--k", "5"];
    let done = finish(evaluate(&setup, &data.join("items"), &options));
    let first = json(&done.ended_with(0));
    let encoders =
        ["first, step 2", "untrained, seed 1", "untrained, mean of 3", "raw pixels", "colour"];
    for report in first.as_array().unwrap() {
        for encoder in encoders {
            let accuracy = value(report, encoder, "accuracy");
            assert!((0.0..=1.0).contains(&accuracy), "{encoder}: {accuracy}");
        }
    }
    assert_eq!(first[0]["task"], "knn");
    assert_eq!(files(&setup.path("cache")).len(), 7, "one file for each encoder");
    // What is kept is used: the same numbers come from the kept vectors alone.
    let kept = tree(&setup.path("cache"));
    let again = json(&finish(evaluate(&setup, &data.join("items"), &options)).ended_with(0));
    assert_eq!(again, first);
    assert_eq!(tree(&setup.path("cache")), kept);

    let options = ["--task", "factors", "--baselines", "--json"];
    let report = json(&finish(evaluate(&setup, &data.join("items"), &options)).ended_with(0));
    // The brightness of a frame is the light's, as pixels tell.
    let [light, angle] =
        ["light", "angle"].map(|it| value(&report[0], "raw pixels", &format!("R² of {it}")));
    assert!(light > 0.3 && light > angle, "{light} and {angle}");

    let options = ["--task", "correspond", "--baselines", "--json", "--frames", "2"];
    let report = json(&finish(evaluate(&setup, &data.join("items"), &options)).ended_with(0));
    for encoder in encoders {
        let within = value(&report[0], encoder, "within a patch");
        assert!((0.0..=1.0).contains(&within), "{encoder}: {within}");
        assert!(value(&report[0], encoder, "error in patches") > 0.0);
    }

    let scenes = data.join("scenes/easy");
    let options = ["--task", "propagate", "--baselines", "--json", "--short-side", "128"];
    let report = json(&finish(evaluate(&setup, &scenes, &options)).ended_with(0));
    for encoder in encoders {
        let [both, j, f] = ["J&F", "J", "F"].map(|it| value(&report[0], encoder, it));
        assert!((both - (j + f) / 2.0).abs() < 1e-9, "{encoder}");
    }
    // Objects of an easy scene keep their colours.
    assert!(value(&report[0], "raw pixels", "J&F") > 0.2);
}

#[test]
fn a_checkpoint_is_compared_with_itself() {
    let setup = trained();
    let data = make(&setup, "made", "3");
    let run = setup.run().display().to_string();
    let options = ["--task", "knn", "--against", &run, "--json"];
    let report = json(&finish(evaluate(&setup, &data.join("items"), &options)).ended_with(0));
    let over = &report[0]["results"][0]["over_against"];
    assert_eq!([&over["value"], &over["low"], &over["high"]].map(Value::as_f64), [Some(0.0); 3]);
    let table = finish(evaluate(&setup, &data.join("items"), &["--task", "knn"]));
    table.ended_with(0).prints(&["3 classes, 36 items to learn from, 12 to test on", "accuracy"]);
}

#[test]
fn a_seed_makes_the_same_benchmark_and_another_seed_another() {
    let setup = Setup::new(&[]);
    let [one, same, other] =
        [("one", "5"), ("same/", "5"), ("other", "6")].map(|(name, seed)| make(&setup, name, seed));
    let every = FileFrames { size: [64, 64], fit: Fit::Crop, every: 0.0, limit: 1000 };
    let relative = |folder: &Path| -> Vec<_> {
        let name = |path: &Path| path.strip_prefix(folder).unwrap().to_owned();
        // An MP4 holds the time at which it was written: its frames count.
        let content = |path: &Path, bytes: Vec<u8>| match path.extension() {
            Some(extension) if extension == "mp4" => {
                let frames = every.read(path).unwrap();
                frames.iter().flat_map(|it| it.pixels.to_vec()).collect()
            }
            _ => bytes,
        };
        let all = files(folder).into_iter();
        all.map(|(path, bytes)| (name(&path), content(&path, bytes))).collect()
    };
    let (one, same, other) = (relative(&one), relative(&same), relative(&other));
    assert!(one.len() > 300, "{} files", one.len());
    assert!(one == same, "the same frames, masks and factors");
    let names =
        |of: &[(PathBuf, Vec<u8>)]| -> Vec<_> { of.iter().map(|it| it.0.clone()).collect() };
    assert_eq!(names(&one), names(&other));
    assert!(one != other);
}

#[test]
fn files_that_are_no_video_are_left_out_and_named() {
    let setup = trained();
    let data = make(&setup, "made", "3");
    fs::write(data.join("items/train/0/notes.txt"), "no pixels").unwrap();
    let done = finish(evaluate(&setup, &data.join("items"), &["--task", "knn"]));
    done.ended_with(0).complains(&["notes.txt", "left out"]);
    let none = setup.path("none");
    for (folder, wanted) in [("a", "one class"), ("a/b", "no files")] {
        fs::create_dir_all(none.join("a/b")).unwrap();
        fs::write(none.join("a/b/c.txt"), "no pixels").unwrap();
        let done = finish(evaluate(&setup, &none.join(folder), &["--task", "knn"]));
        done.ended_with(1).complains(&[wanted]);
    }
}
