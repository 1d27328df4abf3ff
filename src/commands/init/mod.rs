//! `onward init`: a config to start from.

use crate::terminal::print;

/// The config, with comments.
const CONFIG: &str = include_str!("config.toml");

/// Prints the config.
pub(crate) fn run() -> anyhow::Result<()> {
    print::out(CONFIG)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::Config;

    fn load(text: &str) -> Config {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.toml");
        fs::write(&path, text).unwrap();
        Config::load(&path, &[]).unwrap()
    }

    #[test]
    fn the_config_is_valid() {
        let config = load(CONFIG);
        assert_eq!(config.run_name(), "mine");
        assert_eq!(config.pipeline.stream.len(), 1);
    }

    #[test]
    fn the_config_is_valid_with_its_camera() {
        let (before, camera) = CONFIG.split_once("# [[pipeline.stream]]").unwrap();
        let (camera, after) = camera.split_once("\n\n").unwrap();
        let camera = camera.replace("\n# ", "\n").replace("${CAMERA_USER}:${CAMERA_PASSWORD}@", "");
        let config = load(&format!("{before}[[pipeline.stream]]{camera}\n\n{after}"));
        assert_eq!(config.pipeline.stream.len(), 2);
        assert!(config.pipeline.stream[1].is_live());
    }
}
