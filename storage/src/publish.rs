//! A file appears whole or not at all, also after a power cut.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Turns the system's reason into an error that says what was tried on what.
pub(crate) fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::File { action, path, source }
}

/// The name of a file that is not whole yet: no reader's `*.parquet` or `*.sql` matches it.
pub(crate) fn temporary(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    PathBuf::from(name)
}

/// Gives a written file its own name. The order matters: a rename may reach the disk before the
/// bytes do, and a name is only there to stay once its folder is on disk too.
pub(crate) fn publish(file: &File, path: &Path) -> Result<()> {
    let written = temporary(path);
    file.sync_all().map_err(failed("save", &written))?;
    fs::rename(&written, path).map_err(failed("name", path))?;
    path.parent().map_or(Ok(()), sync_folder)
}

/// Replaces a small file at once.
pub(crate) fn replace(path: &Path, text: &str) -> Result<()> {
    let written = temporary(path);
    let mut file = File::create(&written).map_err(failed("create", &written))?;
    file.write_all(text.as_bytes()).map_err(failed("write", &written))?;
    publish(&file, path)
}

/// Makes the names in a folder last.
pub(crate) fn sync_folder(dir: &Path) -> Result<()> {
    File::open(dir).and_then(|it| it.sync_all()).map_err(failed("save the folder", dir))
}
