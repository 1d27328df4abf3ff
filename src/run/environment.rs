//! What a run leaves beside its tables so that it can be understood and repeated.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;

use crate::Config;

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
    /// Tells runs of the same name apart; one that goes on keeps it.
    run_id: String,
    /// The step that it went on from, when it did.
    resumed_after_step: Option<u64>,
}

/// Writes `config.toml`, with every default filled in and no password, and `environment.json`
/// into the run's folder.
pub(crate) fn write(
    config: &Config,
    device: &str,
    run_id: &str,
    resumed_after_step: Option<u64>,
) -> anyhow::Result<()> {
    let folder = &config.storage.dir;
    put(&folder.join("config.toml"), &config.resolved()?)?;
    let environment = Environment {
        version: env!("CARGO_PKG_VERSION"),
        device: device.into(),
        cores: std::thread::available_parallelism().map_or(0, Into::into),
        host: fs::read_to_string("/etc/hostname").ok().map(|it| it.trim().into()),
        processor: processor(),
        operating_system: std::env::consts::OS,
        architecture: std::env::consts::ARCH,
        started: humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string(),
        run_id: run_id.into(),
        resumed_after_step,
    };
    put(&folder.join("environment.json"), &serde_json::to_string_pretty(&environment)?)
}

/// The id of the run in a folder, where one is written down.
pub(crate) fn run_id(folder: &Path) -> Option<String> {
    let text = fs::read(folder.join("environment.json")).ok()?;
    let environment: serde_json::Value = serde_json::from_slice(&text).ok()?;
    Some(environment["run_id"].as_str()?.to_owned())
}

fn put(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("could not write {}", path.display()))
}

/// The processor's name as Linux tells it.
fn processor() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|it| it.starts_with("model name"))?;
    Some(line.split(':').nth(1)?.trim().into())
}

#[cfg(test)]
mod tests {
    use super::*;

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
        write(&Config::load(&path, &sets).unwrap(), "cpu", "id", None).unwrap();
        let kept = fs::read_to_string(folder.path().join("config.toml")).unwrap();
        assert!(kept.contains("rtsp://192.0.2.7/door") && !kept.contains("hush"), "{kept}");
    }
}
