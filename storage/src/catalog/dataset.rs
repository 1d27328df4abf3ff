//! `dataset.json`: the description of every table and column, for people and programs.

use arrow::datatypes::{DataType, Field};
use serde_json::{Map, Value, json};

use crate::SCHEMA_VERSION;
use crate::catalog::features::dtype;
use crate::table::columns::{DESCRIPTION, TableSchema, width};

/// The descriptions of the tables.
const ABOUT: [(&str, &str); 4] = [
    ("metrics", "Named values that the training measured, one row per value."),
    ("embeddings", "Embeddings of frames while the encoder trains, one row per frame."),
    ("streams", "The ledger: the outcomes of each stream's frames since the previous row."),
    ("events", "Events of streams and of the run, one row per event."),
];

/// The columns of each table: name, unit (empty if there is none) and description. `*` stands for
/// the columns that every table has. The counts of `streams` are not here: their fields have their
/// descriptions.
const COLUMNS: [(&str, &[[&str; 3]]); 5] = [
    (
        "*",
        &[
            ["run", "", "The run that wrote the row."],
            ["step", "optimizer steps", "The optimizer step that the row belongs to."],
        ],
    ),
    (
        "metrics",
        &[
            ["time", "UTC", "When the value was measured."],
            ["name", "", "What was measured."],
            ["value", "", "The value."],
        ],
    ),
    (
        "embeddings",
        &[
            ["encoder", "", "Which encoder computed the embedding."],
            ["stream", "", "The stream that the frame came from."],
            ["item", "", "The file or URI that the frame came from."],
            ["epoch", "", "How often the stream had been connected, or read to its end, before."],
            ["pts", "s", "Stream time of the frame."],
            ["captured", "UTC", "When the frame was captured, where this is known."],
            ["captured_by", "", "Which clock `captured` is from: `camera` or `arrival`."],
            ["embedding", "", "The embedding."],
        ],
    ),
    (
        "streams",
        &[
            ["time", "UTC", "When the ledger was read."],
            ["stream", "", "The stream."],
            ["state", "", "The stream's state."],
            ["share", "0..1", "The stream's part of the clips trained on since the previous row."],
            ["message", "", "The newest error in words."],
        ],
    ),
    (
        "events",
        &[
            ["time", "UTC", "When it happened."],
            ["kind", "", "`state`, `streams`, `warning`, `checkpoint`, `resume` or `storage`."],
            ["stream", "", "The stream that it happened to."],
            ["state", "", "The stream's state after the event."],
            ["epoch", "", "How often the stream had been connected, or read to its end, before."],
            ["message", "", "What happened and why, in words."],
        ],
    ),
];

/// The names of a table's columns, without the loss terms and vectors that a method adds.
pub(crate) fn column_names(table: &str) -> impl Iterator<Item = &'static str> {
    described(table).map(|[name, ..]| name)
}

fn described(table: &str) -> impl Iterator<Item = [&'static str; 3]> {
    let tables = COLUMNS.iter().filter(move |(name, _)| *name == "*" || *name == table);
    tables.flat_map(|(_, columns)| columns.iter().copied())
}

/// The text of `dataset.json`.
pub(crate) fn json(tables: &[TableSchema]) -> String {
    let tables: Map<String, Value> =
        tables.iter().map(|schema| (schema.table.to_owned(), table(schema))).collect();
    let text = json!({ "schema_version": SCHEMA_VERSION, "tables": tables });
    format!("{text:#}\n")
}

fn table(table: &TableSchema) -> Value {
    let TableSchema { table, schema } = table;
    let about = ABOUT.iter().find(|(name, _)| name == table).map_or("", |(_, about)| about);
    let columns: Vec<Value> = schema.fields().iter().map(|field| column(table, field)).collect();
    json!({ "description": about, "files": format!("{table}/*.parquet"), "columns": columns })
}

fn column(table: &str, field: &Field) -> Value {
    let [unit, about] = match field.metadata().get(DESCRIPTION) {
        Some(about) => ["", about],
        None => unit_and_description(table, field.name()),
    };
    let mut column = json!({
        "name": field.name(),
        "type": match field.data_type() {
            DataType::FixedSizeList(item, _) => format!("list of {}", dtype(item.data_type())),
            other => dtype(other),
        },
        "nullable": field.is_nullable(),
        "description": about,
    });
    if let Some(width) = width(field) {
        column["width"] = json!(width);
    }
    if !unit.is_empty() {
        column["unit"] = json!(unit);
    }
    column
}

/// A method adds columns of its own: loss terms and vectors.
fn unit_and_description(table: &str, column: &str) -> [&'static str; 2] {
    match described(table).find(|[name, ..]| *name == column) {
        Some([_, unit, about]) => [unit, about],
        None if column.starts_with("loss_") => ["", "A term of the loss of the frame's clip."],
        None => ["", "A vector that the method computes for the frame or its clip."],
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::table::columns::batch;
    use crate::{
        Embeddings, Events, Metrics, Record, StreamCount, StreamRow, Streams, VectorColumn,
    };

    fn records() -> [Record; 4] {
        let (step, time) = (1, UNIX_EPOCH);
        let count = StreamCount { name: "clips", description: "Clips cut.", value: 3 };
        let vectors =
            vec![VectorColumn { name: "aggregate".to_owned(), dim: 2, values: Vec::new() }];
        [
            Record::Metrics(Metrics { step, time, values: Vec::new() }),
            Record::Embeddings(Embeddings {
                step,
                encoder: String::new(),
                stream: Vec::new(),
                item: Vec::new(),
                epoch: Vec::new(),
                pts: Vec::new(),
                captured: Vec::new(),
                captured_by: Vec::new(),
                terms: vec![("total".to_owned(), Vec::new())],
                dim: 3,
                values: Vec::new(),
                vectors,
            }),
            Record::Streams(Streams {
                step,
                time,
                rows: vec![StreamRow { counts: vec![count], ..Default::default() }],
            }),
            Record::Events(Events { step, rows: Vec::new() }),
        ]
    }

    #[test]
    fn every_column_is_described_and_no_other() {
        for (record, (table, _)) in records().into_iter().zip(ABOUT) {
            let schema = batch("", record).unwrap().schema();
            let mut found: Vec<&str> =
                schema.fields().iter().map(|field| field.name().as_str()).collect();
            found.retain(|name| !["loss_total", "aggregate", "clips"].contains(name));
            found.sort_unstable();
            let mut described: Vec<&str> = column_names(table).collect();
            described.sort_unstable();
            assert_eq!(found, described, "{table}");
        }
    }

    #[test]
    fn a_count_has_the_description_that_came_with_it() {
        let [_, _, streams, _] = records();
        let schema = batch("", streams).unwrap().schema();
        let text = json(&[TableSchema { table: "streams", schema }]);
        let json: Value = serde_json::from_str(&text).unwrap();
        let columns = json["tables"]["streams"]["columns"].as_array().unwrap();
        let clips = columns.iter().find(|column| column["name"] == "clips").unwrap();
        assert_eq!(clips["description"], "Clips cut.");
    }

    #[test]
    fn a_vector_has_a_width_and_a_time_its_unit() {
        let [_, embeddings, ..] = records();
        let schema = batch("", embeddings).unwrap().schema();
        let text = json(&[TableSchema { table: "embeddings", schema }]);
        let json: Value = serde_json::from_str(&text).unwrap();
        let columns = json["tables"]["embeddings"]["columns"].as_array().unwrap();
        let column = |name: &str| columns.iter().find(|column| column["name"] == name).unwrap();
        let embedding = column("embedding");
        assert_eq!(
            (&embedding["type"], &embedding["width"]),
            (&json!("list of float32"), &json!(3))
        );
        assert_eq!(column("pts")["unit"], "s");
        assert_eq!(column("captured")["type"], "timestamp[us, tz=UTC]");
        assert_eq!(column("captured")["nullable"], true);
        assert_eq!(column("aggregate")["width"], 2);
        assert!(column("loss_total")["description"].as_str().unwrap().contains("loss"));
    }
}
