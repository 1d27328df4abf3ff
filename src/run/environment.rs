//! `config.toml` and `environment.json`: what it takes to understand a run and to repeat it.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;

use crate::run::config::ResolvedConfig;

/// Where and with what a run was made.
#[derive(Debug, Serialize)]
struct Environment {
    version: &'static str,
    device: String,
    cores: usize,
    host: Option<String>,
    processor: Option<String>,
    operating_system: &'static str,
    architecture: &'static str,
    started: String,
    /// Tells runs of the same name apart. A run keeps it when it resumes.
    run_id: String,
    /// The step of the checkpoint that the run resumed from, if it did.
    resumed_after_step: Option<u64>,
}

/// Writes both files into the run's folder.
pub(crate) fn write(
    folder: &Path,
    config: &ResolvedConfig,
    device: &str,
    run_id: &str,
    resumed_after_step: Option<u64>,
) -> anyhow::Result<()> {
    write_file(&folder.join("config.toml"), &config.text)?;
    let environment = Environment {
        version: env!("CARGO_PKG_VERSION"),
        device: device.into(),
        cores: std::thread::available_parallelism().map_or(0, Into::into),
        host: fs::read_to_string("/etc/hostname").ok().map(|name| name.trim().into()),
        processor: processor(),
        operating_system: std::env::consts::OS,
        architecture: std::env::consts::ARCH,
        started: humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string(),
        run_id: run_id.into(),
        resumed_after_step,
    };
    write_file(&folder.join("environment.json"), &serde_json::to_string_pretty(&environment)?)
}

/// The id of the run in a folder, if the folder has one.
pub(crate) fn run_id(folder: &Path) -> Option<String> {
    let text = fs::read(folder.join("environment.json")).ok()?;
    let environment: serde_json::Value = serde_json::from_slice(&text).ok()?;
    Some(environment["run_id"].as_str()?.to_owned())
}

fn write_file(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("could not write {}", path.display()))
}

/// The processor's name, from Linux.
fn processor() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split(':').nth(1)?.trim().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;

    #[test]
    fn no_password_reaches_the_folder_of_a_run() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.toml");
        fs::write(&path, include_str!("../../configs/quickstart.toml")).unwrap();
        let sets = [
            "pipeline.stream.0.source={ uri = \"rtsp://me:hush@192.0.2.7/door\" }".to_owned(),
            "pipeline.stream.0.loop=false".to_owned(),
            format!("storage.dir={}", folder.path().display()),
        ];
        let config = Config::load(&path, &sets).unwrap().resolve().unwrap();
        write(folder.path(), &config, "cpu", "id", None).unwrap();
        let written = fs::read_to_string(folder.path().join("config.toml")).unwrap();
        assert!(
            written.contains("rtsp://192.0.2.7/door") && !written.contains("hush"),
            "{written}"
        );
    }
}
