//! The results of a run, bit for bit, without what a clock measured.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use safetensors::SafeTensors;

use super::Table;

/// Metrics that are measured with a clock.
const TIMED: [&str; 4] = ["clips_per_second", "data_wait", "clip_age_seconds", "step_seconds"];

/// Everything that a run writes and that does not depend on a clock.
#[derive(PartialEq)]
pub(crate) struct Results {
    pub(crate) metrics: Vec<(i64, String, u64)>,
    pub(crate) embeddings: Vec<(i64, String, Vec<u32>)>,
    pub(crate) streams: Vec<(i64, String, Vec<i64>)>,
    pub(crate) tensors: BTreeMap<String, Vec<u8>>,
}

/// Reads the tables and the last checkpoint of a run.
pub(crate) fn results(run: &Path) -> Results {
    let metrics = Table::read(run, "metrics");
    let rows = metrics.counts("step").into_iter().zip(metrics.text("name"));
    let rows = rows.zip(metrics.reals("value"));
    let rows = rows.filter(|it| !TIMED.contains(&it.0.1.as_str()));
    let metrics = rows.map(|((step, name), value)| (step, name, value.to_bits())).collect();
    let table = Table::read(run, "embeddings");
    let rows = table.counts("step").into_iter().zip(table.text("item")).zip(table.vectors());
    let bits = |it: Vec<f32>| it.into_iter().map(f32::to_bits).collect();
    let embeddings = rows.map(|((step, item), it)| (step, item, bits(it))).collect();
    Results { metrics, embeddings, streams: ledger(run), tensors: tensors(&newest(run)) }
}

/// The counts of the ledger, without the row that the end of a stream adds: how many frames are
/// unfinished then depends on the threads.
fn ledger(run: &Path) -> Vec<(i64, String, Vec<i64>)> {
    let table = Table::read(run, "streams");
    let names = [
        "decoded",
        "trained",
        "off_grid",
        "scene_cut",
        "irregular",
        "unfinished",
        "epochs",
        "clips",
    ];
    let columns: Vec<Vec<i64>> = names.iter().map(|it| table.counts(it)).collect();
    let rows = table.counts("step").into_iter().zip(table.text("stream")).enumerate();
    let rows = rows.map(|(idx, (step, name))| {
        (step, name, columns.iter().map(|it| it[idx]).collect::<Vec<_>>())
    });
    let rows: Vec<_> = rows.zip(table.text("state")).filter(|it| it.1 == "running").collect();
    rows.into_iter().map(|it| it.0).collect()
}

/// The folder of a run's last checkpoint.
pub(crate) fn newest(run: &Path) -> PathBuf {
    let listed = fs::read_dir(run.join("checkpoints")).unwrap().map(|it| it.unwrap().path());
    listed.max().unwrap()
}

/// The bytes of every tensor of a checkpoint, by file and name.
fn tensors(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    for file in ["encoder", "student", "teacher", "optimizer", "method"] {
        let Ok(bytes) = fs::read(folder.join(format!("{file}.safetensors"))) else { continue };
        for (name, tensor) in SafeTensors::deserialize(&bytes).unwrap().iter() {
            all.insert(format!("{file}: {name}"), tensor.data().to_vec());
        }
    }
    assert!(all.len() > 20, "{} tensors in {}", all.len(), folder.display());
    all
}

/// Two runs have the same results.
pub(crate) fn assert_same(seen: &Results, wanted: &Results, what: &str) {
    let unequal = seen.metrics.iter().zip(&wanted.metrics).find(|(a, b)| a != b);
    assert!(unequal.is_none(), "{what}: a metric differs: {unequal:?}");
    assert_eq!(seen.metrics.len(), wanted.metrics.len(), "{what}: rows of metrics");
    assert!(seen.embeddings == wanted.embeddings, "{what}: the embeddings differ");
    assert_eq!(seen.streams, wanted.streams, "{what}: the ledger differs");
    for (name, bytes) in &wanted.tensors {
        assert!(seen.tensors[name] == *bytes, "{what}: {name} differs");
    }
}
