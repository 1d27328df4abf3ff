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
//! checkpoint first moves the parts that came later to `<url>/superseded/`. A part is created on
//! the condition that none of its name is there, so that two processes that both believe to be the
//! run cannot mix their rows. Where the folder is lost, [`Remote::fetch`] makes it again.

mod claim;
mod fetch;
mod ship;

use std::collections::BTreeMap;
use std::fs::File;
use std::future::Future;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, S3CopyIfNotExists};
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt, ObjectStoreScheme, PutMode, RetryConfig};
use tokio::runtime::{Builder, Runtime};
use url::Url;

use crate::fault::point;
use crate::publish::failed;
use crate::{Error, Result};

pub use ship::Mirror;

/// Bytes that go in one request. A larger file goes in several, of this size each.
const CHUNK: u64 = 8 << 20;

/// How long one request is tried again before the caller hears of it.
const RETRY: Duration = Duration::from_secs(20);

/// Where large files wait for their own names.
const STAGING: &str = "staging";

/// A folder of an object store. Its methods block, on an executor that nothing else sees.
#[derive(Debug)]
pub struct Remote {
    url: String,
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
            ObjectStoreScheme::AmazonS3 => s3(&parsed).map(|it| Arc::new(it) as _),
            _ => Ok(Arc::new(LocalFileSystem::new().with_fsync(true))),
        };
        let unusable = |source| Error::Remote { action: "open", place: url.clone(), source };
        Self::over(opened.map_err(unusable)?, folder, url)
    }

    /// A folder of a store that is open.
    fn over(store: Arc<dyn ObjectStore>, folder: Key, url: String) -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(Error::Thread)?;
        Ok(Self { url, store, folder, runtime })
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

    fn wait<T>(
        &self,
        action: &'static str,
        name: &str,
        asked: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T> {
        let place = || format!("{}/{name}", self.url);
        let answer = self.runtime.block_on(asked);
        answer.map_err(|source| Error::Remote { action, place: place(), source })
    }

    /// The same for a request that changes what is there.
    fn change<T>(
        &self,
        action: &'static str,
        name: &str,
        asked: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T> {
        point("remote before");
        let answer = self.wait(action, name, asked);
        point("remote after");
        answer
    }

    fn key(&self, name: &str) -> Key {
        let parts = name.split('/').filter(|it| !it.is_empty());
        parts.fold(self.folder.clone(), |key, part| key.join(part))
    }

    /// All objects below a folder of it with their sizes, by their names in it.
    fn list(&self, below: &str) -> Result<BTreeMap<String, u64>> {
        let folder = self.key(below);
        let found = self.store.list(Some(&folder)).try_collect::<Vec<_>>();
        let found = self.wait("list", below, found)?;
        let named = found.into_iter().filter_map(|it| {
            let parts = it.location.prefix_match(&self.folder)?;
            let parts: Vec<_> = parts.map(|it| it.as_ref().to_owned()).collect();
            Some((parts.join("/"), it.size))
        });
        Ok(named.collect())
    }

    /// A small object, if it is there.
    fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let key = self.key(name);
        let found = async {
            match self.store.get(&key).await {
                Err(object_store::Error::NotFound { .. }) => Ok(None),
                other => Ok(Some(other?.bytes().await?.to_vec())),
            }
        };
        self.wait("read", name, found)
    }

    /// Writes a small object, whatever is there.
    fn write(&self, name: &str, bytes: Vec<u8>) -> Result<()> {
        let key = self.key(name);
        self.change("write", name, async { self.store.put(&key, bytes.into()).await.map(drop) })
    }

    /// Writes a small object unless one of its name is there. Says whether it did.
    fn create(&self, name: &str, bytes: Vec<u8>) -> Result<bool> {
        let key = self.key(name);
        let put = self.store.put_opts(&key, bytes.into(), PutMode::Create.into());
        created(self.change("create", name, async { put.await.map(drop) }))
    }

    /// Writes a file unless an object of its name is there. One with the same bytes counts as this
    /// one: the answer to an earlier attempt may have been lost.
    fn create_file(&self, name: &str, file: &Path) -> Result<()> {
        let size = size(file)?;
        let is_new = if size <= CHUNK {
            let bytes = std::fs::read(file).map_err(failed("read", file))?;
            self.create(name, bytes)?
        } else {
            let staged = format!("{STAGING}/{name}");
            self.write_file(&staged, file)?;
            let (from, to) = (self.key(&staged), self.key(name));
            let copied = self.change("create", name, self.store.copy_if_not_exists(&from, &to));
            let is_new = created(copied)?;
            self.delete(&staged)?;
            is_new
        };
        match is_new || self.equals(name, file)? {
            true => Ok(()),
            false => Err(Error::Foreign { place: format!("{}/{name}", self.url) }),
        }
    }

    /// Writes a file, whatever is there. A large one appears once all of it is there.
    fn write_file(&self, name: &str, path: &Path) -> Result<()> {
        let size = size(path)?;
        if size <= CHUNK {
            let bytes = std::fs::read(path).map_err(failed("read", path))?;
            return self.write(name, bytes);
        }
        let mut file = File::open(path).map_err(failed("open", path))?;
        let mut upload = self.wait("write", name, self.store.put_multipart(&self.key(name)))?;
        let mut sent = || -> Result<()> {
            loop {
                let mut chunk = Vec::new();
                let part = file.by_ref().take(CHUNK).read_to_end(&mut chunk);
                if part.map_err(failed("read", path))? == 0 {
                    return Ok(());
                }
                self.wait("write", name, upload.put_part(chunk.into()))?;
            }
        };
        match sent() {
            Ok(()) => self.change("write", name, upload.complete()).map(drop),
            Err(error) => {
                // What stays is not visible, and the store's own rules clear it away.
                let _ = self.wait("give up", name, upload.abort());
                Err(error)
            }
        }
    }

    /// Whether an object has the bytes of a file.
    fn equals(&self, name: &str, path: &Path) -> Result<bool> {
        let key = self.key(name);
        let mut file = File::open(path).map_err(failed("open", path))?;
        let (mut left, mut same) = (size(path)?, true);
        let compared = async {
            let mut found = self.store.get(&key).await?.into_stream();
            while let Some(bytes) = found.try_next().await? {
                let mut mine = Vec::new();
                same &= file.by_ref().take(bytes.len() as u64).read_to_end(&mut mine).is_ok();
                same &= mine == bytes;
                left = left.saturating_sub(bytes.len() as u64);
            }
            Ok(())
        };
        self.wait("read", name, compared)?;
        Ok(same && left == 0)
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        let (old, new) = (self.key(from), self.key(to));
        self.change("move", from, self.store.rename(&old, &new))
    }

    /// Removes an object. One that is not there counts as removed.
    fn delete(&self, name: &str) -> Result<()> {
        let key = self.key(name);
        let deleted = async {
            match self.store.delete(&key).await {
                Err(object_store::Error::NotFound { .. }) => Ok(()),
                other => other,
            }
        };
        self.change("remove", name, deleted)
    }
}

/// Checks a URL without opening it.
///
/// # Errors
/// [`Error::Config`] says what it must be.
pub(crate) fn parse(url: &str) -> Result<(Url, ObjectStoreScheme, Key)> {
    let refuse = |message: &str| Error::Config { key: "storage.url", message: message.to_owned() };
    let wanted = "must be as in \"s3://bucket/folder\" or \"file:///mnt/folder\"";
    let parsed = Url::parse(url).map_err(|_| refuse(wanted))?;
    if !parsed.username().is_empty() || parsed.password().is_some() {
        let message = "must not hold a key: put it into AWS_ACCESS_KEY_ID and \
                       AWS_SECRET_ACCESS_KEY";
        return Err(refuse(message));
    }
    let (scheme, folder) = ObjectStoreScheme::parse(&parsed).map_err(|_| refuse(wanted))?;
    if !matches!(scheme, ObjectStoreScheme::AmazonS3 | ObjectStoreScheme::Local)
        || !matches!(parsed.scheme(), "s3" | "s3a" | "file")
    {
        return Err(refuse(wanted));
    }
    if folder.is_root() {
        return Err(refuse("must name a folder of its own in the bucket, for example one a run"));
    }
    Ok((parsed, scheme, folder))
}

fn s3(url: &Url) -> object_store::Result<object_store::aws::AmazonS3> {
    let retry = RetryConfig { retry_timeout: RETRY, ..RetryConfig::default() };
    let builder = AmazonS3Builder::from_env().with_url(url.as_str()).with_retry(retry);
    // Some stores want a header instead, which AWS_COPY_IF_NOT_EXISTS gives.
    let builder = match builder.get_config_value(&AmazonS3ConfigKey::CopyIfNotExists) {
        None => builder.with_copy_if_not_exists(S3CopyIfNotExists::Multipart),
        Some(_) => builder,
    };
    builder.build()
}

/// Whether something was created, or was there already.
fn created(answer: Result<()>) -> Result<bool> {
    match answer {
        Ok(()) => Ok(true),
        Err(Error::Remote { source: object_store::Error::AlreadyExists { .. }, .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

fn size(file: &Path) -> Result<u64> {
    Ok(std::fs::metadata(file).map_err(failed("read the size of", file))?.len())
}

#[cfg(test)]
mod tests;
