//! A run's second place: a folder of an object store that becomes what the run's own folder is.
//!
//! ```text
//! <dir>/metrics/part-00007.parquet    --- created, never over another ---> <url>/metrics/...
//! <dir>/checkpoints/step-00000450/    --- SHA256SUMS last --------------->  <url>/checkpoints/...
//! <dir>/config.toml, dataset.json ... --- as they change ---------------->  <url>/...
//! ```
//!
//! The run's folder stays the first place: a write-ahead file cannot be synced to an object store
//! every half second, and a network that is away must not stop a training. So a thread looks at the
//! folder again and again and copies what the store lacks ([`Mirror`]). The folder itself is its
//! memory: after an outage or a crash the next look finds what is missing.
//!
//! A reader of `<url>/<table>/*.parquet` finds rows once, as in the folder: who goes on after a
//! checkpoint first moves the parts that came later to `<url>/superseded/`. Of two processes that
//! both believe to be the run the later one has it: every start writes a session of its own to
//! `run.json`, and who finds another one there copies nothing more. A part is created on the
//! condition that none of its name is there, for the moment between that look and the writing.
//! Where the folder is lost, [`Remote::fetch`] makes it again.

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

/// A folder of an object store. Its methods block, on an executor that nothing else sees.
#[derive(Debug)]
pub struct Remote {
    url: String,
    /// Its folder, of a `file://` URL.
    disk: Option<PathBuf>,
    store: Arc<dyn ObjectStore>,
    folder: Key,
    runtime: Runtime,
}

impl Remote {
    /// Opens `s3://bucket/folder`, with what the `AWS_` variables of the environment say of
    /// credentials, region and endpoint; or `file:///folder`, for another disk. Asks nothing of it
    /// yet.
    ///
    /// # Errors
    /// [`Error::Config`] when the URL is none of these, and [`Error::Remote`] when the environment
    /// cannot be used.
    pub fn open(url: &str) -> Result<Self> {
        let (parsed, scheme, folder) = parse(url)?;
        let url = url.trim_end_matches('/').to_owned();
        let opened: object_store::Result<Arc<dyn ObjectStore>> = match scheme {
            ObjectStoreScheme::AmazonS3 => self::url::s3(&parsed).map(|it| Arc::new(it) as _),
            _ => Ok(Arc::new(LocalFileSystem::new().with_fsync(true))),
        };
        let unusable =
            |it| Error::Remote { action: "open", place: url.clone(), source: Reason(it) };
        let opened = Self::over(opened.map_err(unusable)?, folder, url.clone())?;
        Ok(Self { disk: parsed.to_file_path().ok(), ..opened })
    }

    /// A folder of a store that is open.
    fn over(store: Arc<dyn ObjectStore>, folder: Key, url: String) -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(Error::Thread)?;
        Ok(Self { url, disk: None, store, folder, runtime })
    }

    /// As it was written in the config.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Asks whether it can be reached: a bucket that is not there looks like an empty one to who
    /// asks for an object.
    ///
    /// # Errors
    /// [`Error::Remote`] when it cannot.
    pub fn reach(&self) -> Result<()> {
        self.wait("list", "", self.store.list_with_delimiter(Some(&self.folder))).map(drop)
    }
}

#[cfg(test)]
mod tests;
