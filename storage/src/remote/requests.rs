//! The requests to the object store.

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
use crate::error::failed;
use crate::{Error, Result};

/// The most bytes in one request. A larger file is sent in several requests of this size.
pub(super) const CHUNK: u64 = 8 << 20;

/// Where large files are uploaded before they get their final names.
pub(super) const STAGING: &str = "staging";

impl Remote {
    /// Waits for the response to a request.
    pub(super) fn wait<T>(
        &self,
        action: &'static str,
        name: &str,
        request: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T> {
        let response = self.runtime.block_on(request);
        response.map_err(|error| Error::Remote {
            action,
            url: format!("{}/{name}", self.url),
            source: Reason(error),
        })
    }

    /// Waits for the response to a request that changes the store.
    pub(super) fn change<T>(
        &self,
        action: &'static str,
        name: &str,
        request: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T> {
        point("remote before");
        let response = self.wait(action, name, request);
        point("remote after");
        response
    }

    /// The key of an object in the folder.
    pub(super) fn key(&self, name: &str) -> Key {
        let parts = name.split('/').filter(|part| !part.is_empty());
        parts.fold(self.folder.clone(), |key, part| key.join(part))
    }

    /// All objects below a subfolder with their sizes, by their names in the folder.
    pub(super) fn list(&self, below: &str) -> Result<BTreeMap<String, u64>> {
        let folder = self.key(below);
        let objects = self.store.list(Some(&folder)).try_collect::<Vec<_>>();
        let objects = self.wait("list", below, objects)?;
        let named = objects.into_iter().filter_map(|object| {
            let parts = object.location.prefix_match(&self.folder)?;
            let parts: Vec<_> = parts.map(|part| part.as_ref().to_owned()).collect();
            Some((parts.join("/"), object.size))
        });
        Ok(named.collect())
    }

    /// Reads a small object, or returns `None` if it does not exist.
    pub(super) fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let key = self.key(name);
        let bytes = async {
            match self.store.get(&key).await {
                Err(object_store::Error::NotFound { .. }) => Ok(None),
                response => Ok(Some(response?.bytes().await?.to_vec())),
            }
        };
        self.wait("read", name, bytes)
    }

    /// Writes a small object, or replaces it.
    pub(super) fn write(&self, name: &str, bytes: Vec<u8>) -> Result<()> {
        let key = self.key(name);
        self.change("write", name, async { self.store.put(&key, bytes.into()).await.map(drop) })
    }

    /// Writes a small object unless one with this name exists. Returns whether it was written.
    pub(super) fn create(&self, name: &str, bytes: Vec<u8>) -> Result<bool> {
        let key = self.key(name);
        let put = self.store.put_opts(&key, bytes.into(), PutMode::Create.into());
        was_created(self.change("create", name, async { put.await.map(drop) }))
    }

    /// Writes a file unless an object with its name exists. An object with the same bytes counts as
    /// this file: the response to an earlier attempt may have been lost.
    ///
    /// # Errors
    /// [`Error::ObjectConflict`] when an object with other bytes exists.
    pub(super) fn create_file(&self, name: &str, file: &mut Source) -> Result<()> {
        let is_new = if file.size <= CHUNK {
            self.create(name, file.chunk()?)?
        } else {
            let staged = format!("{STAGING}/{name}");
            self.write_file(&staged, file)?;
            let (from, to) = (self.key(&staged), self.key(name));
            let copied = self.change("create", name, self.store.copy_if_not_exists(&from, &to));
            let is_new = was_created(copied)?;
            // If this fails, the next start deletes it.
            let _ = self.delete(&staged);
            is_new
        };
        match is_new || self.equals(name, file)? {
            true => Ok(()),
            false => Err(Error::ObjectConflict { url: format!("{}/{name}", self.url) }),
        }
    }

    /// Writes a file, or replaces it. A large file appears once all of it is uploaded.
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
                // If this fails, invisible parts stay until the store's lifecycle rules delete them.
                let _ = self.wait("abort", name, upload.abort());
                Err(error)
            }
        }
    }

    /// Whether an object has the same bytes as a file.
    fn equals(&self, name: &str, file: &mut Source) -> Result<bool> {
        file.rewind()?;
        let key = self.key(name);
        let object = self.wait("read", name, self.store.head(&key))?;
        if object.size != file.size {
            return Ok(false);
        }
        for chunk in self.chunks(name, object.size) {
            if chunk? != file.chunk()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The bytes of an object with this size, one request per chunk.
    pub(super) fn chunks(&self, name: &str, size: u64) -> impl Iterator<Item = Result<Vec<u8>>> {
        let key = self.key(name);
        (0..size.div_ceil(CHUNK)).map(move |chunk| {
            let range = chunk * CHUNK..size.min((chunk + 1) * CHUNK);
            let bytes = async { Ok(self.store.get_range(&key, range).await?.to_vec()) };
            self.wait("read", name, bytes)
        })
    }

    /// Gives an object another key, which may be outside the folder.
    pub(super) fn rename(&self, from: &str, to: &Key) -> Result<()> {
        let old = self.key(from);
        self.change("move", from, self.store.rename(&old, to))
    }

    /// Deletes an object. A missing object counts as deleted.
    pub(super) fn delete(&self, name: &str) -> Result<()> {
        let key = self.key(name);
        let deleted = async {
            match self.store.delete(&key).await {
                Err(object_store::Error::NotFound { .. }) => Ok(()),
                response => response,
            }
        };
        self.change("delete", name, deleted)
    }
}

/// Whether an object was created; otherwise it existed before.
fn was_created(response: Result<()>) -> Result<bool> {
    match response {
        Ok(()) => Ok(true),
        Err(Error::Remote {
            source: Reason(object_store::Error::AlreadyExists { .. }), ..
        }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// An open file, which can be read to the end even if its name is removed.
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

    /// The next bytes, at most [`CHUNK`], and no bytes at the end.
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
