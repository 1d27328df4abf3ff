//! What stands beside the tables and says what they are: `views.sql` for DuckDB, `dataset.json`
//! for everybody.

pub(crate) mod dataset;
pub(crate) mod features;
pub(crate) mod views;

use std::path::Path;

use arrow::datatypes::SchemaRef;

use crate::Result;
use crate::disk::publish::replace;
use crate::table::columns::TABLES;
use crate::table::footer::Footer;
use crate::table::part_names as parts;

/// A table that has parts.
pub(crate) struct Listed {
    /// Its name.
    pub(crate) table: &'static str,
    /// Its columns.
    pub(crate) schema: SchemaRef,
}

/// Writes both files of the run's folder `dir`, an absolute path, anew.
pub(crate) fn write(dir: &Path, tables: &[Listed]) -> Result<()> {
    replace(&dir.join("views.sql"), &views::sql(&dir.to_string_lossy(), tables))?;
    replace(&dir.join("dataset.json"), &dataset::json(tables))
}

/// The same from what is on disk.
pub(crate) fn refresh(dir: &Path) -> Result<()> {
    let dir = std::fs::canonicalize(dir).map_err(crate::disk::publish::failed("find", dir))?;
    write(&dir, &tables(&dir)?)
}

/// The tables that have parts on disk.
pub(crate) fn tables(dir: &Path) -> Result<Vec<Listed>> {
    let mut tables = Vec::new();
    for table in TABLES {
        if let Some(part) = parts::list(&dir.join(table))?.first() {
            tables.push(Listed { table, schema: Footer::read(&part.path)?.schema });
        }
    }
    Ok(tables)
}
