//! The thread that copies a run to the store, and its handle.

use std::path::Path;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, after, bounded};

use super::Remote;
use super::upload::Uploader;
use crate::{Error, Result, Watermark};

/// How often the folder is compared with the store.
const INTERVAL: Duration = Duration::from_secs(2);
/// The longest pause between two attempts while the store cannot be reached.
const MAX_PAUSE: Duration = Duration::from_secs(60);
/// How long the end of a run waits for a store that cannot be reached.
const FINAL_WAIT: Duration = Duration::from_secs(60);
/// Notices that wait until they are read. Further ones are only logged.
const QUEUE: usize = 64;

/// Copies a run's folder to an object store until it is finished.
///
/// While the store cannot be reached, the run continues and its folder grows: no row depends on the
/// network. A mirror that is dropped without [`Mirror::finish`] still copies what it can.
pub struct Mirror {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<Result<()>>>,
    notices: Receiver<String>,
}

impl Mirror {
    /// Acquires the store's folder for the run `run_id`, which continues in `dir` after a watermark
    /// and a step, and starts the thread. Later objects in the store are moved to `superseded/`. The
    /// caller holds the [`Lock`](crate::Lock) of `dir`.
    ///
    /// # Errors
    /// [`Error::OtherRun`] when another run owns the store's folder, [`Error::ObjectConflict`] when a
    /// part there differs in size from this run's, and [`Error::Remote`] when the store cannot be
    /// read or written.
    pub fn start(
        remote: Remote,
        dir: &Path,
        run_id: &str,
        watermark: &Watermark,
        step: u64,
    ) -> Result<Self> {
        let uploader = Uploader::start(remote, dir, run_id, watermark, step)?;
        let (sender, notices) = bounded(QUEUE);
        let copying = Copying { uploader, notices: sender };
        let (stop, stopped) = bounded(0);
        let thread = thread::Builder::new()
            .name("mirror".to_owned())
            .spawn(move || copying.run(&stopped))
            .map_err(Error::Thread)?;
        Ok(Self { stop: Some(stop), thread: Some(thread), notices })
    }

    /// Messages for the user: the store cannot be reached, or can be reached again.
    pub fn notices(&self) -> &Receiver<String> {
        &self.notices
    }

    /// Checks that the thread is still copying.
    ///
    /// # Errors
    /// [`Error::MirrorStopped`] when it is not; [`Mirror::finish`] returns its error.
    pub fn check(&self) -> Result<()> {
        match &self.thread {
            Some(thread) if !thread.is_finished() => Ok(()),
            _ => Err(Error::MirrorStopped),
        }
    }

    /// Waits until the store has everything. It gives up when the store cannot be reached for a
    /// minute.
    ///
    /// # Errors
    /// The error that stopped the copying. The next start of the run copies what is missing.
    pub fn finish(mut self) -> Result<()> {
        self.join()
    }

    fn join(&mut self) -> Result<()> {
        self.stop = None;
        let thread = self.thread.take().ok_or(Error::MirrorStopped)?;
        thread.join().unwrap_or(Err(Error::MirrorStopped))
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        if self.thread.is_none() {
            return;
        }
        if let Err(error) = self.join() {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "the copy in the object store is incomplete");
        }
    }
}

/// What the thread owns.
struct Copying {
    uploader: Uploader,
    notices: Sender<String>,
}

impl Copying {
    fn run(mut self, stopped: &Receiver<()>) -> Result<()> {
        let mut pause = INTERVAL;
        let mut stopped_at: Option<Instant> = None;
        let mut is_away = false;
        loop {
            match stopped_at {
                Some(_) => drop(after(INTERVAL).recv()),
                None => {
                    let stop = stopped.recv_timeout(pause);
                    stopped_at = (stop != Err(RecvTimeoutError::Timeout)).then(Instant::now);
                }
            }
            match self.uploader.upload_missing() {
                Ok(()) => {
                    if is_away {
                        let url = self.uploader.url();
                        self.notify(format!("{url} is back, and has everything"));
                    }
                    if stopped_at.is_some() {
                        return Ok(());
                    }
                    (is_away, pause) = (false, INTERVAL);
                }
                Err(error) if !is_temporary(&error) => return Err(error),
                Err(error) if stopped_at.is_some_and(|start| start.elapsed() > FINAL_WAIT) => {
                    return Err(error);
                }
                Err(error) => {
                    if !is_away {
                        let reason = with_reason(&error);
                        self.notify(format!("{reason}; the run continues without the copy"));
                    }
                    (is_away, pause) = (true, MAX_PAUSE.min(pause * 2));
                }
            }
        }
    }

    fn notify(&self, notice: String) {
        // The queue may be full, or its receiver gone.
        let _ = self.notices.try_send(notice.clone());
        tracing::warn!("{notice}");
    }
}

/// Whether the next attempt may succeed.
fn is_temporary(error: &Error) -> bool {
    matches!(error, Error::Remote { .. } | Error::File { .. })
}

/// An error and its reason in one line.
fn with_reason(error: &Error) -> String {
    match std::error::Error::source(error) {
        Some(reason) => format!("{error}: {reason}"),
        None => error.to_string(),
    }
}
