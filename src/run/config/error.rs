//! A config error: where it is, without any secret.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

/// Printed in place of a secret.
const HIDDEN: &str = "***";

/// A config that cannot be used: file, line, key and reason.
#[derive(Debug)]
pub(crate) struct ConfigError {
    path: PathBuf,
    line: Option<usize>,
    /// The overrides that may have caused it, as they may be printed.
    sets: String,
    key: String,
    message: String,
}

impl ConfigError {
    /// An error about `key`, which is empty when there is none. Addresses are hidden, because a
    /// parser quotes what it read, and an address may hold a password.
    pub(super) fn new(path: &Path, key: &str, message: &str) -> Self {
        Self::of_value(path, key, &hide_address(message))
    }

    /// An error of a check, whose message quotes no address of the config.
    pub(super) fn of_value(path: &Path, key: &str, message: &str) -> Self {
        Self {
            path: path.into(),
            line: None,
            sets: String::new(),
            key: hide_address(key).into(),
            message: message.into(),
        }
    }

    pub(super) fn at_line(self, line: Option<usize>) -> Self {
        Self { line, ..self }
    }

    /// Names the overrides, any of which may be at fault.
    pub(super) fn with_sets(self, sets: &[String]) -> Self {
        let shown: Vec<String> = sets.iter().map(|set| Self::shown_set(set)).collect();
        let sets = shown.join(" ");
        let message = match sets.contains(HIDDEN) {
            true => hide_quotes(&self.message),
            false => self.message,
        };
        Self { sets, message, ..self }
    }

    /// A `--set` as it may be printed.
    pub(super) fn shown_set(set: &str) -> String {
        match set.split_once('=') {
            Some((key, value)) if key.contains("source") || may_hold_address(value) => {
                format!("--set {}={HIDDEN}", hide_address(key))
            }
            _ => format!("--set {}", hide_address(set)),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.sets.is_empty() {
            write!(f, ": with {}", self.sets)?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for ConfigError {}

/// The text without what it quotes, if that may be an address with a password.
fn hide_address(text: &str) -> Cow<'_, str> {
    if may_hold_address(text) { hide_quotes(text).into() } else { text.into() }
}

/// Hides everything from the first quote up to what was expected: a quoted value may itself hold
/// any kind of quote.
fn hide_quotes(text: &str) -> String {
    let Some(start) = text.find(['"', '`']) else {
        return if may_hold_address(text) { HIDDEN.to_owned() } else { text.to_owned() };
    };
    let end = text.rfind(", expected ").filter(|end| *end > start).unwrap_or(text.len());
    format!("{}{HIDDEN}{}", &text[..start], &text[end..])
}

fn may_hold_address(text: &str) -> bool {
    text.contains("://") || text.contains('@')
}
