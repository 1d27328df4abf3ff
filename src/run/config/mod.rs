//! A run's config: one TOML file, read, overridden by `--set`, and checked.

mod error;
mod locate;
mod overrides;
mod renamed;
#[cfg(test)]
mod tests;

use std::path::Path;

use anyhow::Context as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::run::{checkpoint, clips};

pub(crate) use error::ConfigError;
use locate::Document;

/// One run, as a file under `configs/` describes it.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// Fixes the initial weights and the order of the clips.
    #[serde(default)]
    pub(crate) seed: u64,
    /// `auto`, `cpu`, `cuda`, `cuda:N` or `vulkan`.
    #[serde(default)]
    pub(crate) device: model::DeviceChoice,
    /// Steps between two rows of the table `metrics`. Reading the losses waits for the device.
    #[serde(default = "default_log_every")]
    pub(crate) log_every: u64,
    /// Steps between two batches whose embeddings are stored; 0 stores none.
    #[serde(default = "default_embed_every")]
    pub(crate) embed_every: u64,
    /// Shows a small picture of each stream on the page of `--listen`. Frames are stored either
    /// way: every checkpoint holds those of the pool (`pool.rgb`), and `checkpoint.keep_batches`
    /// stores those of every batch.
    #[serde(default)]
    pub(crate) thumbnails: bool,
    /// From streams to batches.
    pub(crate) pipeline: pipeline::Config,
    /// From batches to losses.
    pub(crate) model: model::Config,
    /// Where the tables and checkpoints go.
    pub(crate) storage: storage::Config,
    /// When checkpoints are written, and which are kept.
    #[serde(default)]
    pub(crate) checkpoint: checkpoint::Config,
}

/// A config with every default filled in and no password, as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct ResolvedConfig {
    /// The config as TOML.
    pub(crate) text: String,
    /// The same for two runs if and only if their configs are the same.
    pub(crate) hash: String,
}

fn default_log_every() -> u64 {
    10
}

fn default_embed_every() -> u64 {
    100
}

impl Config {
    /// Reads a config, applies the overrides of `--set`, and checks every value.
    ///
    /// # Errors
    /// [`ConfigError`] with the file, the line, the key and the reason.
    pub(crate) fn load(path: &Path, sets: &[String]) -> anyhow::Result<Self> {
        let error = |key: &str, message: &str| ConfigError::new(path, key, message);
        let text = std::fs::read_to_string(path)
            .map_err(|err| error("", &format!("cannot be read: {err}; check the path")))?;
        let mut table: Table = toml::from_str(&text).map_err(|err| {
            let start = err.span().map_or(0, |span| span.start);
            error("", err.message()).at_line(Some(locate::line_at(&text, start)))
        })?;
        for set in sets {
            overrides::apply(&mut table, set)
                .map_err(|message| error(&ConfigError::shown_set(set), &message))?;
        }
        let root = Value::Table(table);
        let document = Document::new(&text);
        let at_fault = |(key, message): (String, String)| match sets {
            [] => error(&key, &message).at_line(document.line_of(&key)),
            sets => error(&key, &message).with_sets(sets),
        };
        renamed::refuse(&root).map_err(at_fault)?;
        let config: Self = locate::deserialize(&root).map_err(at_fault)?;
        config.check().map_err(|(key, message)| {
            ConfigError::of_value(path, &key, &message).at_line(document.line_of(&key))
        })?;
        Ok(config)
    }

    /// The checks that types cannot make. Opens the device.
    fn check(&self) -> Result<(), (String, String)> {
        if self.log_every == 0 {
            return Err(("log_every".into(), "must be at least 1".into()));
        }
        if let Some((key, message)) = self.checkpoint.find_error() {
            return Err((key.into(), message.into()));
        }
        match self.pipeline.validate() {
            Err(pipeline::Error::Config { key, message }) => return Err((key, message)),
            Err(err) => return Err(("pipeline".into(), err.to_string())),
            Ok(()) => {}
        }
        match self.storage.validate() {
            Err(storage::Error::Config { key, message }) => return Err((key.into(), message)),
            Err(err) => return Err(("storage".into(), err.to_string())),
            Ok(()) => {}
        }
        // The number of columns is known once the files are read; here it matters only whether
        // there are any.
        let has_telemetry = self.pipeline.stream.iter().any(|stream| stream.telemetry.is_some());
        let input = clips::input(&self.pipeline, usize::from(has_telemetry));
        match self.device.open().and_then(|device| self.model.validate(input, &device)) {
            Ok(()) => Ok(()),
            Err(model::Error::Config { key, message }) => Err((key, message)),
            Err(err) => Err(("device".into(), err.to_string())),
        }
    }

    /// The config as it is stored.
    pub(crate) fn resolve(&self) -> anyhow::Result<ResolvedConfig> {
        let text = toml::to_string_pretty(self).context("could not write the config as TOML")?;
        let hash = storage::disk::sha256(&text)[..16].to_owned();
        Ok(ResolvedConfig { text, hash })
    }

    /// Name of the run: the last part of its folder.
    pub(crate) fn run_name(&self) -> String {
        let name = self.storage.dir.file_name().unwrap_or(self.storage.dir.as_os_str());
        name.to_string_lossy().into_owned()
    }
}
