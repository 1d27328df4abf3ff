//! Folders: create, list and sync.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;

use crate::Result;
use crate::disk::fault::point;
use crate::error::failed;

/// Creates a folder and its parents, and syncs its name to disk. An existing folder is left as it
/// is.
pub(crate) fn create_folder(dir: &Path) -> Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(dir).map_err(failed("create the folder", dir))?;
    sync_parent(dir)
}

/// The names in a folder. A missing folder has none. Names that are not UTF-8 are left out: this
/// crate writes no such names.
pub(crate) fn list_names(dir: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed("list", dir))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed("list", dir))?;
        names.extend(entry.file_name().into_string());
    }
    Ok(names)
}

/// Waits until the bytes of a file, or the names in a folder, are on disk.
///
/// # Errors
/// [`Error::File`](crate::Error::File) when the file or folder cannot be synced.
pub fn sync(path: &Path) -> Result<()> {
    File::open(path).and_then(|file| file.sync_all()).map_err(failed("sync", path))
}

/// Waits until the names in a folder are on disk.
pub(crate) fn sync_folder(dir: &Path) -> Result<()> {
    point("publish.sync");
    sync(dir)?;
    point("publish.synced");
    Ok(())
}

/// Waits until the name of a file or a folder is on disk.
pub(crate) fn sync_parent(path: &Path) -> Result<()> {
    path.parent().map_or(Ok(()), sync_folder)
}
