//! Numbers that are known of every frame: where an item is, how fast, how large.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use evaluation::factors::{self, Measured};

use super::super::data::DataSet;
use super::super::vectors::ItemVectors;
use super::Scores;

/// Seconds by which the times of a frame and of its row may differ: less than half the distance of
/// frames at 100 a second.
const NEAR: f64 = 0.004;

/// The known numbers of one item.
struct Table {
    names: Vec<String>,
    /// Time and numbers of each frame.
    rows: Vec<(f64, Vec<f64>)>,
}

/// R² of each number that is known of the frames. It stands in `factors/`, below the data's folder,
/// in a CSV at the item's own path, with a column `time`.
///
/// # Errors
/// A file is missing, cannot be read or has other columns than the rest.
pub(crate) fn factors(data: &DataSet, all: &[ItemVectors]) -> anyhow::Result<Vec<Scores>> {
    let mut tables = HashMap::new();
    for (idx, item) in data.items.iter().enumerate() {
        let inside = item.path.strip_prefix(&data.folder).unwrap_or(&item.path);
        let path = data.folder.join("factors").join(inside).with_extension("csv");
        tables.insert(idx, read(&path)?);
    }
    let names = tables[&0].names.clone();
    if let Some(other) = tables.values().find(|it| it.names != names) {
        anyhow::bail!(
            "the files in {}/factors differ in their columns: {names:?} and {:?}",
            data.folder.display(),
            other.names
        );
    }
    let measured = |vectors: &ItemVectors, is_test: bool| -> anyhow::Result<Measured> {
        let times = vectors.items.iter().zip(&vectors.times);
        let factors = times
            .filter(|(item, _)| data.items[**item].is_test == is_test)
            .map(|(item, time)| {
                let row = tables[item].rows.iter().find(|row| (row.0 - time).abs() < NEAR);
                let row = row.with_context(|| {
                    let path = data.items[*item].path.display();
                    format!("{path}: its factors have no row for the frame at {time:.3} s")
                })?;
                Ok(row.1.clone())
            })
            .collect::<anyhow::Result<_>>()?;
        let (vectors, items) = vectors.filter(|it| data.items[it].is_test == is_test);
        Ok(Measured { vectors, items, factors })
    };
    all.iter()
        .map(|vectors| {
            let scores = factors::r2(&measured(vectors, false)?, &measured(vectors, true)?);
            let scores = names
                .iter()
                .zip(scores)
                .filter_map(|(name, items)| Some((format!("R² of {name}").into(), items?)));
            Ok(Scores { metrics: scores.collect() })
        })
        .collect()
}

fn read(path: &Path) -> anyhow::Result<Table> {
    let shown = path.display();
    let hint = || {
        format!(
            "{shown} cannot be read: this task needs such a CSV for each item, with a column time"
        )
    };
    let mut reader = csv::Reader::from_path(PathBuf::from(path)).with_context(hint)?;
    let header = reader.headers().with_context(hint)?.clone();
    let time = header.iter().position(|it| it == "time");
    let time = time.with_context(|| format!("{shown} has no column time"))?;
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.with_context(hint)?;
        let numbers = record.iter().map(|it| it.trim().parse::<f64>());
        let mut numbers: Vec<f64> = numbers
            .collect::<Result<_, _>>()
            .with_context(|| format!("{shown}: a cell is no number"))?;
        let at = numbers.remove(time);
        rows.push((at, numbers));
    }
    ensure!(!rows.is_empty(), "{shown} has no rows");
    let names = header.iter().enumerate().filter(|it| it.0 != time);
    Ok(Table { names: names.map(|it| it.1.to_owned()).collect(), rows })
}
