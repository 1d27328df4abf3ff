//! A store whose network fails, and which another process may take over.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt, StreamExt, TryStreamExt};
use object_store::memory::InMemory;
use object_store::path::Path as Key;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult,
};

/// A store in memory that refuses after so many requests, as one does whose network is cut.
#[derive(Debug)]
pub(super) struct Cut {
    store: InMemory,
    left: AtomicU64,
    /// Requests until another process takes the run over.
    pub(super) until_taken: AtomicU64,
    /// What a reader saw when it did.
    pub(super) seen: Mutex<Option<BTreeSet<String>>>,
}

impl Cut {
    pub(super) fn new() -> Arc<Self> {
        let [left, until_taken] = [u64::MAX; 2].map(AtomicU64::new);
        Arc::new(Self { store: InMemory::new(), left, until_taken, seen: Mutex::new(None) })
    }

    pub(super) fn after(&self, requests: u64) {
        self.left.store(requests, Ordering::Relaxed);
    }

    pub(super) fn heal(&self) {
        self.after(u64::MAX);
    }

    fn pass(&self) -> object_store::Result<()> {
        let one_less = |it: u64| it.checked_sub(1);
        let left = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less);
        let cut =
            |_| object_store::Error::Generic { store: "test", source: "the cable is cut".into() };
        left.map(drop).map_err(cut)?;
        let left = self.until_taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less);
        if left == Ok(1) {
            *self.seen.lock().unwrap() = Some(self.reader_sees());
            let claim = r#"{"run_id": "id", "session": "of another process"}"#;
            let run = Key::from("runs/first/run.json");
            let put = self.store.put(&run, claim.into());
            put.now_or_never().unwrap()?;
        }
        Ok(())
    }

    /// Parts, and what makes a checkpoint whole.
    pub(super) fn reader_sees(&self) -> BTreeSet<String> {
        let all: Vec<_> = self.store.list(None).try_collect().now_or_never().unwrap().unwrap();
        let names = all.into_iter().map(|it| it.location.to_string());
        names.filter(|it| it.ends_with(".parquet") || it.ends_with("SHA256SUMS")).collect()
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(f)
    }
}

#[async_trait::async_trait]
impl ObjectStore for Cut {
    async fn put_opts(
        &self,
        at: &Key,
        bytes: PutPayload,
        options: PutOptions,
    ) -> object_store::Result<PutResult> {
        self.pass()?;
        self.store.put_opts(at, bytes, options).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Key,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.pass()?;
        self.store.put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, at: &Key, options: GetOptions) -> object_store::Result<GetResult> {
        self.pass()?;
        self.store.get_opts(at, options).await
    }

    fn delete_stream(
        &self,
        keys: BoxStream<'static, object_store::Result<Key>>,
    ) -> BoxStream<'static, object_store::Result<Key>> {
        match self.pass() {
            Ok(()) => self.store.delete_stream(keys),
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }

    fn list(&self, below: Option<&Key>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        match self.pass() {
            Ok(()) => self.store.list(below),
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }

    async fn list_with_delimiter(&self, below: Option<&Key>) -> object_store::Result<ListResult> {
        self.store.list_with_delimiter(below).await
    }

    async fn copy_opts(
        &self,
        from: &Key,
        to: &Key,
        options: CopyOptions,
    ) -> object_store::Result<()> {
        self.pass()?;
        self.store.copy_opts(from, to, options).await
    }
}
