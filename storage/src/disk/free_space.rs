//! How much can still be written to a file system.

use std::path::Path;

use rustix::fs::statvfs;

use crate::Result;
use crate::error::failed;

/// Bytes that this user can still write to the file system of the existing folder `dir`.
///
/// # Errors
/// [`Error::File`](crate::Error::File) when the system does not say.
pub fn free_space(dir: &Path) -> Result<u64> {
    let file_system =
        statvfs(dir).map_err(|error| failed("read the free space of", dir)(error.into()))?;
    Ok(file_system.f_bavail.saturating_mul(file_system.f_frsize))
}
