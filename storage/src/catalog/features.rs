//! The columns in the words of Hugging Face datasets, which a part's metadata carries.

use arrow::datatypes::{DataType, Schema, TimeUnit};
use serde_json::{Map, Value, json};

/// `{"info": {"features": {...}}}`, what `datasets` looks for under the key `huggingface`.
pub(crate) fn json(schema: &Schema) -> String {
    let features: Map<String, Value> =
        schema.fields().iter().map(|it| (it.name().clone(), feature(it.data_type()))).collect();
    json!({ "info": { "features": features } }).to_string()
}

fn feature(data_type: &DataType) -> Value {
    match data_type {
        // `Sequence` is understood by every version; newer ones write `List`.
        DataType::FixedSizeList(item, length) => {
            json!({ "feature": feature(item.data_type()), "length": length, "_type": "Sequence" })
        }
        other => json!({ "dtype": dtype(other), "_type": "Value" }),
    }
}

/// The name of a column's type, in Arrow's words.
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
