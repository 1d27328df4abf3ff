//! Which keys of a config may change when its run resumes.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::Context as _;
use toml::Value;

/// Keys that may change, with all below them: they do not affect what was learned.
const CHANGEABLE: &[&str] = &[
    "checkpoint",
    "device",
    "embed_every",
    "log_every",
    "model.train.steps",
    "pipeline.isolate",
    "pipeline.isolation",
    "pipeline.stream",
    "storage",
    "thumbnails",
];

/// A key whose value is not what it was before.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Change {
    key: String,
    before: Option<String>,
    now: Option<String>,
}

impl Change {
    /// Whether the run may resume with it.
    pub(crate) fn is_allowed(&self) -> bool {
        CHANGEABLE.iter().any(|key| self.is_within(key))
    }

    /// Whether it changes this key, or one below it.
    pub(crate) fn is_within(&self, key: &str) -> bool {
        let below = self.key.strip_prefix(key);
        below.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "not set".into());
        write!(f, "{}: {} before, {} now", self.key, shown(&self.before), shown(&self.now))
    }
}

/// The keys in which two configs differ, both as TOML with all their defaults.
pub(crate) fn between(before: &str, now: &str) -> anyhow::Result<Vec<Change>> {
    let flat = |text: &str| -> anyhow::Result<BTreeMap<String, String>> {
        let mut values = BTreeMap::new();
        let table = text.parse().context("the config of the checkpoint is not TOML")?;
        flatten("", &Value::Table(table), &mut values);
        Ok(values)
    };
    let (before, now) = (flat(before)?, flat(now)?);
    let mut keys: Vec<&String> = before.keys().chain(now.keys()).collect();
    keys.sort();
    keys.dedup();
    let changed = keys.into_iter().filter(|key| before.get(*key) != now.get(*key));
    let change = |key: &String| Change {
        key: key.clone(),
        before: before.get(key).cloned(),
        now: now.get(key).cloned(),
    };
    Ok(changed.map(change).collect())
}

fn flatten(at: &str, value: &Value, into: &mut BTreeMap<String, String>) {
    match value {
        Value::Table(table) => table.iter().for_each(|(key, value)| {
            let dot = if at.is_empty() { "" } else { "." };
            flatten(&format!("{at}{dot}{key}"), value, into);
        }),
        Value::Array(items) if items.iter().any(Value::is_table) => {
            let items = items.iter().enumerate();
            items.for_each(|(idx, item)| flatten(&format!("{at}[{idx}]"), item, into));
        }
        other => drop(into.insert(at.to_owned(), other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_named_and_told_apart() {
        let before = "seed = 1\n[model.train]\nsteps = 10\nlearning_rate = 0.1\n\
                      [[pipeline.stream]]\nname = \"a\"\n";
        let now = "seed = 1\n[model.train]\nsteps = 20\nlearning_rate = 0.2\n\
                   [[pipeline.stream]]\nname = \"b\"\nweight = 2.0\n";
        let changes = between(before, now).unwrap();
        let told: Vec<_> =
            changes.iter().map(|change| (change.key.as_str(), change.is_allowed())).collect();
        let wanted = [
            ("model.train.learning_rate", false),
            ("model.train.steps", true),
            ("pipeline.stream[0].name", true),
            ("pipeline.stream[0].weight", true),
        ];
        assert_eq!(told, wanted);
        assert_eq!(changes[1].to_string(), "model.train.steps: 10 before, 20 now");
        assert_eq!(changes[3].to_string(), "pipeline.stream[0].weight: not set before, 2.0 now");
        assert!(between(now, now).unwrap().is_empty());
    }
}
