//! One TOML is one run: reading it, overriding it, and saying where it is wrong.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

use crate::run::{checkpoint, clips};

/// What stands for a secret where it is printed.
const HIDDEN: &str = "***";

/// One run, as a file under `configs/` describes it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// Fixes the first weights and the order of the clips.
    #[serde(default)]
    pub(crate) seed: u64,
    /// `auto`, `cpu`, `cuda`, `cuda:N` or `vulkan`.
    #[serde(default)]
    pub(crate) device: model::DeviceChoice,
    /// Steps between two readings of the loss, which wait for the device.
    #[serde(default = "default_log_every")]
    pub(crate) log_every: u64,
    /// Steps between two batches whose embeddings are stored; 0 stores none.
    #[serde(default = "default_embed_every")]
    pub(crate) embed_every: u64,
    /// Shows a small picture of each stream on the page of `--listen`. Without it no frame leaves
    /// the process.
    #[serde(default)]
    pub(crate) thumbnails: bool,
    /// Streams to batches.
    pub(crate) pipeline: pipeline::Config,
    /// Batches to losses.
    pub(crate) model: model::Config,
    /// What is kept, and where.
    pub(crate) storage: storage::Config,
    /// When the run writes down where it is.
    #[serde(default)]
    pub(crate) checkpoint: checkpoint::Config,
}

fn default_log_every() -> u64 {
    10
}

fn default_embed_every() -> u64 {
    100
}

/// A config that cannot be run: where, which key, and why.
#[derive(Debug)]
pub(crate) struct BadConfig {
    path: PathBuf,
    line: Option<usize>,
    key: String,
    message: String,
}

impl fmt::Display for BadConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", without_addresses(&self.key))?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for BadConfig {}

/// A parser's message or a key, without what it quotes if that may be an address with a password.
fn without_addresses(text: &str) -> Cow<'_, str> {
    if may_hold_address(text) { without_quotes(text).into() } else { text.into() }
}

/// A quoted value may itself hold any kind of quote: all is left out up to what was expected.
fn without_quotes(text: &str) -> String {
    let start = text.find(['"', '`']).unwrap_or(0);
    let end = text.rfind(", expected ").filter(|it| *it > start).unwrap_or(text.len());
    format!("{}{HIDDEN}{}", &text[..start], &text[end..])
}

fn may_hold_address(text: &str) -> bool {
    text.contains("://") || text.contains('@')
}

/// A `--set` as it may be shown.
fn shown(set: &str) -> String {
    match set.split_once('=') {
        Some((key, value)) if key.contains("source") || may_hold_address(value) => {
            format!("--set {}={HIDDEN}", without_addresses(key))
        }
        _ => format!("--set {}", without_addresses(set)),
    }
}

impl Config {
    /// Reads a config, replaces the values of `sets`, and checks all of it.
    pub(crate) fn load(path: &Path, sets: &[String]) -> anyhow::Result<Self> {
        let bad = |key: &str, message: String| BadConfig {
            path: path.into(),
            line: None,
            key: key.into(),
            message,
        };
        let text = std::fs::read_to_string(path)
            .map_err(|err| bad("", format!("cannot be read: {err}; check the path")))?;
        let mut table: Table = toml::from_str(&text).map_err(|err| locate(path, &text, &err))?;
        // The text itself is read first: its errors have a place in it.
        if sets.is_empty() {
            let config: Self = toml::from_str(&text).map_err(|err| locate(path, &text, &err))?;
            return config.checked(path, &text);
        }
        for set in sets {
            replace(&mut table, set)
                .map_err(|message| bad(&shown(set), without_addresses(&message).into()))?;
        }
        let config = Self::deserialize(table).map_err(|err| {
            let message = err.to_string().trim().replace('\n', " ");
            let sets: Vec<String> = sets.iter().map(|it| shown(it)).collect();
            let hidden = sets.iter().any(|it| it.contains(HIDDEN)) || may_hold_address(&message);
            let message = if hidden { without_quotes(&message) } else { message };
            bad(&format!("with {}", sets.join(" ")), message)
        })?;
        config.checked(path, &text)
    }

    /// The checks that types cannot make, the device among them.
    fn checked(self, path: &Path, text: &str) -> anyhow::Result<Self> {
        let bad = |key: String, message: String| {
            let line = line_of(text, &key);
            anyhow::Error::new(BadConfig { path: path.into(), line, key, message })
        };
        if self.log_every == 0 {
            return Err(bad("log_every".into(), "must be at least 1".into()));
        }
        if let Some((key, message)) = self.checkpoint.wrong() {
            return Err(bad(key.into(), message.into()));
        }
        match self.pipeline.validate() {
            Err(pipeline::Error::Config { key, message }) => return Err(bad(key, message)),
            other => other?,
        }
        match self.storage.validate() {
            Err(storage::Error::Config { key, message }) => return Err(bad(key.into(), message)),
            other => other?,
        }
        // The columns are known when the files are read; that there are any is enough here.
        let measured = self.pipeline.stream.iter().any(|it| it.telemetry.is_some());
        let input = clips::input(&self.pipeline, usize::from(measured));
        match self.device.open().and_then(|it| self.model.validate(input, &it)) {
            Ok(()) => Ok(self),
            Err(model::Error::Config { key, message }) => Err(bad(key, message)),
            Err(err) => Err(bad("device".into(), err.to_string())),
        }
    }

    /// All of it as TOML, with every default filled in and no password.
    pub(crate) fn resolved(&self) -> anyhow::Result<String> {
        toml::to_string_pretty(self).context("could not write the config as TOML")
    }

    /// Tells whether two runs had the same config.
    pub(crate) fn hash(&self) -> anyhow::Result<String> {
        let digest = Sha256::digest(self.resolved()?);
        Ok(digest[..8].iter().map(|it| format!("{it:02x}")).collect())
    }

    /// Name of the run: the last part of its folder.
    pub(crate) fn run_name(&self) -> String {
        let name = self.storage.dir.file_name().unwrap_or(self.storage.dir.as_os_str());
        name.to_string_lossy().into_owned()
    }
}

/// Applies `dotted.key=value`; a number between dots is an index. The value is TOML, or text.
fn replace(table: &mut Table, set: &str) -> Result<(), String> {
    let (key, text) = set.split_once('=').ok_or("must look like key=value")?;
    let parsed = toml::from_str::<Table>(&format!("value = {text}"));
    let value = parsed.ok().and_then(|mut it| it.remove("value"));
    let value = value.unwrap_or_else(|| Value::String(text.into()));
    let parts: Vec<&str> = key.trim().split('.').collect();
    let (last, parents) = parts.split_last().ok_or("has an empty key")?;
    let mut root = Value::Table(std::mem::take(table));
    let parent = parents.iter().try_fold(&mut root, |at, part| child(at, part))?;
    *child(parent, last)? = value;
    if let Value::Table(root) = root {
        *table = root;
    }
    Ok(())
}

/// The value at `part`; a key that a table lacks is made, for defaults can be replaced too.
fn child<'a>(value: &'a mut Value, part: &str) -> Result<&'a mut Value, String> {
    match value {
        Value::Table(table) => {
            Ok(table.entry(part).or_insert_with(|| Value::Table(Table::default())))
        }
        Value::Array(items) => {
            let count = items.len();
            let item = part.parse::<usize>().ok().and_then(|idx| items.get_mut(idx));
            item.ok_or_else(|| format!("{part:?} is no index below {count}"))
        }
        _ => Err(format!("{part:?} is inside a value that is no table")),
    }
}

/// Names the line and the key that a parser's error is about.
fn locate(path: &Path, text: &str, err: &toml::de::Error) -> BadConfig {
    let message = err.message().to_owned();
    let spans = spans(text);
    let span = err.span().unwrap_or(0..0);
    let mut place = spans.iter().filter(|(_, at)| at.start <= span.start && span.start < at.end);
    let mut found = place.next_back().cloned();
    // The error inside a tagged table spans all of it; the message still names the field.
    if let Some(field) = message.strip_prefix("unknown field `").and_then(|it| it.split('`').next())
        && let Some((key, _)) = &found
        && key.rsplit('.').next() != Some(field)
    {
        let inside = |path: &str| {
            let path = path.strip_prefix(key.as_str()).unwrap_or_default();
            path.rsplit('.').next() == Some(field)
        };
        found = spans.iter().find(|it| inside(&it.0)).cloned().or(found);
    }
    let (key, at) = found.unwrap_or((String::new(), span));
    let line = Some(line_at(text, at.start));
    let message = without_addresses(&message).into();
    BadConfig { path: path.into(), line, key, message }
}

/// Every key of a document with the bytes from its name to the end of its value, outer first.
fn spans(text: &str) -> Vec<(String, Range<usize>)> {
    let mut found = Vec::new();
    if let Ok(document) = DeTable::parse(text) {
        walk_table(document.get_ref(), "", &mut found);
    }
    found
}

fn walk_table(table: &DeTable<'_>, prefix: &str, found: &mut Vec<(String, Range<usize>)>) {
    for (key, value) in table {
        let dot = if prefix.is_empty() { "" } else { "." };
        let path = format!("{prefix}{dot}{}", key.get_ref());
        let (start, end) = (key.span().start, value.span().end.max(key.span().end));
        found.push((path.clone(), start.min(value.span().start)..end));
        walk(value, &path, found);
    }
}

fn walk(value: &Spanned<DeValue<'_>>, path: &str, found: &mut Vec<(String, Range<usize>)>) {
    match value.get_ref() {
        DeValue::Table(table) => walk_table(table, path, found),
        DeValue::Array(items) => {
            for (idx, item) in items.iter().enumerate() {
                let path = format!("{path}[{idx}]");
                found.push((path.clone(), item.span()));
                walk(item, &path, found);
            }
        }
        _ => {}
    }
}

/// Line of a key, or of the nearest table around it that the text has.
fn line_of(text: &str, key: &str) -> Option<usize> {
    let spans = spans(text);
    let mut key = key;
    loop {
        if let Some((_, at)) = spans.iter().find(|it| it.0 == key) {
            return Some(line_at(text, at.start));
        }
        key = &key[..key.rfind(['.', '['])?];
    }
}

fn line_at(text: &str, byte: usize) -> usize {
    1 + text.bytes().take(byte).filter(|it| *it == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = include_str!("../../../configs/quickstart.toml");

    fn load(text: &str, sets: &[&str]) -> Result<Config, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.toml");
        std::fs::write(&path, text).unwrap();
        let sets: Vec<String> = sets.iter().map(ToString::to_string).collect();
        Config::load(&path, &sets).map_err(|err| {
            assert!(err.downcast_ref::<BadConfig>().is_some(), "{err} is not about the config");
            let shown = err.to_string();
            shown.replace(&path.display().to_string(), "run.toml")
        })
    }

    fn line_with(text: &str, part: &str) -> usize {
        1 + text.lines().position(|it| it.contains(part)).unwrap()
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        for (place, with_key, key) in [
            ("[model.train]", "[model.train]\nstepz = 3", "model.train.stepz"),
            ("[model.method]", "[model.method]\nstepz = 3", "model.method.stepz"),
            ("[model.method.head]", "[model.method.head]\nstepz = 3", "model.method.head.stepz"),
            ("clip = {", "clip = { stepz = 3,", "pipeline.clip.stepz"),
        ] {
            let text = TEXT.replace(place, with_key);
            let shown = load(&text, &[]).unwrap_err();
            let wanted = format!("run.toml:{}: {key}: unknown field", line_with(&text, "stepz"));
            assert!(shown.starts_with(&wanted), "{shown}\ndoes not start with\n{wanted}");
        }
    }

    #[test]
    fn a_value_out_of_range_is_named_with_its_line() {
        let text = TEXT.replace("steps = ", "steps = 0 # ");
        let shown = load(&text, &[]).unwrap_err();
        let line = line_with(&text, "steps = 0");
        assert_eq!(
            shown,
            format!("run.toml:{line}: model.train.steps: must be given, and be at least 1")
        );
    }

    #[test]
    fn a_set_replaces_one_value_and_is_blamed_for_its_own() {
        let config = load(TEXT, &["model.train.steps=7", "pipeline.stream.0.name=door"]).unwrap();
        assert_eq!(config.model.train.steps, 7);
        assert_eq!(config.pipeline.stream[0].name, "door");
        let config = load(TEXT, &["model.train.weight_decay=0.5"]).unwrap();
        assert_eq!(config.model.train.weight_decay, 0.5, "a default was not replaced");
        for (set, part) in [
            ("model.train.stepz=7", "stepz"),
            ("model.train.steps=many", "steps"),
            ("nonsense", "key=value"),
            ("pipeline.stream.9.name=x", "index"),
        ] {
            let shown = load(TEXT, &[set]).unwrap_err();
            assert!(shown.contains("--set") && shown.contains(part), "{shown}");
        }
    }

    #[test]
    fn no_complaint_quotes_an_address() {
        let source = "source = { files = \"tests/media/street.mp4\" }";
        assert!(TEXT.contains(source), "the example has changed");
        for wrong in [
            "source = \"rtsp://me:hush@host/\"",
            "source = \"me:hu`sh\\\" hush@host/\"",
            "source = { uri = \"rtsp://me:hush@host/\", url = 1 }",
            "source = { url = \"rtsp://me:hush@host/\" }",
            "source = { uri = [\"rtsp://me:hush@host/\"] }",
            "source = { uri = rtsp://me:hush@host/ }",
            "source = { uri = \"rtsp://me:hush@host/ }",
            "source = { uri = \"rtsp://me:hush@host/${NO_SUCH_NAME}\" }",
            "source = { uri = \"rtsp:/me:hush@host/\" }",
            "source = { uri = \"rtsp://me:hu/sh:hush@host/\" }",
            "source = { files = \"rtsp://me:hush@host/\" }",
            "source = { synthetic = {} }\nweight = \"rtsp://me:hush@host/\"",
            "source = { synthetic = {} }\nloop = \"rtsp://host/?token=hush\"",
            "source = { synthetic = {} }\n\"rtsp://me:hush@host/\" = 1",
            "source = { uri = \"rtsp://me:hush@host/\" }\nsource = 1",
            "source = { uri = \"rtsp://me:hush@host/\" }\nurl = 1",
        ] {
            let text = TEXT.replacen(source, wrong, 1).replace("loop = true\n", "");
            let shown = load(&text, &[]).unwrap_err();
            assert!(shown.starts_with("run.toml:"), "{shown}");
            assert!(!shown.contains("hush"), "{wrong}: {shown}");
        }
        for set in [
            "pipeline.stream.0.source=rtsp://me:hush@host/",
            "pipeline.stream.0.source=me hush",
            "pipeline.stream.0.source={ uri = \"me:hush@host/\" }",
            "pipeline.stream.0.source.uri=rtsp://me:hush@host/",
            "pipeline.stream.9.source.uri=rtsp://me:hush@host/",
            "pipeline.stream.0.weight=rtsp://me:hush@host/",
            "pipeline.stream.0.rtsp://me:hush@host/=1",
            "rtsp://me:hush@host/?a=1",
            "rtsp://me:hush@host/",
        ] {
            let shown = load(TEXT, &[set]).unwrap_err();
            assert!(shown.starts_with("run.toml") && !shown.contains("hush"), "{set}: {shown}");
        }
    }

    #[test]
    fn text_that_is_no_toml_is_shown_with_its_line() {
        let shown = load("seed = 1\nlog_every = = 3\n", &[]).unwrap_err();
        assert!(shown.starts_with("run.toml:2"), "{shown}");
    }
}
