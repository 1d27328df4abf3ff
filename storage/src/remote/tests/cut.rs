//! A store whose network fails, and whose lease another process may take.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt, StreamExt, TryStreamExt};
use object_store::memory::InMemory;
use object_store::path::Path as Key;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult,
};

/// A store in memory whose requests fail after some number, as if its network were cut.
#[derive(Debug)]
pub(super) struct Cut {
    store: InMemory,
    left: AtomicU64,
    /// Requests until another process takes over the run.
    pub(super) until_taken: AtomicU64,
    /// What a reader saw at that moment.
    pub(super) seen: Mutex<Option<BTreeSet<String>>>,
    /// Notified after every write.
    written: (Mutex<()>, Condvar),
}

impl Cut {
    pub(super) fn new() -> Arc<Self> {
        let [left, until_taken] = [u64::MAX; 2].map(AtomicU64::new);
        let (seen, written) = (Mutex::new(None), Default::default());
        Arc::new(Self { store: InMemory::new(), left, until_taken, seen, written })
    }

    pub(super) fn after(&self, requests: u64) {
        self.left.store(requests, Ordering::Relaxed);
    }

    pub(super) fn heal(&self) {
        self.after(u64::MAX);
    }

    /// Counts a request, which may fail.
    fn count_request(&self) -> object_store::Result<()> {
        let one_less = |left: u64| left.checked_sub(1);
        let left = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less);
        let cut =
            |_| object_store::Error::Generic { store: "test", source: "the cable is cut".into() };
        left.map(drop).map_err(cut)?;
        let left = self.until_taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less);
        if left == Ok(1) {
            *self.seen.lock().unwrap() = Some(self.reader_sees());
            let lease = r#"{"run_id": "id", "session": "of another process"}"#;
            let run = Key::from("runs/first/run.json");
            let put = self.store.put(&run, lease.into());
            put.now_or_never().unwrap()?;
        }
        Ok(())
    }

    /// Waits until a reader sees an object whose name ends like this.
    pub(super) fn wait_for(&self, name: &str) {
        let (mutex, condvar) = &self.written;
        let mut guard = mutex.lock().unwrap();
        while !self.reader_sees().iter().any(|seen| seen.ends_with(name)) {
            guard = condvar.wait(guard).unwrap();
        }
    }

    fn notify(&self) {
        let (mutex, condvar) = &self.written;
        // Not between another thread's look and its wait.
        let _guard = mutex.lock().unwrap();
        condvar.notify_all();
    }

    /// Parts, and the checksums that make checkpoints complete.
    pub(super) fn reader_sees(&self) -> BTreeSet<String> {
        let all: Vec<_> = self.store.list(None).try_collect().now_or_never().unwrap().unwrap();
        let names = all.into_iter().map(|object| object.location.to_string());
        names.filter(|name| name.ends_with(".parquet") || name.ends_with("SHA256SUMS")).collect()
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
        self.count_request()?;
        let put = self.store.put_opts(at, bytes, options).await;
        self.notify();
        put
    }

    async fn put_multipart_opts(
        &self,
        at: &Key,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.count_request()?;
        self.store.put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, at: &Key, options: GetOptions) -> object_store::Result<GetResult> {
        self.count_request()?;
        self.store.get_opts(at, options).await
    }

    fn delete_stream(
        &self,
        keys: BoxStream<'static, object_store::Result<Key>>,
    ) -> BoxStream<'static, object_store::Result<Key>> {
        match self.count_request() {
            Ok(()) => self.store.delete_stream(keys),
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }

    fn list(&self, below: Option<&Key>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        match self.count_request() {
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
        self.count_request()?;
        self.store.copy_opts(from, to, options).await
    }
}
