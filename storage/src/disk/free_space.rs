//! How much may still be written.

use std::path::Path;

use rustix::fs::statvfs;

use crate::Result;
use crate::disk::publish::failed;

/// Bytes that this user may still write to the file system of `dir`, which must be there.
///
/// # Errors
/// [`Error::File`](crate::Error::File) when the system does not say.
pub fn room(dir: &Path) -> Result<u64> {
    let found = statvfs(dir).map_err(|error| failed("ask for the room of", dir)(error.into()))?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}
