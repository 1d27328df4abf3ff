//! One process at a time writes to a run's folder.

use std::fs::{File, TryLockError};
use std::path::Path;

use crate::error::failed;
use crate::{Error, Result};

/// Keeps every other [`Lock`] away from a run's folder, also in this process, until it is dropped
/// or its process ends. The file `lock` stays: if it were removed, two processes could hold it.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Locks the existing folder of a run. A [`Store`](crate::Store) holds the lock while it writes.
///
/// # Errors
/// [`Error::Locked`] when another process holds the lock, and [`Error::File`] when the folder
/// cannot be written.
pub fn lock(dir: &Path) -> Result<Lock> {
    let path = dir.join("lock");
    let file = File::options().create(true).append(true).open(&path);
    let file = file.map_err(failed("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(Lock { _file: file }),
        Err(TryLockError::WouldBlock) => Err(Error::Locked { path: dir.to_owned() }),
        Err(TryLockError::Error(source)) => Err(failed("lock", &path)(source)),
    }
}
