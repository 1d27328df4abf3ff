//! A copy of a run's folder in an object store.
//!
//! ```text
//! <dir>/metrics/part-00007.parquet    --- created, never overwritten ---> <url>/metrics/...
//! <dir>/checkpoints/step-00000450/    --- SHA256SUMS last --------------> <url>/checkpoints/...
//! <dir>/config.toml, dataset.json ... --- when they change -------------> <url>/...
//! ```
//!
//! The run writes to its local folder, because a write-ahead file cannot be synced to an object
//! store every half second, and a network failure must not stop the training. A thread compares both
//! folders repeatedly and uploads what the store lacks ([`Mirror`]). It keeps no other state: after
//! an outage or a crash, the next comparison finds what is missing.
//!
//! A reader of `<url>/<table>/*.parquet` finds every row once, as in the local folder: a run that
//! resumes from a checkpoint first moves later parts to `<url>/superseded/`. If two processes run
//! the same run, the newer takes over and the older exits: every start writes a new session to
//! `run.json`, and a process that finds another session there uploads nothing more. Between that
//! check and the upload of a part the session can still change. A part is therefore created only if
//! no object has its name. If the local folder is lost, [`Remote::fetch`] restores it.

mod fetch;
mod lease;
mod mirror;
mod reason;
mod requests;
mod upload;
mod url;

use std::path::PathBuf;
use std::sync::Arc;

use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreScheme};
use tokio::runtime::{Builder, Runtime};

use crate::{Error, Result};

pub(crate) use self::url::{parse, to_check};
pub use mirror::Mirror;
pub use reason::Reason;

/// A folder in an object store. Its methods block the calling thread.
#[derive(Debug)]
pub struct Remote {
    url: String,
    /// The folder on this machine, for a `file://` URL.
    local: Option<PathBuf>,
    store: Arc<dyn ObjectStore>,
    folder: Key,
    runtime: Runtime,
}

impl Remote {
    /// Opens `s3://bucket/folder`, with credentials, region and endpoint from the environment
    /// variables `AWS_...`, or `file:///folder`, for another disk. Sends no request yet.
    ///
    /// # Errors
    /// [`Error::Config`] for any other URL, and [`Error::Remote`] when the environment cannot be
    /// used.
    pub fn open(url: &str) -> Result<Self> {
        let (parsed, scheme, folder) = parse(url)?;
        let url = url.trim_end_matches('/').to_owned();
        let opened: object_store::Result<Arc<dyn ObjectStore>> = match scheme {
            ObjectStoreScheme::AmazonS3 => self::url::s3(&parsed).map(|store| Arc::new(store) as _),
            _ => Ok(Arc::new(LocalFileSystem::new().with_fsync(true))),
        };
        let unusable =
            |error| Error::Remote { action: "open", url: url.clone(), source: Reason(error) };
        let opened = Self::over(opened.map_err(unusable)?, folder, url.clone())?;
        Ok(Self { local: parsed.to_file_path().ok(), ..opened })
    }

    /// A folder in a store that is open.
    fn over(store: Arc<dyn ObjectStore>, folder: Key, url: String) -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(Error::Thread)?;
        Ok(Self { url, local: None, store, folder, runtime })
    }

    /// The URL, as in the config.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Checks that the bucket can be reached. Reading an object does not tell, because a missing
    /// bucket then looks like an empty one.
    ///
    /// # Errors
    /// [`Error::Remote`] when it cannot be reached.
    pub fn reach(&self) -> Result<()> {
        self.wait("list", "", self.store.list_with_delimiter(Some(&self.folder))).map(drop)
    }
}

#[cfg(test)]
mod tests;
