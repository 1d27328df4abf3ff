//! `views.sql`: the tables as DuckDB views.
//!
//! DuckDB reads a fixed-size list as a list of any length, and its vector functions want an array:
//! the cast in the view is what makes `array_cosine_similarity` work.

use std::fmt::Write;
use std::path::Path;

use crate::Result;
use crate::publish::replace;

/// One view.
pub(crate) struct View {
    /// The table, which has parts: DuckDB refuses a view over no files.
    pub(crate) table: &'static str,
    /// Name and width of each of its columns of vectors.
    pub(crate) vectors: Vec<(String, i32)>,
}

/// Writes `<dir>/views.sql` anew. `dir` is absolute, because DuckDB resolves paths against its
/// working directory.
pub(crate) fn write(dir: &Path, views: &[View]) -> Result<()> {
    replace(&dir.join("views.sql"), &sql(dir, views))
}

fn sql(dir: &Path, views: &[View]) -> String {
    let mut sql = String::from(
        "-- DuckDB views over the parts of this run; a view appears with its table's first part.\n\
         -- From this run's folder: duckdb -init views.sql\n",
    );
    let dir = pattern(&dir.to_string_lossy());
    for View { table, vectors } in views {
        let casts: Vec<String> = vectors
            .iter()
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
             read_parquet('{dir}/{table}/*.parquet');",
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
    use super::*;

    fn statements(dir: &str, views: &[View]) -> Vec<String> {
        let sql = sql(Path::new(dir), views);
        sql.lines().filter(|line| !line.starts_with("--")).map(str::to_owned).collect()
    }

    #[test]
    fn only_tables_with_parts_are_listed() {
        assert!(statements("/r", &[]).is_empty());
        assert_eq!(
            statements("/r", &[View { table: "metrics", vectors: Vec::new() }]),
            ["CREATE OR REPLACE VIEW metrics AS SELECT * FROM \
              read_parquet('/r/metrics/*.parquet');"]
        );
    }

    #[test]
    fn vectors_are_cast_to_an_array() {
        let vectors = [("embedding", 384), ("aggregate", 640)];
        let vectors: Vec<_> = vectors.map(|(name, width)| (name.to_owned(), width)).into();
        let lines = statements("/r", &[View { table: "embeddings", vectors }]);
        let columns = "* REPLACE (\"embedding\"::FLOAT[384] AS \"embedding\", \
                       \"aggregate\"::FLOAT[640] AS \"aggregate\") FROM";
        assert!(lines[0].contains(columns), "{lines:?}");
    }

    #[test]
    fn a_path_is_neither_sql_nor_a_glob() {
        let lines = statements("/o'hare/[1]*", &[View { table: "metrics", vectors: Vec::new() }]);
        assert!(lines[0].contains("('/o''hare/[[]1][*]/metrics/*.parquet')"), "{lines:?}");
    }
}
