//! The tables of a real run: queried with DuckDB and Polars, compacted, and read while it trains.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::process::Command;

use support::{Running, Setup, finish, looped, media, onward, scope};

#[test]
fn duckdb_and_polars_read_a_run_of_many_parts() {
    let packages = "DuckDB, NumPy and Polars";
    let Some(python) = scope::python("ONWARD_PYTHON", packages) else { return };
    let setup = Setup::new(&[
        looped("street", media("street.mp4")),
        looped("tree", media("tree.mp4")),
        looped("cup", media("cup.mp4")),
    ]);
    let parts = ["model.train.steps=80", "storage.rows_per_part=30"];
    setup.train(&parts).ended_with(0);
    for name in ["metrics", "embeddings", "streams"] {
        assert!(setup.table(name).parts >= 3, "{name} has {} parts", setup.table(name).parts);
    }
    let mut command = Command::new(python);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/tables.py")).arg(setup.run());
    finish(command).ended_with(0).prints(&[
        "embeddings: 80 rows",
        "80 embeddings of 24 numbers",
        "80 embeddings joined to loss",
        "street: ",
        "all accounted for",
    ]);
}

#[test]
fn small_parts_are_merged_and_the_run_resumes() {
    let setup = Setup::new(&[looped("street", media("street.mp4"))]);
    let sets = ["storage.rows_per_part=10", "checkpoint.every_steps=8"];
    setup.train(&[&sets[..], &["model.train.steps=20"]].concat()).ended_with(0);
    let tables = ["metrics", "embeddings", "streams", "events"];
    let rows = || tables.map(|it| setup.table(it).rows());
    let (before, parts) = (rows(), setup.table("metrics").parts);
    let run = setup.run();
    let compact = || finish(onward(&["compact", run.to_str().unwrap()]));
    compact().ended_with(0).prints(&["metrics: ", " parts are ", "remove it when no reader"]);
    let merged = setup.table("metrics").parts;
    // No part spans one of the checkpoints of steps 16 and 20.
    assert!(merged <= 3 && merged < parts, "{merged} parts of {parts}");
    assert_eq!(rows(), before);
    compact().ended_with(0).prints(&["nothing to merge"]);
    setup.train(&[&sets[..], &["model.train.steps=24"]].concat()).ended_with(0);
    let losses = setup.table("metrics").metric("loss");
    let steps: Vec<i64> = losses.iter().map(|it| it.0).collect();
    assert!(steps.is_sorted() && steps.last() == Some(&24), "{steps:?}");

    let mut running = setup.endless(&["storage.rows_per_part=10", "checkpoint.every_steps=8"]);
    running.wait_for("resuming after step 24");
    compact().ended_with(1).complains(&["is in use by another process"]);
    running.signal("KILL");
    running.finish();
    compact().ended_with(0);
}

#[test]
fn a_closed_part_can_be_read_while_the_run_trains() {
    let setup = Setup::new(&[looped("street", media("street.mp4"))]);
    let mut command = setup.command("train", &["model.train.steps=1000000"]);
    command.args(["--verbose", "--set", "storage.rows_per_part=1"]);
    let mut running = Running::start(command);
    running.wait_for("table=\"metrics\" part=3");
    let metrics = setup.table("metrics");
    assert!(metrics.parts >= 4, "{} parts", metrics.parts);
    assert_eq!(metrics.metric("loss").len(), metrics.parts, "one record per part");
    running.signal("INT");
    running.finish().ended_with(0);
}
