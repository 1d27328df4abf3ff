//! `--set KEY=VALUE`.

use toml::{Table, Value};

/// Applies `dotted.key=value`. A number between dots is an index. The value is TOML, or else text.
pub(super) fn apply(table: &mut Table, set: &str) -> Result<(), String> {
    let (key, text) = set.split_once('=').ok_or("must look like key=value")?;
    let parsed = toml::from_str::<Table>(&format!("value = {text}"));
    let value = parsed.ok().and_then(|mut parsed| parsed.remove("value"));
    let value = value.unwrap_or_else(|| Value::String(text.into()));
    let parts: Vec<&str> = key.trim().split('.').collect();
    let (last, parents) = parts.split_last().ok_or("has an empty key")?;
    let mut root = Value::Table(std::mem::take(table));
    let parent = parents.iter().try_fold(&mut root, |value, part| child(value, part))?;
    *child(parent, last)? = value;
    if let Value::Table(root) = root {
        *table = root;
    }
    Ok(())
}

/// The value at `part`. A missing key is added, so that defaults can be replaced too.
fn child<'a>(value: &'a mut Value, part: &str) -> Result<&'a mut Value, String> {
    match value {
        Value::Table(table) => {
            Ok(table.entry(part).or_insert_with(|| Value::Table(Table::default())))
        }
        Value::Array(items) => {
            let count = items.len();
            let item = part.parse::<usize>().ok().and_then(|idx| items.get_mut(idx));
            item.ok_or_else(|| format!("{part:?} is not an index below {count}"))
        }
        _ => Err(format!("{part:?} is inside a value that is not a table")),
    }
}
