//! The description of the columns that Hugging Face datasets reads from a part's metadata.

use arrow::datatypes::{DataType, Schema, TimeUnit};
use serde_json::{Map, Value, json};

/// `{"info": {"features": {...}}}`, which `datasets` reads from the key `huggingface`.
pub(crate) fn json(schema: &Schema) -> String {
    let features: Map<String, Value> = schema
        .fields()
        .iter()
        .map(|field| (field.name().clone(), feature(field.data_type())))
        .collect();
    json!({ "info": { "features": features } }).to_string()
}

fn feature(data_type: &DataType) -> Value {
    match data_type {
        // Every version reads `Sequence`; newer versions write `List`.
        DataType::FixedSizeList(item, length) => {
            json!({ "feature": feature(item.data_type()), "length": length, "_type": "Sequence" })
        }
        other => json!({ "dtype": dtype(other), "_type": "Value" }),
    }
}

/// The name of a column's type in Hugging Face datasets.
pub(crate) fn dtype(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 => "string".to_owned(),
        DataType::Float32 => "float32".to_owned(),
        DataType::Float64 => "float64".to_owned(),
        DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) => {
            format!("timestamp[us, tz={zone}]")
        }
        other => other.to_string().to_lowercase(),
    }
}
