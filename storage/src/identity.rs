//! Which run wrote a table: in the column `run`, and in every part's metadata.

use std::collections::BTreeMap;

use arrow::datatypes::Schema;
use parquet::file::metadata::{KeyValue, ParquetMetaData};

use crate::catalog::features;

/// The version of the tables' columns. It is raised when a column changes its name, type or
/// meaning, and not when a column is added.
pub const SCHEMA_VERSION: u32 = 2;

/// The key of [`SCHEMA_VERSION`] in a part's metadata.
const VERSION_KEY: &str = "onward.schema_version";

/// What identifies a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunIdentity {
    /// Its name, the value of the column `run`.
    pub name: String,
    /// A unique id, for example a random number in hexadecimal.
    pub id: String,
    /// A digest of the resolved configuration.
    pub config_hash: String,
}

impl RunIdentity {
    /// The metadata of every part of the run.
    pub(crate) fn metadata(&self) -> Metadata {
        let entries = [
            (VERSION_KEY, SCHEMA_VERSION.to_string()),
            ("onward.run", self.name.clone()),
            ("onward.run_id", self.id.clone()),
            ("onward.config_hash", self.config_hash.clone()),
        ];
        Metadata(entries.map(|(key, value)| (key.to_owned(), value)).into())
    }
}

/// The keys and values in a part's footer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Metadata(BTreeMap<String, String>);

impl Metadata {
    /// The metadata in a footer, without the Parquet library's own entry.
    pub(crate) fn of_footer(footer: &ParquetMetaData) -> Self {
        let entries = footer.file_metadata().key_value_metadata().into_iter().flatten();
        let entries = entries.filter(|entry| entry.key != parquet::arrow::ARROW_SCHEMA_META_KEY);
        let entries =
            entries.map(|entry| (entry.key.clone(), entry.value.clone().unwrap_or_default()));
        Self(entries.collect())
    }

    /// The metadata that [`Metadata::put_into`] put into a schema.
    pub(crate) fn of_schema(schema: &Schema) -> Self {
        Self(schema.metadata().clone().into_iter().collect())
    }

    /// Adds the description of the columns that Hugging Face datasets reads.
    pub(crate) fn with_features(mut self, schema: &Schema) -> Self {
        self.0.insert("huggingface".to_owned(), features::json(schema));
        self
    }

    /// The schema with this metadata.
    pub(crate) fn put_into(&self, schema: &Schema) -> Schema {
        Schema::new_with_metadata(schema.fields().clone(), self.0.clone())
    }

    /// The metadata as Parquet's writer takes it.
    pub(crate) fn entries(&self) -> Vec<KeyValue> {
        self.0.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone())).collect()
    }

    /// The version of the part's columns, if it differs from [`SCHEMA_VERSION`].
    pub(crate) fn other_version(&self) -> Option<String> {
        match self.0.get(VERSION_KEY) {
            Some(version) if *version == SCHEMA_VERSION.to_string() => None,
            Some(version) => Some(version.clone()),
            None => Some("unknown".to_owned()),
        }
    }
}
