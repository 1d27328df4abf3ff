//! The thread that copies what the store lacks.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, after, bounded};

use super::claim::There;
use super::fetch::{CHECKPOINTS, SUMS, step};
use super::{Remote, Source};
use crate::columns::TABLES;
use crate::publish::failed;
use crate::{Error, Result, Seal, catalog, parts, views};

/// How often the folder is looked at.
const EVERY: Duration = Duration::from_secs(2);
/// The longest pause between two attempts while the store is away.
const AT_MOST: Duration = Duration::from_secs(60);
/// How long a run that ends waits for a store that is away.
const AT_THE_END: Duration = Duration::from_secs(60);

/// News that wait until somebody hears them; what comes after is only logged.
const NEWS: usize = 64;

/// Small files that are copied whenever they change. `views.sql` names folders, so that the store
/// has one of its own.
const BESIDE: [&str; 4] = ["config.toml", "environment.json", "dataset.json", VIEWS];
const VIEWS: &str = "views.sql";

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
    /// it is not as large as this run's, and [`Error::Remote`] when the store cannot be asked or written.
    pub fn start(remote: Remote, dir: &Path, run_id: &str, seal: &Seal, step: u64) -> Result<Self> {
        let (shipper, heard) = Shipper::begin(remote, dir, run_id, seal, step)?;
        let (stop, stopped) = bounded(0);
        let thread = thread::Builder::new()
            .name("mirror".to_owned())
            .spawn(move || shipper.run(&stopped))
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

pub(super) struct Shipper {
    remote: Remote,
    dir: PathBuf,
    there: There,
    /// The small files as they were copied last.
    beside: BTreeMap<&'static str, Vec<u8>>,
    news: Sender<String>,
}

impl Shipper {
    /// Takes the store's folder. Returns what there will be to tell, too.
    pub(super) fn begin(
        remote: Remote,
        dir: &Path,
        run_id: &str,
        seal: &Seal,
        step: u64,
    ) -> Result<(Self, Receiver<String>)> {
        let there = remote.claim(dir, run_id, seal, step)?;
        let (news, heard) = bounded(NEWS);
        let dir = dir.to_owned();
        Ok((Self { remote, dir, there, beside: BTreeMap::new(), news }, heard))
    }

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
            match self.pass() {
                Ok(()) => {
                    if away {
                        self.tell(format!("{} is back, and has all", self.remote.url()));
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
                        self.tell(format!("{}; the run goes on without it", chain(&error)));
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

    /// Copies all that the store lacks, as long as it is this process's. Checkpoints are looked at
    /// first: the parts that they count on are closed already, and so are there before a checkpoint
    /// is whole.
    pub(super) fn pass(&mut self) -> Result<()> {
        let checkpoints = checkpoints(&self.dir)?;
        let parts = self.missing_parts()?;
        let beside = self.changed_beside()?;
        let whole = |it: &String| self.there.checkpoints.get(it) == Some(&true);
        let missing: Vec<String> = checkpoints.iter().filter(|it| !whole(it)).cloned().collect();
        let known = self.there.checkpoints.keys();
        let gone: Vec<String> = known.filter(|it| !checkpoints.contains(it)).cloned().collect();
        if parts.is_empty() && beside.is_empty() && missing.is_empty() && gone.is_empty() {
            return Ok(());
        }
        self.remote.check(&self.there.claim)?;
        for (name, path) in parts {
            self.remote.create_file(&name, &mut Source::open(&path)?)?;
            self.there.parts.insert(name);
        }
        for (name, bytes) in beside {
            self.ship_beside(name, bytes)?;
        }
        // The newest first: it is the one that a lost machine would be missed for.
        missing.iter().rev().try_for_each(|it| self.ship_checkpoint(it))?;
        // One that the run has removed stays until there is another one to go on from.
        if checkpoints.iter().any(|it| self.there.checkpoints.get(it) == Some(&true)) {
            gone.iter().try_for_each(|it| self.remove_checkpoint(it))?;
        }
        Ok(())
    }

    /// Closed parts that the store lacks, by their names in the run's folder.
    fn missing_parts(&self) -> Result<Vec<(String, PathBuf)>> {
        let mut missing = Vec::new();
        for table in TABLES {
            for part in parts::list(&self.dir.join(table))? {
                let file = part.path.file_name().unwrap_or_default().to_string_lossy();
                let name = format!("{table}/{file}");
                if !self.there.parts.contains(&name) {
                    missing.push((name, part.path));
                }
            }
        }
        Ok(missing)
    }

    /// Copies a checkpoint. All its files are opened first, so that it comes whole also when the run
    /// removes it meanwhile.
    fn ship_checkpoint(&mut self, name: &str) -> Result<()> {
        let folder = self.dir.join(CHECKPOINTS).join(name);
        let mut files: Vec<String> = parts::names(&folder)?;
        files.sort_by_key(|it| it == SUMS);
        let sources = files.into_iter().map(|it| Ok((Source::open(&folder.join(&it))?, it)));
        let sources = match sources.collect::<Result<Vec<_>>>() {
            Err(error) if is_gone(&error) => return Ok(()),
            other => other?,
        };
        if sources.last().is_none_or(|it| it.1 != SUMS) {
            // It is being removed.
            return Ok(());
        }
        self.there.checkpoints.insert(name.to_owned(), false);
        for (mut source, file) in sources {
            let object = format!("{CHECKPOINTS}/{name}/{file}");
            match file == SUMS {
                true => self.remote.create_file(&object, &mut source)?,
                false => self.remote.write_file(&object, &mut source)?,
            }
        }
        self.there.checkpoints.insert(name.to_owned(), true);
        Ok(())
    }

    /// Removes a checkpoint, which is not whole from the first moment on.
    fn remove_checkpoint(&mut self, name: &str) -> Result<()> {
        let folder = format!("{CHECKPOINTS}/{name}");
        self.remote.delete(&format!("{folder}/{SUMS}"))?;
        let files = self.remote.list(&folder)?;
        files.keys().try_for_each(|it| self.remote.delete(it))?;
        self.there.checkpoints.remove(name);
        Ok(())
    }

    /// The small files that are not as they were copied.
    fn changed_beside(&self) -> Result<Vec<(&'static str, Vec<u8>)>> {
        let mut changed = Vec::new();
        for name in BESIDE {
            let path = self.dir.join(name);
            let bytes = match fs::read(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                other => other.map_err(failed("read", &path))?,
            };
            if self.beside.get(name) != Some(&bytes) {
                changed.push((name, bytes));
            }
        }
        Ok(changed)
    }

    fn ship_beside(&mut self, name: &'static str, bytes: Vec<u8>) -> Result<()> {
        let shipped = match name {
            VIEWS => views::sql(self.remote.url(), &catalog::tables(&self.dir)?).into_bytes(),
            _ => bytes.clone(),
        };
        self.remote.write(name, shipped)?;
        self.beside.insert(name, bytes);
        Ok(())
    }
}

/// The checkpoints of a run's folder, by name. Each is whole.
fn checkpoints(dir: &Path) -> Result<Vec<String>> {
    let mut names = parts::names(&dir.join(CHECKPOINTS))?;
    names.retain(|it| step(it).is_some());
    names.sort_by_key(|it| step(it));
    Ok(names)
}

/// Whether an error may be over at the next attempt.
fn passes(error: &Error) -> bool {
    matches!(error, Error::Remote { .. } | Error::File { .. })
}

fn is_gone(error: &Error) -> bool {
    matches!(error, Error::File { source, .. } if source.kind() == ErrorKind::NotFound)
}

/// An error with its reasons, in one line.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(reason) = source {
        text = format!("{text}: {reason}");
        source = reason.source();
    }
    text
}
