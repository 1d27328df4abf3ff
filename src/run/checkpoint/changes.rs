//! What of a config may change when its run goes on.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::Context as _;
use toml::Value;

/// Where a change does no harm to what was learned: the keys themselves, and all below them.
const FREE: &[&str] = &[
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

/// A key that has another value than before.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Change {
    key: String,
    before: Option<String>,
    now: Option<String>,
}

impl Change {
    /// Whether the run may go on with it.
    pub(crate) fn may(&self) -> bool {
        FREE.iter().any(|it| self.is_about(it))
    }

    /// Whether it is of this key, or of one below it.
    pub(crate) fn is_about(&self, key: &str) -> bool {
        let below = self.key.strip_prefix(key);
        below.is_some_and(|it| it.is_empty() || it.starts_with(['.', '[']))
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |it: &Option<String>| it.clone().unwrap_or_else(|| "not there".into());
        write!(f, "{}: {} before, {} now", self.key, shown(&self.before), shown(&self.now))
    }
}

/// The keys in which two configs differ, both as TOML with all their defaults.
pub(crate) fn between(before: &str, now: &str) -> anyhow::Result<Vec<Change>> {
    let flat = |text: &str| -> anyhow::Result<BTreeMap<String, String>> {
        let mut values = BTreeMap::new();
        let table = text.parse().context("the config of the checkpoint is no TOML")?;
        flatten("", &Value::Table(table), &mut values);
        Ok(values)
    };
    let (before, now) = (flat(before)?, flat(now)?);
    let mut keys: Vec<&String> = before.keys().chain(now.keys()).collect();
    keys.sort();
    keys.dedup();
    let changed = keys.into_iter().filter(|it| before.get(*it) != now.get(*it));
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
            items.for_each(|(idx, it)| flatten(&format!("{at}[{idx}]"), it, into));
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
        let told: Vec<_> = changes.iter().map(|it| (it.key.as_str(), it.may())).collect();
        let wanted = [
            ("model.train.learning_rate", false),
            ("model.train.steps", true),
            ("pipeline.stream[0].name", true),
            ("pipeline.stream[0].weight", true),
        ];
        assert_eq!(told, wanted);
        assert_eq!(changes[1].to_string(), "model.train.steps: 10 before, 20 now");
        assert_eq!(changes[3].to_string(), "pipeline.stream[0].weight: not there before, 2.0 now");
        assert!(between(now, now).unwrap().is_empty());
    }
}
