//! Keys and values that have another name now.

use toml::Value;

/// The old key and its new name, or the old `key = value` and the new value. Indices of lists are
/// left out.
const RENAMED: &[(&str, &str)] = &[
    ("pipeline.stream.retry.stall", "stall_timeout"),
    ("pipeline.stream.retry.connect", "connect_timeout"),
    ("pipeline.stream.retry.first", "initial_delay"),
    ("pipeline.stream.retry.longest", "max_delay"),
    ("pipeline.stream.retry.attempts", "max_attempts"),
    (r#"pipeline.stream.sample = "keyframe-pairs""#, r#""gop-start""#),
    (r#"model.embed.pool = "patches""#, r#""mean""#),
];

/// Refuses a config with an old name.
///
/// # Errors
/// The key, and what it was renamed to.
pub(super) fn refuse(root: &Value) -> Result<(), (String, String)> {
    search(root, "", "")
}

/// `key` is that of `value`, and `listed` the same without indices.
fn search(value: &Value, key: &str, listed: &str) -> Result<(), (String, String)> {
    let setting = format!("{listed} = {value}");
    for (old, new) in RENAMED {
        if *old == listed {
            return Err((key.into(), format!("was renamed to {new}")));
        }
        if *old == setting {
            return Err((key.into(), format!("{value} was renamed to {new}")));
        }
    }
    match value {
        Value::Table(table) => table.iter().try_for_each(|(name, value)| {
            let dot = if key.is_empty() { "" } else { "." };
            search(value, &format!("{key}{dot}{name}"), &format!("{listed}{dot}{name}"))
        }),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .try_for_each(|(idx, item)| search(item, &format!("{key}[{idx}]"), listed)),
        _ => Ok(()),
    }
}
