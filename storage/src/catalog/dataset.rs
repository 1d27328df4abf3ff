//! `dataset.json`: what the tables' columns are, for people and for programs.

use arrow::datatypes::{DataType, Field};
use serde_json::{Map, Value, json};

use crate::catalog::Listed;
use crate::catalog::features::dtype;
use crate::identity::SCHEMA_VERSION;
use crate::table::columns::width;

/// What a table is.
const ABOUT: [(&str, &str); 4] = [
    ("metrics", "Named numbers of the training, one row a number."),
    ("embeddings", "Embeddings of frames while the encoder trains, one row a frame."),
    ("streams", "The ledger: what became of each stream's frames since the row before."),
    ("events", "What happened to streams and to the run, one row an event."),
];

/// Column, unit (empty where there is none) and description, a table each. `*` stands for the
/// columns that every table has.
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
            ["time", "UTC", "When the number was read."],
            ["name", "", "What was measured."],
            ["value", "", "The number."],
        ],
    ),
    (
        "embeddings",
        &[
            ["encoder", "", "Which encoder made the embedding."],
            ["stream", "", "The stream that the frame came from."],
            ["item", "", "The file or URI that the frame came from."],
            ["pass", "", "How often the stream had been read to its end before."],
            ["pts", "s", "Stream time of the frame."],
            ["captured", "UTC", "When the frame was captured, where that is known."],
            ["captured_by", "", "Whose clock `captured` is of: `camera` or `arrival`."],
            ["embedding", "", "The embedding."],
        ],
    ),
    (
        "streams",
        &[
            ["time", "UTC", "When the ledger was read."],
            ["stream", "", "The stream."],
            ["state", "", "What the stream was doing."],
            ["decoded", "frames", "Frames that came out of the decoder: the sum of the next ten."],
            ["trained", "frames", "In clips that were trained on."],
            ["untrained", "frames", "In clips that were cut but never trained on."],
            ["off_grid", "frames", "Between two points of the time grid."],
            ["cut", "frames", "In clips that ended at a scene cut."],
            ["discontinuity", "frames", "In clips that ended at a jump in time or of format."],
            ["uneven", "frames", "Skipped because a wanted time has no frame near enough."],
            ["light", "frames", "In clips in which the light changed at once."],
            ["still", "frames", "In clips in which nothing moved."],
            ["dropped", "frames", "In clips that nobody took before newer ones came."],
            ["unfinished", "frames", "In a clip that the stream's end left unfinished."],
            ["passes", "", "Times that the stream was read to its end."],
            ["errors", "", "Errors that the stream recovered from, or failed with."],
            ["reconnects", "", "Times that the stream played again after it had gone."],
            ["stalls", "", "Times that the stream gave no frame for too long."],
            ["late", "frames", "Never decoded because decoding could not keep up."],
            ["unneeded", "frames", "Never decoded because no clip needs them."],
            ["abandoned", "", "Pipelines that could not be brought down in time."],
            ["clips", "clips", "Clips that the stream gave."],
            ["share", "0..1", "Its clips among those trained on since the row before."],
            ["message", "", "The newest error in words."],
        ],
    ),
    (
        "events",
        &[
            ["time", "UTC", "When it happened."],
            ["kind", "", "`state`, `streams`, `warning` or `checkpoint`."],
            ["stream", "", "The stream that it happened to."],
            ["state", "", "The stream's state from then on."],
            ["epoch", "", "How often the stream had been connected, or read, before."],
            ["message", "", "Why, in words."],
        ],
    ),
];

/// The text of `dataset.json`.
pub(crate) fn json(tables: &[Listed]) -> String {
    let tables: Map<String, Value> =
        tables.iter().map(|it| (it.table.to_owned(), table(it))).collect();
    let text = json!({ "schema_version": SCHEMA_VERSION, "tables": tables });
    format!("{text:#}\n")
}

fn table(listed: &Listed) -> Value {
    let Listed { table, schema } = listed;
    let about = ABOUT.iter().find(|it| it.0 == *table).map_or("", |it| it.1);
    let columns: Vec<Value> = schema.fields().iter().map(|it| column(table, it)).collect();
    json!({ "description": about, "files": format!("{table}/*.parquet"), "columns": columns })
}

fn column(table: &str, field: &Field) -> Value {
    let [unit, about] = words(table, field.name());
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

/// Unit and description. A method adds loss terms and vectors of its own.
fn words(table: &str, column: &str) -> [&'static str; 2] {
    let tables = COLUMNS.iter().filter(|it| it.0 == "*" || it.0 == table);
    let mut columns = tables.flat_map(|it| it.1);
    match columns.find(|it| it[0] == column) {
        Some([_, unit, about]) => [unit, about],
        None if column.starts_with("loss_") => ["", "A term of the loss of the frame's clip."],
        None => ["", "A vector that the method makes of the frame or its clip."],
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::table::columns::batch;
    use crate::{Embeddings, Events, Metrics, Record, Streams, Vectors};

    fn records() -> [Record; 4] {
        let (step, time) = (1, UNIX_EPOCH);
        let vectors = vec![Vectors { name: "aggregate".to_owned(), dim: 2, values: Vec::new() }];
        [
            Record::Metrics(Metrics { step, time, values: Vec::new() }),
            Record::Embeddings(Embeddings {
                step,
                encoder: String::new(),
                stream: Vec::new(),
                item: Vec::new(),
                pass: Vec::new(),
                pts: Vec::new(),
                captured: Vec::new(),
                captured_by: Vec::new(),
                terms: vec![("total".to_owned(), Vec::new())],
                dim: 3,
                values: Vec::new(),
                vectors,
            }),
            Record::Streams(Streams { step, time, rows: Vec::new() }),
            Record::Events(Events { step, rows: Vec::new() }),
        ]
    }

    #[test]
    fn every_column_is_described_and_no_other() {
        for (record, (table, _)) in records().into_iter().zip(ABOUT) {
            let schema = batch("", record).unwrap().schema();
            let mut found: Vec<&str> =
                schema.fields().iter().map(|it| it.name().as_str()).collect();
            found.retain(|it| !["loss_total", "aggregate"].contains(it));
            found.sort_unstable();
            let described = COLUMNS.iter().filter(|it| it.0 == "*" || it.0 == table);
            let mut described: Vec<&str> = described.flat_map(|it| it.1).map(|it| it[0]).collect();
            described.sort_unstable();
            assert_eq!(found, described, "{table}");
        }
    }

    #[test]
    fn a_vector_has_a_width_and_a_time_its_unit() {
        let [_, embeddings, ..] = records();
        let schema = batch("", embeddings).unwrap().schema();
        let text = json(&[Listed { table: "embeddings", schema }]);
        let json: Value = serde_json::from_str(&text).unwrap();
        let columns = json["tables"]["embeddings"]["columns"].as_array().unwrap();
        let column = |name: &str| columns.iter().find(|it| it["name"] == name).unwrap();
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
