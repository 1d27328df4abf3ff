//! The thread that copies, and its handle.

use std::path::Path;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, after, bounded};

use super::Remote;
use super::upload::Shipper;
use crate::{Error, Result, Seal};

/// How often the folder is looked at.
const EVERY: Duration = Duration::from_secs(2);
/// The longest pause between two attempts while the store is away.
const AT_MOST: Duration = Duration::from_secs(60);
/// How long a run that ends waits for a store that is away.
const AT_THE_END: Duration = Duration::from_secs(60);
/// News that wait until somebody hears them; what comes after is only logged.
const NEWS: usize = 64;

/// Keeps a folder of an object store like a run's own folder, until it is finished.
///
/// A store that is away is waited for, while the folder grows: no row depends on the network.
/// Dropped without [`Mirror::finish`], it still copies what it can.
pub struct Mirror {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<Result<()>>>,
    news: Receiver<String>,
}

impl Mirror {
    /// Takes the store's folder for the run `run_id`, which goes on in `dir` after a seal and a
    /// step, and starts the thread. What the store has of later is set aside in it. The caller holds
    /// the [`Lock`](crate::Lock) of `dir`.
    ///
    /// # Errors
    /// [`Error::Owned`] when the store's folder is another run's, [`Error::Foreign`] when a part in
    /// it is not as large as this run's, and [`Error::Remote`] when the store cannot be asked or
    /// written.
    pub fn start(remote: Remote, dir: &Path, run_id: &str, seal: &Seal, step: u64) -> Result<Self> {
        let shipper = Shipper::begin(remote, dir, run_id, seal, step)?;
        let (news, heard) = bounded(NEWS);
        let copying = Copying { shipper, news };
        let (stop, stopped) = bounded(0);
        let thread = thread::Builder::new()
            .name("mirror".to_owned())
            .spawn(move || copying.run(&stopped))
            .map_err(Error::Thread)?;
        Ok(Self { stop: Some(stop), thread: Some(thread), news: heard })
    }

    /// What there is to tell: that the store is away, and that it is back.
    pub fn news(&self) -> &Receiver<String> {
        &self.news
    }

    /// Whether it still copies.
    ///
    /// # Errors
    /// [`Error::Unmirrored`] when it does not; [`Mirror::finish`] says why.
    pub fn check(&self) -> Result<()> {
        match &self.thread {
            Some(thread) if !thread.is_finished() => Ok(()),
            _ => Err(Error::Unmirrored),
        }
    }

    /// Waits until the store has all that the folder has, as long as it takes; one that is away is
    /// given up after a minute.
    ///
    /// # Errors
    /// What kept it from copying; the next start of the run copies what is missing.
    pub fn finish(mut self) -> Result<()> {
        self.join()
    }

    fn join(&mut self) -> Result<()> {
        self.stop = None;
        let thread = self.thread.take().ok_or(Error::Unmirrored)?;
        thread.join().unwrap_or(Err(Error::Unmirrored))
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        if self.thread.is_none() {
            return;
        }
        if let Err(error) = self.join() {
            tracing::error!(error = &error as &dyn std::error::Error, "the copy is not whole");
        }
    }
}

/// What the thread owns.
struct Copying {
    shipper: Shipper,
    news: Sender<String>,
}

impl Copying {
    fn run(mut self, stopped: &Receiver<()>) -> Result<()> {
        let mut pause = EVERY;
        let mut ending: Option<Instant> = None;
        let mut away = false;
        loop {
            match ending {
                Some(_) => drop(after(EVERY).recv()),
                None => {
                    let asked = stopped.recv_timeout(pause);
                    ending = (asked != Err(RecvTimeoutError::Timeout)).then(Instant::now);
                }
            }
            match self.shipper.pass() {
                Ok(()) => {
                    if away {
                        self.tell(format!("{} is back, and has all", self.shipper.url()));
                    }
                    if ending.is_some() {
                        return Ok(());
                    }
                    (away, pause) = (false, EVERY);
                }
                Err(error) if !passes(&error) => return Err(error),
                Err(error) if ending.is_some_and(|it| it.elapsed() > AT_THE_END) => {
                    return Err(error);
                }
                Err(error) => {
                    if !away {
                        self.tell(format!("{}; the run goes on without it", with_reason(&error)));
                    }
                    (away, pause) = (true, AT_MOST.min(pause * 2));
                }
            }
        }
    }

    fn tell(&self, news: String) {
        // Nobody may listen.
        let _ = self.news.try_send(news.clone());
        tracing::warn!("{news}");
    }
}

/// Whether an error may be over at the next attempt.
fn passes(error: &Error) -> bool {
    matches!(error, Error::Remote { .. } | Error::File { .. })
}

/// An error in one line.
fn with_reason(error: &Error) -> String {
    match std::error::Error::source(error) {
        Some(reason) => format!("{error}: {reason}"),
        None => error.to_string(),
    }
}
