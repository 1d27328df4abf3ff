//! What a checkpoint was trained as, for commands that use its encoder elsewhere.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Deserialize;

use crate::run::checkpoint::{self, step_of};

/// A checkpoint and the config of its run.
#[derive(Debug)]
pub(crate) struct Trained {
    /// The checkpoint's folder.
    pub(crate) folder: PathBuf,
    /// The run's `config.toml`.
    pub(crate) text: String,
    /// What of it says how frames were seen and by what.
    pub(crate) config: TrainedConfig,
}

/// What other commands need of a run's `config.toml`. The streams, the device and the secrets are
/// left out: they may be those of another machine.
#[derive(Debug, Deserialize)]
pub(crate) struct TrainedConfig {
    /// Fixes the initial weights.
    #[serde(default)]
    pub(crate) seed: u64,
    pub(crate) pipeline: FrameConfig,
    pub(crate) model: model::Config,
}

/// How frames were scaled.
#[derive(Debug, Deserialize)]
pub(crate) struct FrameConfig {
    pub(crate) size: [usize; 2],
    pub(crate) fit: pipeline::Fit,
}

impl Trained {
    /// The checkpoint `from`, or the newest one of the run `from`.
    ///
    /// # Errors
    /// It is neither, or its config cannot be read.
    pub(crate) fn find(from: &Path) -> anyhow::Result<Self> {
        let folder = newest(from)?;
        let path = config_of(&folder)?;
        let text = fs::read_to_string(&path)
            .with_context(|| format!("could not read {}", path.display()))?;
        let config = toml::from_str(&text)
            .with_context(|| format!("{} is not the config of a run", path.display()))?;
        Ok(Self { folder, text, config })
    }

    /// The name of the run that the checkpoint is in.
    pub(crate) fn run_name(&self) -> String {
        let absolute = fs::canonicalize(&self.folder).unwrap_or_else(|_| self.folder.clone());
        let run = absolute.ancestors().nth(2).and_then(Path::file_name);
        run.map_or_else(|| "encoder".into(), |name| name.to_string_lossy().into_owned())
    }

    /// The number of steps, if the folder's name says it.
    pub(crate) fn step(&self) -> Option<u64> {
        step_of(&self.folder)
    }
}

fn newest(from: &Path) -> anyhow::Result<PathBuf> {
    if from.join("encoder.safetensors").is_file() {
        return Ok(from.into());
    }
    let newest = checkpoint::list(from)?.pop_last().map(|(_, folder)| folder);
    newest.with_context(|| {
        format!(
            "{} is neither a checkpoint nor a run that has one: no encoder.safetensors and no \
             checkpoints/step-* in it",
            from.display()
        )
    })
}

/// Path of the run's config: in the folder of the weights, or two folders above.
fn config_of(checkpoint: &Path) -> anyhow::Result<PathBuf> {
    let folders = [checkpoint.to_owned(), checkpoint.join("../..")];
    let found = folders.iter().map(|folder| folder.join("config.toml")).find(|path| path.is_file());
    found.with_context(|| {
        format!("no config.toml in {}, and none in the run around it", checkpoint.display())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_checkpoint_is_the_one_of_the_most_steps() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path();
        let message = newest(run).unwrap_err().to_string();
        assert!(message.contains("checkpoints/step-*"), "{message}");
        for name in ["step-00000900", "step-00001000", "step-100000000", "step-2.tmp", "other"] {
            fs::create_dir_all(run.join("checkpoints").join(name)).unwrap();
        }
        assert_eq!(newest(run).unwrap(), run.join("checkpoints/step-100000000"));
        let one = run.join("checkpoints/step-00000900");
        fs::write(one.join("encoder.safetensors"), "").unwrap();
        assert_eq!(newest(&one).unwrap(), one);
        assert_eq!(step_of(&one), Some(900));
    }
}
