//! `views.sql`: the tables as DuckDB views.
//!
//! DuckDB reads a fixed-size list as a list of any length, and its vector functions need an array.
//! The view casts the list, so that `array_cosine_similarity` works.

use std::fmt::Write;

use crate::table::columns::{TableSchema, width};

/// The text of `views.sql`, for tables that have parts: DuckDB refuses a view without files. `place`
/// is a URL or an absolute path, because DuckDB resolves paths against its working directory.
pub(crate) fn sql(place: &str, tables: &[TableSchema]) -> String {
    let mut sql = String::from(
        "-- DuckDB views over the parts of this run; a view appears with its table's first part.\n\
         -- From this run's folder: duckdb -init views.sql\n",
    );
    let place = pattern(place);
    for TableSchema { table, schema } in tables {
        let vectors =
            schema.fields().iter().filter_map(|field| Some((field.name(), width(field)?)));
        let casts: Vec<String> = vectors
            .map(|(name, width)| format!("\"{name}\"::FLOAT[{width}] AS \"{name}\""))
            .collect();
        let columns = match &casts[..] {
            [] => "*".to_owned(),
            casts => format!("* REPLACE ({})", casts.join(", ")),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(
            sql,
            "CREATE OR REPLACE VIEW {table} AS SELECT {columns} FROM \
             read_parquet('{place}/{table}/*.parquet');",
        );
    }
    sql
}

/// A path, escaped for an SQL string that DuckDB reads as a glob.
fn pattern(path: &str) -> String {
    let mut pattern = String::with_capacity(path.len());
    for letter in path.chars() {
        match letter {
            '\'' => pattern.push_str("''"),
            '*' | '?' | '[' => pattern.extend(['[', letter, ']']),
            _ => pattern.push(letter),
        }
    }
    pattern
}

#[cfg(test)]
mod tests {
    use std::iter::once;
    use std::sync::Arc;

    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;

    fn schema(table: &'static str, vectors: &[(&str, i32)]) -> TableSchema {
        let item = Arc::new(Field::new("item", DataType::Float32, false));
        let vectors = vectors.iter().map(|(name, width)| {
            Field::new(*name, DataType::FixedSizeList(item.clone(), *width), false)
        });
        let step = Field::new("step", DataType::Int64, false);
        TableSchema {
            table,
            schema: Arc::new(Schema::new(once(step).chain(vectors).collect::<Vec<_>>())),
        }
    }

    fn statements(dir: &str, tables: &[TableSchema]) -> Vec<String> {
        let sql = sql(dir, tables);
        sql.lines().filter(|line| !line.starts_with("--")).map(str::to_owned).collect()
    }

    #[test]
    fn only_tables_with_parts_are_listed() {
        assert!(statements("/r", &[]).is_empty());
        assert_eq!(
            statements("/r", &[schema("metrics", &[])]),
            ["CREATE OR REPLACE VIEW metrics AS SELECT * FROM \
              read_parquet('/r/metrics/*.parquet');"]
        );
    }

    #[test]
    fn vectors_are_cast_to_an_array() {
        let vectors = [("embedding", 384), ("aggregate", 640)];
        let lines = statements("/r", &[schema("embeddings", &vectors)]);
        let columns = "* REPLACE (\"embedding\"::FLOAT[384] AS \"embedding\", \
                       \"aggregate\"::FLOAT[640] AS \"aggregate\") FROM";
        assert!(lines[0].contains(columns), "{lines:?}");
    }

    #[test]
    fn a_path_is_escaped_for_sql_and_globs() {
        let lines = statements("/o'hare/[1]*", &[schema("metrics", &[])]);
        assert!(lines[0].contains("('/o''hare/[[]1][*]/metrics/*.parquet')"), "{lines:?}");
    }
}
