//! Which paths a source reads, for the sandbox that must allow them.

use std::path::{Component, Path, PathBuf};

use gstreamer::glib;

use super::{Item, files::list_items};
use crate::SourceConfig;

/// Files and folders that hold everything a source reads, as far as that is known before it is
/// opened.
pub(crate) fn readable_paths(source: &SourceConfig) -> Vec<PathBuf> {
    match source {
        SourceConfig::Files(path) => {
            let base = base(path);
            let real = base.canonicalize().unwrap_or_else(|_| base.clone());
            // A link may lead out of its folder.
            let outside =
                list_items(source).unwrap_or_default().into_iter().filter_map(|it| match it {
                    Item::File(path) => {
                        path.canonicalize().ok().filter(|it| !it.starts_with(&real))
                    }
                    _ => None,
                });
            [base].into_iter().chain(outside).collect()
        }
        SourceConfig::Uri(address) => {
            let path =
                address.reveal().ok().and_then(|it| glib::filename_from_uri(it.as_str()).ok());
            path.map(|(path, _)| with_parts(path)).into_iter().collect()
        }
        SourceConfig::Synthetic(_) | SourceConfig::MovingDigits(_) => Vec::new(),
    }
}

/// The path itself, or for a pattern the last folder before its first wildcard.
fn base(path: &str) -> PathBuf {
    if Path::new(path).exists() {
        return with_parts(path.into());
    }
    let plain = |it: &Component| !it.as_os_str().to_string_lossy().contains(['*', '?', '[']);
    let folder: PathBuf = Path::new(path).components().take_while(plain).collect();
    if folder.as_os_str().is_empty() { ".".into() } else { folder }
}

/// For a playlist its folder, since its parts lie beside it.
fn with_parts(path: PathBuf) -> PathBuf {
    let playlist = path.extension().is_some_and(|it| it == "m3u8" || it == "mpd");
    match path.parent() {
        Some(folder) if playlist && folder.as_os_str().is_empty() => ".".into(),
        Some(folder) if playlist => folder.into(),
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_may_read_only_its_own_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        for name in ["a.mp4", "list.m3u8"] {
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        let files = |path: String| readable_paths(&SourceConfig::Files(path));
        let uri = |uri: String| readable_paths(&SourceConfig::Uri(uri.into()));
        assert_eq!(files(format!("{path}/a.mp4")), [folder.path().join("a.mp4")]);
        assert_eq!(files(path.into()), [folder.path()]);
        assert_eq!(files(format!("{path}/*.mp4")), [folder.path()]);
        assert_eq!(files(format!("{path}/list.m3u8")), [folder.path()]);
        assert_eq!(uri(format!("file://{path}/a%20b.mp4")), [folder.path().join("a b.mp4")]);
        assert!(uri("rtsp://me:secret@host/a".into()).is_empty());
    }
}
