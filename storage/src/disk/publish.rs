//! A file appears whole or not at all, even after a power cut.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::Result;
use crate::disk::fault::point;
use crate::disk::folder::sync_parent;
use crate::error::failed;

/// The name of an unfinished file. No reader's `*.parquet` or `*.sql` matches it. Spark reads every
/// file in a folder except those whose names begin with a dot.
pub(crate) fn temporary(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".tmp");
    path.with_file_name(name)
}

/// Renames a file, written under its temporary name, to its final name. The order matters: a rename
/// may reach the disk before the file's bytes do, and a new name lasts only once its folder is
/// synced too.
pub(crate) fn publish(file: &File, path: &Path) -> Result<()> {
    let unfinished = temporary(path);
    point("publish.save");
    file.sync_all().map_err(failed("sync", &unfinished))?;
    point("publish.saved");
    rename_unsynced(&unfinished, path)?;
    sync_parent(path)
}

/// Writes a small file, or replaces it: readers find the old bytes or the new ones, even after a
/// power cut.
///
/// # Errors
/// [`Error::File`](crate::Error::File) when the file cannot be written.
pub fn write_atomically(path: &Path, bytes: impl AsRef<[u8]>) -> Result<()> {
    let unfinished = temporary(path);
    let mut file = File::create(&unfinished).map_err(failed("create", &unfinished))?;
    point("replace.write");
    file.write_all(bytes.as_ref()).map_err(failed("write", &unfinished))?;
    publish(&file, path)
}

/// Renames a file or a folder, and waits until its new name is on disk.
///
/// # Errors
/// [`Error::File`](crate::Error::File) when it cannot be renamed or synced.
pub fn rename(from: &Path, to: &Path) -> Result<()> {
    rename_unsynced(from, to)?;
    sync_parent(to)
}

/// Renames a file or a folder. The caller syncs the folders.
pub(crate) fn rename_unsynced(from: &Path, to: &Path) -> Result<()> {
    point("publish.rename");
    fs::rename(from, to).map_err(failed("rename a file to", to))?;
    point("publish.renamed");
    Ok(())
}

/// Removes a file. A missing file counts as removed.
pub(crate) fn remove(path: &Path) -> Result<()> {
    point("publish.remove");
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => {
            point("publish.removed");
            Ok(())
        }
    }
}
