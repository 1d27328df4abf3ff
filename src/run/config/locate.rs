//! Where a config error is: the key that serde stopped at, and its line in the file.

use serde::de::DeserializeOwned;
use serde_path_to_error::{Path, Segment};
use toml::de::{DeTable, DeValue};
use toml::{Spanned, Value};

/// A key that no table has. It sorts last, so that all other keys are read before it.
const NO_KEY: &str = "\u{10ffff}";

/// The key by whose value serde picks the type of a table.
const TAG: &str = "name";

/// Deserialises a config.
///
/// # Errors
/// The key that is wrong, and why.
pub(super) fn deserialize<T: DeserializeOwned>(root: &Value) -> Result<T, (String, String)> {
    serde_path_to_error::deserialize(root.clone()).map_err(|err| {
        let message = err.inner().message();
        let path = inside_table::<T>(root, existing(root, err.path()), message);
        (key(root, &path), message.to_owned())
    })
}

/// The part of serde's path that the config has: a path may end with a variant that does not
/// exist, or with one that is written as a plain string.
fn existing(root: &Value, path: &Path) -> Vec<String> {
    let mut value = root;
    let mut parts = Vec::new();
    for segment in path {
        let part = match segment {
            Segment::Seq { index } => index.to_string(),
            Segment::Map { key } => key.clone(),
            Segment::Enum { variant } => variant.clone(),
            Segment::Unknown => break,
        };
        let Some(child) = child(value, &part) else { break };
        value = child;
        parts.push(part);
    }
    parts
}

/// Looks for the wrong key inside the table at `path`.
///
/// serde reads a table that is picked by a tag, as `[model.method]` is by its `name`, into memory
/// before it knows the type, and its path ends there. Exactly one key is at fault then, and
/// without it the error is another one. So it is without the tag, which is at fault only when no
/// other key is. A missing key is told apart by [`NO_KEY`]: it would be refused before anything is
/// found missing.
fn inside_table<T: DeserializeOwned>(
    root: &Value,
    path: Vec<String>,
    message: &str,
) -> Vec<String> {
    let Some(Value::Table(table)) = get(root, &path) else { return path };
    let is_same_error = |change: &dyn Fn(&mut toml::Table)| {
        let mut changed = root.clone();
        if let Some(Value::Table(table)) = get_mut(&mut changed, &path) {
            change(table);
        }
        T::deserialize(changed).is_err_and(|err| err.message() == message)
    };
    if !is_same_error(&|table| drop(table.insert(NO_KEY.into(), true.into()))) {
        return path;
    }
    let is_at_fault = |key: &&String| !is_same_error(&|table| drop(table.remove(*key)));
    let mut at_fault: Vec<&String> = table.keys().filter(is_at_fault).collect();
    if at_fault.len() > 1 {
        at_fault.retain(|key| *key != TAG);
    }
    match at_fault[..] {
        [key] => {
            let below = [&path[..], std::slice::from_ref(key)].concat();
            inside_table::<T>(root, below, message)
        }
        _ => path,
    }
}

fn get<'a>(root: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(root, |value, part| child(value, part))
}

fn get_mut<'a>(root: &'a mut Value, path: &[String]) -> Option<&'a mut Value> {
    path.iter().try_fold(root, |value, part| match value {
        Value::Table(table) => table.get_mut(part),
        Value::Array(items) => items.get_mut(part.parse::<usize>().ok()?),
        _ => None,
    })
}

fn child<'a>(value: &'a Value, part: &str) -> Option<&'a Value> {
    match value {
        Value::Table(table) => table.get(part),
        Value::Array(items) => items.get(part.parse::<usize>().ok()?),
        _ => None,
    }
}

/// A path as people write it: `pipeline.stream[0].name`.
fn key(root: &Value, path: &[String]) -> String {
    let mut value = Some(root);
    let mut key = String::new();
    for part in path {
        match value {
            Some(Value::Array(_)) => key += &format!("[{part}]"),
            _ if key.is_empty() => key += part,
            _ => key += &format!(".{part}"),
        }
        value = value.and_then(|value| child(value, part));
    }
    key
}

/// The lines of a config's keys.
pub(super) struct Document {
    keys: Vec<(String, usize)>,
}

impl Document {
    /// Finds the keys of a text, which must be TOML.
    pub(super) fn new(text: &str) -> Self {
        let mut document = Self { keys: Vec::new() };
        if let Ok(table) = DeTable::parse(text) {
            document.add_table(text, table.get_ref(), "");
        }
        document
    }

    /// Line of a key, or of the nearest table around it that the text has.
    pub(super) fn line_of(&self, key: &str) -> Option<usize> {
        if key.is_empty() {
            return Some(1);
        }
        let mut key = key;
        loop {
            if let Some((_, line)) = self.keys.iter().find(|(known, _)| known == key) {
                return Some(*line);
            }
            key = &key[..key.rfind(['.', '['])?];
        }
    }

    fn add_table(&mut self, text: &str, table: &DeTable<'_>, prefix: &str) {
        for (key, value) in table {
            let dot = if prefix.is_empty() { "" } else { "." };
            let name = format!("{prefix}{dot}{}", key.get_ref());
            let start = key.span().start.min(value.span().start);
            self.keys.push((name.clone(), line_at(text, start)));
            self.add(text, value, &name);
        }
    }

    fn add(&mut self, text: &str, value: &Spanned<DeValue<'_>>, name: &str) {
        match value.get_ref() {
            DeValue::Table(table) => self.add_table(text, table, name),
            DeValue::Array(items) => {
                for (idx, item) in items.iter().enumerate() {
                    let name = format!("{name}[{idx}]");
                    self.keys.push((name.clone(), line_at(text, item.span().start)));
                    self.add(text, item, &name);
                }
            }
            _ => {}
        }
    }
}

/// Line of a byte, counted from 1.
pub(super) fn line_at(text: &str, byte: usize) -> usize {
    1 + text.bytes().take(byte).filter(|byte| *byte == b'\n').count()
}
