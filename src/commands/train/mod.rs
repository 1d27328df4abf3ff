//! `onward train`: streams in, tables and weights out.

mod begin;
mod end;
mod events;
mod step;
mod summary;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crossbeam_channel::{TryRecvError, select, tick};
use model::Trainer;
use pipeline::Ingest;
use storage::{Mirror, Remote, Store};
use tracing::{info, warn};

use crate::Config;
use crate::commands::replay;
use crate::process::signals::{self, Requests};
use crate::run::checkpoint::{self, Parts};
use crate::run::clips;
use crate::run::ledger::Ledger;
use crate::run::records::Stopwatch;
use crate::run::streams::Streams;
use crate::run::telemetry::Telemetry;
use crate::serve::view::View;
use crate::terminal::print;
use crate::terminal::progress::{Progress, RunLine};

use begin::{Begun, From};
pub(crate) use end::Ended;
use events::event;
use step::Origin;

/// How often a run looks up while it waits for clips.
const LOOK_UP: Duration = Duration::from_secs(1);
/// The longest that the ledger goes without a row while no step is made.
const LEDGER_EVERY: Duration = Duration::from_secs(60);

/// Trains as a config says, and prints what came of it.
pub(crate) fn run(
    arguments: &crate::Run,
    listen: Option<SocketAddr>,
    fresh: bool,
    progress: &Progress,
) -> anyhow::Result<()> {
    let config = &arguments.load()?;
    let requests = signals::listen()?;
    let remote = config.storage.url.as_deref().map(Remote::open).transpose()?;
    let from = begin::look(config, fresh, remote.as_ref())?;
    if let From::Checkpoint(found) = &from
        && found.state.step >= config.model.train.steps
    {
        let (step, run) = (found.state.step, config.storage.dir.display());
        info!("{run} has done its {step} steps: raise model.train.steps to go on, or use --fresh");
        return remote.map_or(Ok(()), |it| begin::copy_done(config, found, it));
    }
    let begun = Instant::now();
    let mut run = Run::begin(arguments, config, (from, remote), listen, progress)?;
    let trained = run.train(&requests);
    run.line.finish();
    let taken = begun.elapsed();
    let ended = run.end(trained)?;
    if !progress.is_quiet() {
        print::out(&summary::text(config, &ended, taken))?;
    }
    ended.verdict()
}

struct Run<'a> {
    arguments: &'a crate::Run,
    config: &'a Config,
    run_id: String,
    device: model::Device,
    telemetry: Telemetry,
    trainer: Box<dyn Trainer>,
    store: Store,
    mirror: Option<Mirror>,
    ingest: Ingest,
    streams: Streams,
    ledger: Ledger,
    view: Option<View>,
    line: RunLine,
    step: u64,
    /// Steps that were done when it began.
    before: u64,
    /// Where the clips of the steps since the last reading of the loss came from.
    recent: VecDeque<Origin>,
    /// What the embeddings of late say of the weights.
    embedded: checkpoint::Recent,
    /// When the last checkpoint was written, or the run began.
    saved: Instant,
    /// The step of that checkpoint, or of the one that it went on from.
    saved_step: u64,
}

impl<'a> Run<'a> {
    fn begin(
        arguments: &'a crate::Run,
        config: &'a Config,
        (from, remote): (From, Option<Remote>),
        listen: Option<SocketAddr>,
        progress: &Progress,
    ) -> anyhow::Result<Self> {
        let device = config.device.open()?;
        let telemetry = Telemetry::load(&config.pipeline)?;
        let input = clips::input(&config.pipeline, telemetry.columns().len());
        let mut trainer = model::trainer(&config.model, input, config.seed, &device)?;
        if let Some(warning) = checkpoint::room::preflight(config, trainer.as_ref()) {
            warn!("{warning}");
        }
        let on = model::device_name(&device);
        let begun = begin::begin(config, from, remote, trainer.as_mut(), &on)?;
        let Begun { run_id, step, store, mirror, ingest, ledger, events } = begun;
        info!("training on {on}; the tables go to {}", config.storage.dir.display());
        let view = listen.map(|it| View::open(it, config, &ingest)).transpose()?;
        let run = Self {
            arguments,
            config,
            run_id,
            device,
            telemetry,
            trainer,
            store,
            mirror,
            ingest,
            streams: Streams::new(&config.pipeline),
            ledger,
            view,
            line: progress.run(step, config.model.train.steps),
            step,
            before: step,
            recent: VecDeque::new(),
            embedded: checkpoint::Recent::default(),
            saved: Instant::now(),
            saved_step: step,
        };
        run.store(events)?;
        Ok(run)
    }

    /// Steps until they are done, the streams have ended, or somebody interrupts.
    fn train(&mut self, requests: &Requests) -> anyhow::Result<()> {
        let mut watch = Stopwatch::start();
        let look_up = tick(LOOK_UP);
        let mut asked = Instant::now();
        while self.step < self.config.model.train.steps {
            if requests.stop.try_recv() == Err(TryRecvError::Disconnected) {
                info!("interrupted: saving after step {}", self.step);
                break;
            }
            select! {
                recv(self.ingest.batches()) -> batch => {
                    let Ok(batch) = batch else { break };
                    self.alive();
                    self.step(batch, asked.elapsed(), &mut watch)?;
                    let due = self.config.checkpoint.is_due(self.step, self.saved.elapsed());
                    // Its end writes one in any case.
                    if due && self.step < self.config.model.train.steps {
                        self.checkpoint()?;
                    }
                    asked = Instant::now();
                }
                recv(self.ingest.events()) -> event => {
                    let rows = event.into_iter().map(|it| self.take(it)).collect();
                    self.store(rows)?;
                }
                recv(requests.stop) -> _ => {}
                recv(requests.reload) -> _ => self.reload()?,
                recv(look_up) -> _ => self.look_up()?,
            }
        }
        Ok(())
    }

    /// Writes down where the run is, together with all rows until now, unless it has.
    fn checkpoint(&mut self) -> anyhow::Result<PathBuf> {
        let folder = checkpoint::path(&self.config.storage.dir, self.step);
        if self.saved_step == self.step {
            return Ok(folder);
        }
        self.trainer.check().map_err(|err| self.failed(err))?;
        self.store(vec![event("checkpoint", folder.display().to_string())])?;
        let parts = Parts {
            run_id: &self.run_id,
            step: self.step,
            config: self.config,
            standing: &self.ingest.standing(),
            ledger: self.ledger.totals(&self.streams),
            seal: self.store.seal()?,
            trainer: Some(self.trainer.as_ref()),
            rankme: self.config.checkpoint.keep_best.and_then(|_| self.embedded.rankme()),
        };
        let folder = checkpoint::write(&self.config.storage.dir, parts)?;
        checkpoint::prune(&self.config.storage.dir, &self.config.checkpoint)?;
        replay::forget(&self.config.storage.dir, self.step)?;
        if let Some(warning) = checkpoint::room::ahead(&folder) {
            warn!("{warning}");
            self.store(vec![event("warning", warning)])?;
        }
        (self.saved, self.saved_step) = (Instant::now(), self.step);
        Ok(folder)
    }
}
