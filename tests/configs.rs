//! Every config of `configs/` trains for two steps, with its own method, streams and clips. Its
//! networks, frames and batches are made so small that this takes a second.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use support::{Table, assert_balanced, finish, has_extension, onward};
use toml::{Table as Toml, Value};

fn configs() -> Vec<PathBuf> {
    let entries = fs::read_dir("configs").unwrap().map(|it| it.unwrap().path());
    let mut paths: Vec<_> = entries.filter(|it| has_extension(it, "toml")).collect();
    paths.sort();
    paths
}

fn table<'a>(of: &'a mut Toml, key: &str) -> &'a mut Toml {
    of.entry(key).or_insert_with(|| Value::Table(Toml::new())).as_table_mut().unwrap()
}

fn set(of: &mut Toml, key: &str, value: impl Into<Value>) {
    of.insert(key.into(), value.into());
}

/// The config for a run of two steps in `run`, with small networks and everything else unchanged.
fn small(path: &Path, run: &Path) -> Toml {
    let mut config: Toml = toml::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    for (key, value) in [("log_every", 1), ("embed_every", 2)] {
        set(&mut config, key, value);
    }
    set(&mut config, "device", "cpu");
    set(table(&mut config, "storage"), "dir", run.display().to_string());
    let pipeline = table(&mut config, "pipeline");
    set(pipeline, "size", vec![32, 32]);
    set(table(pipeline, "batch"), "clips", 4);
    set(table(pipeline, "batch"), "pool", 4);
    for stream in pipeline["stream"].as_array_mut().unwrap() {
        on_file(stream.as_table_mut().unwrap());
    }
    let model = table(&mut config, "model");
    set(table(model, "train"), "steps", 2);
    set(table(model, "train"), "warmup", 1);
    small_encoder(table(model, "encoder"));
    small_method(table(model, "method"));
    config
}

/// Reads a file in the place of a camera; the other keys of the stream stay.
fn on_file(stream: &mut Toml) {
    let source = table(stream, "source");
    if source.remove("uri").is_some() {
        set(source, "files", "tests/media/street.mp4");
    }
}

fn small_encoder(encoder: &mut Toml) {
    match encoder.get("arch").and_then(Value::as_str) {
        Some("conv3d") => set(encoder, "channels", vec![4; 5]),
        Some("resnet18") => {}
        _ => {
            encoder.remove("size");
            for (key, value) in [("patch", 8), ("dim", 24), ("depth", 1), ("heads", 3)] {
                set(encoder, key, value);
            }
        }
    }
}

/// Sets every width of an MLP to 16, and the sizes that a method names itself to small numbers.
fn small_method(method: &mut Toml) {
    let name = method["name"].as_str().map(str::to_owned);
    narrow(method);
    match name.as_deref() {
        Some("tdv") => small_head(table(method, "head")),
        Some("tdv-adassl") => small_head(table(table(method, "tdv"), "head")),
        Some("seq-jepa") => {
            set(method, "view", vec![16, 16]);
            set(method, "action_dim", 8);
            set(method, "predictor", 16);
        }
        Some("adassl") => set(method, "hidden", 16),
        _ => {}
    }
}

fn small_head(head: &mut Toml) {
    for (key, value) in [("hidden", 16), ("bottleneck", 8), ("prototypes", 16)] {
        set(head, key, value);
    }
}

/// Sets every width in text such as `2048-256` to 16.
fn narrow(method: &mut Toml) {
    for (_, value) in method.iter_mut() {
        let widths = value.as_str().filter(|it| it.contains('-'));
        let parts = widths.map(|it| it.split('-').map(str::parse::<usize>).collect::<Vec<_>>());
        if let Some(parts) = parts.filter(|it| it.iter().all(Result::is_ok)) {
            *value = vec!["16"; parts.len()].join("-").into();
        }
    }
}

#[test]
fn every_config_trains() {
    let paths = configs();
    assert!(paths.len() >= 29, "{paths:?}");
    for path in paths {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        let config = small(&path, &run);
        let text = toml::to_string(&config).unwrap();
        let file = folder.path().join("small.toml");
        fs::write(&file, text).unwrap();
        let mut command = onward(&["train"]);
        command.arg(&file);
        let name = path.display();
        let done = finish(command);
        assert_eq!(done.code, Some(0), "{name}\n{done}");
        let metrics = Table::read(&run, "metrics");
        let losses = metrics.metric("loss");
        assert!(losses.len() == 2 && losses.iter().all(|it| it.1.is_finite()), "{name} {losses:?}");
        let vectors = Table::read(&run, "embeddings").vectors();
        assert_eq!(vectors.len(), 4, "{name}");
        assert!(vectors.iter().flatten().all(|it| it.is_finite()), "{name}");
        assert_balanced(&Table::read(&run, "streams"));
        let checkpoint = run.join("checkpoints/step-00000002");
        for weights in ["encoder.safetensors", "student.safetensors"] {
            assert!(checkpoint.join(weights).metadata().unwrap().len() > 1000, "{name}");
        }
    }
}

/// Every config begins with the command that runs it.
#[test]
fn every_config_says_how_to_run_it() {
    for path in configs() {
        let text = fs::read_to_string(&path).unwrap();
        let head: Vec<_> = text.lines().take_while(|it| it.starts_with('#')).collect();
        let command = format!("onward train {}", path.display());
        assert!(head.iter().any(|it| it.contains(&command)), "{command:?} is not in {head:#?}");
    }
}
