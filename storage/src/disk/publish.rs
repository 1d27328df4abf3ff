//! A file appears whole or not at all, also after a power cut.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::disk::fault::point;
use crate::{Error, Result};

/// Turns the system's reason into an error that says what was tried on what.
pub(crate) fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::File { action, path, source }
}

/// The name of a file that is not whole yet: no reader's `*.parquet` or `*.sql` matches it, and
/// Spark, which reads all of a folder, leaves out what begins with a dot.
pub(crate) fn temporary(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".tmp");
    path.with_file_name(name)
}

/// Gives a written file its own name. The order matters: a rename may reach the disk before the
/// bytes do, and a name is only there to stay once its folder is on disk too.
pub(crate) fn publish(file: &File, path: &Path) -> Result<()> {
    let written = temporary(path);
    point("publish.save");
    file.sync_all().map_err(failed("save", &written))?;
    point("publish.saved");
    rename(&written, path)?;
    sync_parent(path)
}

/// Replaces a small file at once.
pub(crate) fn replace(path: &Path, text: &str) -> Result<()> {
    let written = temporary(path);
    let mut file = File::create(&written).map_err(failed("create", &written))?;
    point("replace.write");
    file.write_all(text.as_bytes()).map_err(failed("write", &written))?;
    publish(&file, path)
}

/// Gives a file or a folder another name.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<()> {
    point("publish.rename");
    fs::rename(from, to).map_err(failed("name", to))?;
    point("publish.renamed");
    Ok(())
}

/// Removes a file. One that is not there counts as removed.
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

/// Makes the names in a folder last.
pub(crate) fn sync_folder(dir: &Path) -> Result<()> {
    point("publish.sync");
    File::open(dir).and_then(|it| it.sync_all()).map_err(failed("save the folder", dir))?;
    point("publish.synced");
    Ok(())
}

/// Makes the name of a file or a folder last.
pub(crate) fn sync_parent(path: &Path) -> Result<()> {
    path.parent().map_or(Ok(()), sync_folder)
}

/// Makes a folder and the ones above it, to last. One that is there already is left as it is.
pub(crate) fn make_folder(dir: &Path) -> Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(dir).map_err(failed("create the folder", dir))?;
    sync_parent(dir)
}
