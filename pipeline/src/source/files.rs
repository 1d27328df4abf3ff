//! The items that one stream reads, in order.

use std::{fs, io, path::PathBuf};

use super::Item;
use crate::{Problem, SourceConfig};

/// The items of one epoch of a source, at least one.
pub(crate) fn list_items(source: &SourceConfig) -> Result<Vec<Item>, Problem> {
    match source {
        SourceConfig::Files(path) => {
            let files = files(path)?;
            Ok(files.into_iter().map(Item::File).collect())
        }
        SourceConfig::Uri(address) => Ok(vec![Item::Uri(address.clone())]),
        SourceConfig::Synthetic(it) => Ok(vec![Item::Synthetic(it.clone())]),
        SourceConfig::MovingDigits(it) => Ok(vec![Item::MovingDigits(it.clone())]),
    }
}

fn files(path: &str) -> Result<Vec<PathBuf>, Problem> {
    let metadata = fs::metadata(path);
    if metadata.is_err() && path.contains(['*', '?', '[']) {
        return glob(path);
    }
    if !metadata.map_err(unreadable)?.is_dir() {
        return Ok(vec![path.into()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if entry.path().is_file() && !hidden {
            files.push(entry.path());
        }
    }
    files.sort();
    not_empty(files)
}

fn glob(pattern: &str) -> Result<Vec<PathBuf>, Problem> {
    let paths = glob::glob(pattern).map_err(|it| Problem::Pattern(it.to_string()))?;
    let paths = paths.collect::<Result<Vec<_>, _>>();
    let mut paths = paths.map_err(|it| Problem::Unreadable(it.into()))?;
    paths.retain(|it| it.is_file());
    paths.sort();
    not_empty(paths)
}

fn not_empty(files: Vec<PathBuf>) -> Result<Vec<PathBuf>, Problem> {
    if files.is_empty() { Err(Problem::NoMatch) } else { Ok(files) }
}

pub(super) fn unreadable(error: io::Error) -> Problem {
    match error.kind() {
        io::ErrorKind::NotFound => Problem::NotFound,
        _ => Problem::Unreadable(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_gives_its_files_by_name() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.mp4", "a.mp4", ".hidden", "c.txt"] {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        fs::create_dir(folder.path().join("nested")).unwrap();
        let names = |path: &str| -> Vec<String> {
            let name = |it: &PathBuf| it.file_name().unwrap().to_str().unwrap().to_owned();
            files(path).unwrap().iter().map(name).collect()
        };
        let path = folder.path().to_str().unwrap();
        assert_eq!(names(path), ["a.mp4", "b.mp4", "c.txt"]);
        assert_eq!(names(&format!("{path}/*.mp4")), ["a.mp4", "b.mp4"]);
        assert!(matches!(files(&format!("{path}/*.mkv")), Err(Problem::NoMatch)));
        assert!(matches!(files(&format!("{path}/nested")), Err(Problem::NoMatch)));
        assert!(matches!(files(&format!("{path}/none")), Err(Problem::NotFound)));
        assert!(matches!(files(&format!("{path}/***")), Err(Problem::Pattern(_))));
    }
}
