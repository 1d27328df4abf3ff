//! The files beside the tables that describe them: `views.sql` for DuckDB, and `dataset.json`.

pub(crate) mod dataset;
pub(crate) mod features;
pub(crate) mod views;

use std::path::Path;

use crate::Result;
use crate::disk::write_atomically;
use crate::error::failed;
use crate::table::columns::{TABLES, TableSchema};
use crate::table::footer::Footer;
use crate::table::part_names;

/// Writes both files to the run's folder `dir`, an absolute path.
pub(crate) fn write(dir: &Path, tables: &[TableSchema]) -> Result<()> {
    write_atomically(&dir.join("views.sql"), views::sql(&dir.to_string_lossy(), tables))?;
    write_atomically(&dir.join("dataset.json"), dataset::json(tables))
}

/// Writes both files for the tables on disk.
pub(crate) fn refresh(dir: &Path) -> Result<()> {
    let dir = std::fs::canonicalize(dir).map_err(failed("find", dir))?;
    write(&dir, &tables(&dir)?)
}

/// The tables on disk that have parts.
pub(crate) fn tables(dir: &Path) -> Result<Vec<TableSchema>> {
    let mut tables = Vec::new();
    for table in TABLES {
        if let Some(part) = part_names::list(&dir.join(table))?.first() {
            tables.push(TableSchema { table, schema: Footer::read(&part.path)?.schema });
        }
    }
    Ok(tables)
}
