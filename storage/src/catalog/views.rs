//! `views.sql`: the tables as DuckDB views.
//!
//! DuckDB reads a fixed-size list as a list of any length, and its vector functions want an array:
//! the cast in the view is what makes `array_cosine_similarity` work.

use std::fmt::Write;

use crate::catalog::Listed;
use crate::table::columns::width;

/// The text of `views.sql`. The tables have parts: DuckDB refuses a view over no files. `place` is
/// an absolute path, because DuckDB resolves paths against its working directory, or a URL.
pub(crate) fn sql(place: &str, tables: &[Listed]) -> String {
    let mut sql = String::from(
        "-- DuckDB views over the parts of this run; a view appears with its table's first part.\n\
         -- From this run's folder: duckdb -init views.sql\n",
    );
    let place = pattern(place);
    for Listed { table, schema } in tables {
        let vectors = schema.fields().iter().filter_map(|it| Some((it.name(), width(it)?)));
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

/// A path as the inside of an SQL string that DuckDB takes for a glob.
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

    fn listed(table: &'static str, vectors: &[(&str, i32)]) -> Listed {
        let item = Arc::new(Field::new("item", DataType::Float32, false));
        let vectors = vectors.iter().map(|(name, width)| {
            Field::new(*name, DataType::FixedSizeList(item.clone(), *width), false)
        });
        let step = Field::new("step", DataType::Int64, false);
        Listed {
            table,
            schema: Arc::new(Schema::new(once(step).chain(vectors).collect::<Vec<_>>())),
        }
    }

    fn statements(dir: &str, tables: &[Listed]) -> Vec<String> {
        let sql = sql(dir, tables);
        sql.lines().filter(|line| !line.starts_with("--")).map(str::to_owned).collect()
    }

    #[test]
    fn only_tables_with_parts_are_listed() {
        assert!(statements("/r", &[]).is_empty());
        assert_eq!(
            statements("/r", &[listed("metrics", &[])]),
            ["CREATE OR REPLACE VIEW metrics AS SELECT * FROM \
              read_parquet('/r/metrics/*.parquet');"]
        );
    }

    #[test]
    fn vectors_are_cast_to_an_array() {
        let vectors = [("embedding", 384), ("aggregate", 640)];
        let lines = statements("/r", &[listed("embeddings", &vectors)]);
        let columns = "* REPLACE (\"embedding\"::FLOAT[384] AS \"embedding\", \
                       \"aggregate\"::FLOAT[640] AS \"aggregate\") FROM";
        assert!(lines[0].contains(columns), "{lines:?}");
    }

    #[test]
    fn a_path_is_neither_sql_nor_a_glob() {
        let lines = statements("/o'hare/[1]*", &[listed("metrics", &[])]);
        assert!(lines[0].contains("('/o''hare/[[]1][*]/metrics/*.parquet')"), "{lines:?}");
    }
}
