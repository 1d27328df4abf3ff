//! Which run wrote a table: in the column `run`, and in every part's metadata.

use std::collections::BTreeMap;

use arrow::datatypes::Schema;
use parquet::file::metadata::{KeyValue, ParquetMetaData};

use crate::catalog::features;

/// The number of the tables' layout. It goes up when a column changes its name, type or meaning;
/// a new column does not count.
pub const SCHEMA_VERSION: u32 = 1;

/// What identifies a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Its name, the value of the column `run`.
    pub name: String,
    /// What no other run has, for example a random number in hexadecimal.
    pub id: String,
    /// A digest of the resolved configuration.
    pub config_hash: String,
}

impl Run {
    /// What every part of the run says of itself, whatever its table.
    pub(crate) fn metadata(&self) -> Metadata {
        let entries = [
            ("onward.schema_version", SCHEMA_VERSION.to_string()),
            ("onward.run", self.name.clone()),
            ("onward.run_id", self.id.clone()),
            ("onward.config_hash", self.config_hash.clone()),
        ];
        Metadata(entries.map(|(key, value)| (key.to_owned(), value)).into())
    }
}

/// Keys and values of a part's footer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Metadata(BTreeMap<String, String>);

impl Metadata {
    /// What a footer says, without what the Parquet library keeps there for itself.
    pub(crate) fn of_footer(footer: &ParquetMetaData) -> Self {
        let entries = footer.file_metadata().key_value_metadata().into_iter().flatten();
        let entries = entries.filter(|it| it.key != parquet::arrow::ARROW_SCHEMA_META_KEY);
        Self(entries.map(|it| (it.key.clone(), it.value.clone().unwrap_or_default())).collect())
    }

    /// This, and what Hugging Face datasets wants to know of the columns.
    pub(crate) fn with_features(mut self, schema: &Schema) -> Self {
        self.0.insert("huggingface".to_owned(), features::json(schema));
        self
    }

    /// What was put into a schema by [`Metadata::put_into`].
    pub(crate) fn of_schema(schema: &Schema) -> Self {
        Self(schema.metadata().clone().into_iter().collect())
    }

    /// The schema that carries this.
    pub(crate) fn put_into(&self, schema: &Schema) -> Schema {
        Schema::new_with_metadata(schema.fields().clone(), self.0.clone())
    }

    /// As Parquet wants it.
    pub(crate) fn entries(&self) -> Vec<KeyValue> {
        self.0.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone())).collect()
    }
}
