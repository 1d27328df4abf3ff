//! What is asked of a store, request by request.

use std::collections::BTreeMap;
use std::fs::File;
use std::future::Future;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

use futures_util::TryStreamExt;
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt, PutMode};

use super::{Reason, Remote};
use crate::disk::fault::point;
use crate::disk::publish::failed;
use crate::{Error, Result};

/// Bytes that go in one request. A larger file goes in several, of this size each.
pub(super) const CHUNK: u64 = 8 << 20;

/// Where large files wait for their own names.
pub(super) const STAGING: &str = "staging";

impl Remote {
    /// Waits for an answer.
    pub(super) fn wait<T>(
        &self,
        action: &'static str,
        name: &str,
        asked: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T> {
        let place = || format!("{}/{name}", self.url);
        let answer = self.runtime.block_on(asked);
        answer.map_err(|it| Error::Remote { action, place: place(), source: Reason(it) })
    }

    /// The same for a request that changes what is there.
    pub(super) fn change<T>(
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

    /// Where an object of the folder is in the store.
    pub(super) fn key(&self, name: &str) -> Key {
        let parts = name.split('/').filter(|it| !it.is_empty());
        parts.fold(self.folder.clone(), |key, part| key.join(part))
    }

    /// All objects below a folder of it with their sizes, by their names in it.
    pub(super) fn list(&self, below: &str) -> Result<BTreeMap<String, u64>> {
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
    pub(super) fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
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
    pub(super) fn write(&self, name: &str, bytes: Vec<u8>) -> Result<()> {
        let key = self.key(name);
        self.change("write", name, async { self.store.put(&key, bytes.into()).await.map(drop) })
    }

    /// Writes a small object unless one of its name is there. Says whether it did.
    pub(super) fn create(&self, name: &str, bytes: Vec<u8>) -> Result<bool> {
        let key = self.key(name);
        let put = self.store.put_opts(&key, bytes.into(), PutMode::Create.into());
        created(self.change("create", name, async { put.await.map(drop) }))
    }

    /// Writes a file unless an object of its name is there. One with the same bytes counts as this
    /// one: the answer to an earlier attempt may have been lost.
    pub(super) fn create_file(&self, name: &str, file: &mut Source) -> Result<()> {
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
    pub(super) fn write_file(&self, name: &str, file: &mut Source) -> Result<()> {
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
    pub(super) fn chunks(&self, name: &str, size: u64) -> impl Iterator<Item = Result<Vec<u8>>> {
        let key = self.key(name);
        (0..size.div_ceil(CHUNK)).map(move |it| {
            let range = it * CHUNK..size.min((it + 1) * CHUNK);
            let asked = async { Ok(self.store.get_range(&key, range).await?.to_vec()) };
            self.wait("read", name, asked)
        })
    }

    /// Gives an object another key, which may be of another folder.
    pub(super) fn rename(&self, from: &str, to: &Key) -> Result<()> {
        let old = self.key(from);
        self.change("move", from, self.store.rename(&old, to))
    }

    /// Removes an object. One that is not there counts as removed.
    pub(super) fn delete(&self, name: &str) -> Result<()> {
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

/// Whether something was created, or was there already.
fn created(answer: Result<()>) -> Result<bool> {
    match answer {
        Ok(()) => Ok(true),
        Err(Error::Remote {
            source: Reason(object_store::Error::AlreadyExists { .. }), ..
        }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// A file that is open, and stays so when its name is removed.
pub(super) struct Source {
    path: PathBuf,
    file: File,
    size: u64,
}

impl Source {
    pub(super) fn open(path: &Path) -> Result<Self> {
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
