//! What the tests of the program share: a small run in a temporary folder, and its tables.
#![allow(dead_code, unused_imports, reason = "every test file uses a part of it")]

pub(crate) mod bucket;
mod child;
pub(crate) mod processes;
pub(crate) mod results;
pub(crate) mod scope;
mod table;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

pub(crate) use child::{Done, Running, finish};
pub(crate) use table::{Table, assert_balanced};

/// The path of a clip in `tests/media`.
pub(crate) fn media(name: &str) -> String {
    format!("{}/tests/media/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// A stream of files that is read again when it ends.
pub(crate) fn looped(name: &str, files: impl AsRef<Path>) -> String {
    once(name, files) + "loop = true\n"
}

/// A stream of files that is read once.
pub(crate) fn once(name: &str, files: impl AsRef<Path>) -> String {
    let files = files.as_ref().display();
    format!("\n[[pipeline.stream]]\nname = \"{name}\"\nsource = {{ files = \"{files}\" }}\n")
}

/// The program with these arguments.
pub(crate) fn onward(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_onward"));
    command.args(arguments);
    command
}

/// The config without streams and storage: a hundred steps of its networks take about a second.
const REST: &str = r#"
seed = 1
device = "cpu"
log_every = 2
embed_every = 4

[pipeline]
size = [32, 32]
clip = { frames = 3, interval = 0.2, hop = 0.2 }
batch = { clips = 4, pool = 8 }

[model.encoder]
patch = 8
dim = 24
depth = 1
heads = 3

[model.method]
name = "tdv"

[model.method.head]
hidden = 32
bottleneck = 16
prototypes = 32

[model.train]
steps = 10
# Runs that are given more steps have the learning rate of longer ones.
decay_steps = 1_000_000
learning_rate = 1e-3
warmup = 4
"#;

/// A config in a temporary folder, which its runs go to as well.
pub(crate) struct Setup {
    folder: TempDir,
}

impl Setup {
    /// A small run over `streams`, each made by [`looped`] or [`once`].
    pub(crate) fn new(streams: &[String]) -> Self {
        let setup = Self { folder: tempfile::tempdir().unwrap() };
        let run = setup.run().display().to_string();
        let storage = format!("\n[storage]\ndir = \"{run}\"\n");
        fs::write(setup.config(), [REST, &streams.concat(), &storage].concat()).unwrap();
        setup
    }

    /// The config's file.
    pub(crate) fn config(&self) -> PathBuf {
        self.path("test.toml")
    }

    /// The run's folder.
    pub(crate) fn run(&self) -> PathBuf {
        self.path("runs/first")
    }

    /// A path in the setup's folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A command of the program on this config, with some of its values replaced.
    pub(crate) fn command(&self, name: &str, sets: &[&str]) -> Command {
        let mut command = onward(&[name]);
        command.arg(self.config());
        command.args(sets.iter().flat_map(|it| ["--set", it]));
        command
    }

    /// Trains to the end.
    pub(crate) fn train(&self, sets: &[&str]) -> Done {
        finish(self.command("train", sets))
    }

    /// Starts a run that ends only when it is stopped.
    pub(crate) fn endless(&self, sets: &[&str]) -> Running {
        let sets = [&["model.train.steps=1000000"], sets].concat();
        Running::start(self.command("train", &sets))
    }

    /// Reads a table of the run.
    pub(crate) fn table(&self, name: &str) -> Table {
        Table::read(&self.run(), name)
    }
}

/// Everything below a folder by its path: the bytes of a file, `None` for a folder.
pub(crate) fn tree(folder: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.append(&mut tree(&path));
            found.insert(path, None);
        } else {
            let bytes = fs::read(&path).unwrap();
            found.insert(path, Some(bytes));
        }
    }
    found
}

/// Every file below a folder with its bytes, sorted by path.
pub(crate) fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    tree(folder).into_iter().filter_map(|(path, bytes)| Some((path, bytes?))).collect()
}

/// Copies a folder.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).unwrap()),
        }
    }
}

/// No file and no folder is left of something that was begun and not finished, or was being
/// removed: such have hidden or temporary names.
pub(crate) fn assert_finished(run: &Path) {
    let superseded = run.join("superseded");
    let paths = tree(run).into_keys().filter(|it| !it.starts_with(&superseded));
    let unfinished: Vec<_> = paths.filter(|it| is_temporary(it)).collect();
    assert!(unfinished.is_empty(), "{unfinished:?}");
}

fn is_temporary(path: &Path) -> bool {
    let name = path.file_name().unwrap().to_string_lossy();
    name.starts_with('.') || ["tmp", "old", "new"].iter().any(|it| has_extension(path, it))
}

/// Whether a path ends in this extension.
pub(crate) fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|it| it == extension)
}
