//! `onward compact`: the many small parts of a run's tables become few.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use storage::{Compacted, Seal};

use crate::run::checkpoint;
use crate::terminal::print::{self, count};

/// What to make smaller.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A run's folder, to which nobody writes.
    run: PathBuf,
}

/// Merges parts, none of them over a checkpoint that the run may still go on from. Rows that a
/// killed run left in write-ahead files become a part first.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let run = &arguments.run;
    ensure!(run.join("metrics").is_dir(), "{} is no run: it has no tables", run.display());
    refuse_mirrored(run)?;
    let Compacted { tables, superseded } = storage::compact(run, &boundaries(run)?)?;
    for it in tables {
        let (before, after, rows) = (count(it.parts_before), count(it.parts_after), count(it.rows));
        print::out(&format!("{}: {before} parts are {after} now, {rows} rows\n", it.table))?;
    }
    match superseded {
        Some(folder) => print::out(&format!(
            "the parts that were merged are in {}: remove it when no reader has them open\n",
            folder.display()
        )),
        None => print::out("nothing to merge\n"),
    }
}

/// An object store cannot exchange two folders at once, and a reader of it would find rows twice or
/// not at all.
fn refuse_mirrored(run: &Path) -> anyhow::Result<()> {
    let path = run.join("config.toml");
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let config: toml::Table = text.parse().with_context(|| path.display().to_string())?;
    let url = config.get("storage").and_then(|it| it.get("url")).and_then(|it| it.as_str());
    ensure!(
        url.is_none(),
        "{} is copied to {}, where parts cannot be merged under the eyes of readers: raise \
         storage.seconds_per_part and storage.rows_per_part for fewer of them",
        run.display(),
        url.unwrap_or_default()
    );
    Ok(())
}

/// The parts that each checkpoint counts on.
fn boundaries(run: &Path) -> anyhow::Result<Vec<Seal>> {
    let folders = checkpoint::all(run)?.into_values();
    let seal = |folder: PathBuf| {
        let state = checkpoint::read(&folder);
        let state = state.with_context(|| {
            format!("{} cannot be read, so that nobody knows its parts", folder.display())
        })?;
        Ok(state.parts)
    };
    folders.map(seal).collect()
}
