//! One process at a time writes to a run's folder.

use std::fs::{File, TryLockError};
use std::path::Path;

use crate::disk::publish::failed;
use crate::{Error, Result};

/// Keeps a run's folder from every other process, and from this one, until it is dropped or its
/// process is gone. The file `lock` stays behind: a lock that is removed can be held twice.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Takes the lock of a run's folder, which must be there.
///
/// A [`Store`](crate::Store) holds it for as long as it writes.
///
/// # Errors
/// [`Error::Busy`] when it is taken, and [`Error::File`] when the folder cannot be written.
pub fn lock(dir: &Path) -> Result<Lock> {
    let path = dir.join("lock");
    let file = File::options().create(true).append(true).open(&path);
    let file = file.map_err(failed("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(Lock { _file: file }),
        Err(TryLockError::WouldBlock) => Err(Error::Busy { path: dir.to_owned() }),
        Err(TryLockError::Error(source)) => Err(failed("lock", &path)(source)),
    }
}
