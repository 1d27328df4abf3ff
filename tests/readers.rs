//! The tables of a real run in every reader that the documents promise.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::process::Command;

use support::{Setup, finish, looped, media, scope};

#[test]
fn every_reader_finds_the_same_rows_types_and_neighbours() {
    let packages = "chDB, DataFusion, Hugging Face datasets and pandas";
    let Some(python) = scope::python("ONWARD_READERS_PYTHON", packages) else { return };
    let setup = Setup::new(&[
        looped("street", media("street.mp4")),
        looped("tree", media("tree.mp4")),
        looped("cup", media("cup.mp4")),
    ]);
    setup.train(&["model.train.steps=40", "storage.rows_per_part=30"]).ended_with(0);
    for name in ["metrics", "embeddings", "streams", "events"] {
        assert!(setup.table(name).rows() > 0, "{name} has no rows");
    }
    let mut command = Command::new(python);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/readers.py")).arg(setup.run());
    finish(command).ended_with(0).prints(&[
        "duckdb: ",
        "polars: ",
        "pandas: ",
        "clickhouse: ",
        "datafusion: ",
        "datasets: ",
    ]);
}
