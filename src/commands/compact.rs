//! `onward compact`: merges the many small parts of a run's tables into few.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use storage::{CompactedRun, Watermark};

use crate::run::checkpoint;
use crate::terminal::print::{self, count};

/// Whose tables to merge.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The folder of a run that is not training.
    run: PathBuf,
}

/// Merges parts, but none across a checkpoint that the run may still resume from. Rows that a
/// killed run left in write-ahead files become a part first.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let run = &arguments.run;
    ensure!(run.join("metrics").is_dir(), "{} is not a run: it has no tables", run.display());
    refuse_mirrored(run)?;
    let CompactedRun { tables, superseded } = storage::compact(run, &watermarks(run)?)?;
    for table in tables {
        let (before, after) = (count(table.parts_before), count(table.parts_after));
        let rows = count(table.rows);
        let name = table.table;
        print::out(&format!("{name}: {before} parts were merged into {after}, {rows} rows\n"))?;
    }
    match superseded {
        Some(folder) => print::out(&format!(
            "the old parts are in {}: remove it when no reader has them open\n",
            folder.display()
        )),
        None => print::out("nothing to merge\n"),
    }
}

/// Refuses a run with an object store. A store cannot swap two folders in one step, so that a
/// reader could find rows twice or not at all.
fn refuse_mirrored(run: &Path) -> anyhow::Result<()> {
    let path = run.join("config.toml");
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let config: toml::Table = text.parse().with_context(|| path.display().to_string())?;
    let url =
        config.get("storage").and_then(|storage| storage.get("url")).and_then(|url| url.as_str());
    ensure!(
        url.is_none(),
        "{} is copied to {}, where parts cannot be merged while others may be reading: for fewer \
         parts, raise storage.seconds_per_part and storage.rows_per_part",
        run.display(),
        url.unwrap_or_default()
    );
    Ok(())
}

/// The parts that were complete at each checkpoint.
fn watermarks(run: &Path) -> anyhow::Result<Vec<Watermark>> {
    let folders = checkpoint::list(run)?.into_values();
    let watermark = |folder: PathBuf| {
        let state = checkpoint::read(&folder);
        let state = state.with_context(|| {
            format!(
                "{} cannot be read, and the parts that it needs are unknown: move it away if the \
                 run never resumes from it",
                folder.display()
            )
        })?;
        Ok(state.watermark)
    };
    folders.map(watermark).collect()
}
