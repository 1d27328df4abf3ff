//! The `[storage]` table of a run's configuration.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Error, Result, remote};

/// Where a run's tables go, and how often a reader sees more of them.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "StorageConfig")]
pub struct Config {
    /// The run's folder, for example `runs/quickstart`.
    pub dir: PathBuf,
    /// A folder of an object store, for example `s3://bucket/quickstart`, to which the run's tables
    /// and checkpoints are copied. The environment variables `AWS_...` give credentials, region and
    /// endpoint. Without a URL nothing is copied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Rows after which a part is closed. A record is never split between two parts.
    pub rows_per_part: usize,
    /// Age in seconds at which a part is closed, so that readers see it. Until then its rows are in
    /// a write-ahead file, and a power cut loses at most its last half second.
    pub seconds_per_part: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { dir: PathBuf::new(), url: None, rows_per_part: 65_536, seconds_per_part: 60.0 }
    }
}

impl Config {
    /// Checks all values without reading or writing the disk.
    ///
    /// # Errors
    /// [`Error::Config`] names the first key whose value cannot be used.
    pub fn validate(&self) -> Result<()> {
        if self.dir.as_os_str().is_empty() {
            return Err(refuse("storage.dir", "must name a folder, for example \"runs/first\""));
        }
        if self.dir.to_str().is_none() {
            return Err(refuse(
                "storage.dir",
                "must be valid UTF-8, because views.sql contains it",
            ));
        }
        if let Some(url) = &self.url {
            remote::parse(url)?;
        }
        if self.rows_per_part == 0 {
            return Err(refuse("storage.rows_per_part", "must be at least 1, for example 65536"));
        }
        if !(self.seconds_per_part.is_finite() && self.seconds_per_part > 0.0) {
            let message = format!(
                "is {}, but must be a number of seconds greater than 0",
                self.seconds_per_part
            );
            return Err(refuse("storage.seconds_per_part", &message));
        }
        Ok(())
    }

    /// The age at which a part is closed.
    pub(crate) fn max_age(&self) -> Duration {
        Duration::try_from_secs_f64(self.seconds_per_part).unwrap_or(Duration::MAX)
    }
}

fn refuse(key: &'static str, message: &str) -> Error {
    Error::Config { key, message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(config: &Config) -> &'static str {
        match config.validate() {
            Err(Error::Config { key, .. }) => key,
            other => panic!("{config:?} gave {other:?}"),
        }
    }

    #[test]
    fn only_the_folder_is_required() {
        let config: Config = toml::from_str("dir = 'runs/x'").unwrap();
        assert_eq!(config, Config { dir: "runs/x".into(), ..Config::default() });
        assert_eq!((config.rows_per_part, config.seconds_per_part), (65_536, 60.0));
        config.validate().unwrap();
    }

    #[test]
    fn an_unknown_key_is_refused() {
        let error = toml::from_str::<Config>("dir = 'x'\nrows_per_prat = 3").unwrap_err();
        assert!(error.to_string().contains("rows_per_prat"), "{error}");
    }

    #[test]
    fn a_bad_value_is_refused_by_its_dotted_key() {
        let good = Config { dir: "x".into(), ..Config::default() };
        assert_eq!(key(&Config::default()), "storage.dir");
        assert_eq!(key(&Config { rows_per_part: 0, ..good.clone() }), "storage.rows_per_part");
        for url in ["", "bucket/run", "http://host/run", "s3://bucket", "s3://key:hush@bucket/run"]
        {
            let config = Config { url: Some(url.to_owned()), ..good.clone() };
            assert_eq!(key(&config), "storage.url", "{url}");
            assert!(!config.validate().unwrap_err().to_string().contains("hush"));
        }
        Config { url: Some("s3://bucket/a/run".to_owned()), ..good.clone() }.validate().unwrap();
        for seconds_per_part in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let config = Config { seconds_per_part, ..good.clone() };
            assert_eq!(key(&config), "storage.seconds_per_part");
        }
    }

    #[test]
    fn an_age_of_centuries_is_accepted() {
        let config = Config { dir: "x".into(), seconds_per_part: 1e300, ..Config::default() };
        config.validate().unwrap();
        assert_eq!(config.max_age(), Duration::MAX);
    }
}
