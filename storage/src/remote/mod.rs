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

mod claim;
mod fetch;
mod ship;

use std::collections::BTreeMap;
use std::fs::File;
use std::future::Future;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, S3CopyIfNotExists};
use object_store::client::ClientConfigKey;
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

/// How long a request may take: a chunk passes a link of 0.6 Mbit/s.
const REQUEST: &str = "120 seconds";

/// A request that failed at once is tried again so often, in about a second, before the caller hears
/// of it and waits longer; one that took too long, once.
const RETRIES: usize = 3;
const RETRY: Duration = Duration::from_secs(150);

/// Where large files wait for their own names.
const STAGING: &str = "staging";

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
            ObjectStoreScheme::AmazonS3 => s3(&parsed).map(|it| Arc::new(it) as _),
            _ => Ok(Arc::new(LocalFileSystem::new().with_fsync(true))),
        };
        let unusable = |source| Error::Remote { action: "open", place: url.clone(), source };
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
    fn create_file(&self, name: &str, file: &mut Source) -> Result<()> {
        let is_new = if file.size <= CHUNK {
            self.create(name, file.chunk()?)?
        } else {
            let staged = format!("{STAGING}/{name}");
            self.write_file(&staged, file)?;
            let (from, to) = (self.key(&staged), self.key(name));
            let copied = self.change("create", name, self.store.copy_if_not_exists(&from, &to));
            let is_new = created(copied)?;
            // What stays is cleared away by the next start.
            let _ = self.delete(&staged);
            is_new
        };
        match is_new || self.equals(name, file)? {
            true => Ok(()),
            false => Err(Error::Foreign { place: format!("{}/{name}", self.url) }),
        }
    }

    /// Writes a file, whatever is there. A large one appears once all of it is there.
    fn write_file(&self, name: &str, file: &mut Source) -> Result<()> {
        if file.size <= CHUNK {
            return self.write(name, file.chunk()?);
        }
        let mut upload = self.wait("write", name, self.store.put_multipart(&self.key(name)))?;
        let mut sent = || -> Result<()> {
            loop {
                let chunk = file.chunk()?;
                if chunk.is_empty() {
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
    fn equals(&self, name: &str, file: &mut Source) -> Result<bool> {
        file.rewind()?;
        let key = self.key(name);
        let found = self.wait("read", name, self.store.head(&key))?;
        if found.size != file.size {
            return Ok(false);
        }
        for chunk in self.chunks(name, found.size) {
            if chunk? != file.chunk()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The bytes of an object of that size, in requests that each end soon.
    fn chunks(&self, name: &str, size: u64) -> impl Iterator<Item = Result<Vec<u8>>> {
        let key = self.key(name);
        (0..size.div_ceil(CHUNK)).map(move |it| {
            let range = it * CHUNK..size.min((it + 1) * CHUNK);
            let asked = async { Ok(self.store.get_range(&key, range).await?.to_vec()) };
            self.wait("read", name, asked)
        })
    }

    fn rename(&self, from: &str, to: &Key) -> Result<()> {
        let old = self.key(from);
        self.change("move", from, self.store.rename(&old, to))
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

/// What to look at when a place cannot be used.
pub(crate) fn to_check(place: &str) -> &'static str {
    match place.starts_with("file:") {
        true => "that the folder is there and writable, and that its disk has room",
        false => "the network, the AWS_ variables and the bucket",
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
    let retry =
        RetryConfig { retry_timeout: RETRY, max_retries: RETRIES, ..RetryConfig::default() };
    let builder = AmazonS3Builder::from_env().with_url(url.as_str()).with_retry(retry);
    // The client's own 30 s are too few for a chunk on a slow link.
    let timeout = AmazonS3ConfigKey::Client(ClientConfigKey::Timeout);
    let builder = match std::env::var_os("AWS_TIMEOUT") {
        None => builder.with_config(timeout, REQUEST),
        Some(_) => builder,
    };
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

/// Removes what a copy that was killed left in a folder of this machine: whole files under other
/// names, which `object_store` hides from who lists them through it. It makes them again as it
/// pleases, so that nothing depends on it.
fn clear(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.filter_map(|it| Some(it.ok()?.path())) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let number = name.rsplit_once('#').map(|it| it.1);
        if path.is_dir() {
            clear(&path);
        } else if number.is_some_and(|it| it.parse::<u64>().is_ok()) {
            let _ = std::fs::remove_file(&path);
        }
    }
}

/// A file that is open, and stays so when its name is removed.
struct Source {
    path: PathBuf,
    file: File,
    size: u64,
}

impl Source {
    fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(failed("open", path))?;
        let size = file.metadata().map_err(failed("read the size of", path))?.len();
        Ok(Self { path: path.to_owned(), file, size })
    }

    /// The next bytes, a request's worth; none at the end.
    fn chunk(&mut self) -> Result<Vec<u8>> {
        let mut chunk = Vec::new();
        let read = self.file.by_ref().take(CHUNK).read_to_end(&mut chunk);
        read.map_err(failed("read", &self.path))?;
        Ok(chunk)
    }

    fn rewind(&mut self) -> Result<()> {
        self.file.rewind().map_err(failed("read", &self.path))
    }
}

#[cfg(test)]
mod tests;
