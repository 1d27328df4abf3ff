//! `onward train`: streams in, tables and weights out.

mod checkpoints;
mod events;
mod finish;
mod start;
mod step;
mod summary;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crossbeam_channel::{TryRecvError, select, tick};
use model::Trainer;
use pipeline::Ingest;
use storage::{Mirror, Remote, Store};
use tracing::{info, warn};

use crate::Config;
use crate::commands::ConfigArguments;
use crate::process::signals::{self, Requests};
use crate::run::checkpoint::{self, RecentEmbeddings};
use crate::run::clips;
use crate::run::ledger::Ledger;
use crate::run::streams::Streams;
use crate::run::telemetry::Telemetry;
use crate::run::throughput::ThroughputMeter;
use crate::serve::view::View;
use crate::terminal::progress::ProgressLine;
use crate::terminal::{Terminal, print};

use start::{Origin, Started};
use step::StepClips;

/// How often a run stores events and updates its page while no batch comes.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// The longest time between two rows of a stream while no step is made.
const LEDGER_EVERY: Duration = Duration::from_secs(60);

/// Which run to train, and how to show it.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    config: ConfigArguments,
    /// Serve the state of the run over HTTP: a page at /, and /metrics, /healthz and /readyz. There
    /// is no password: choose an address that only trusted users can reach.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Start over: a run that exists already is moved to another folder.
    #[arg(long)]
    fresh: bool,
}

/// Trains as the config says, and prints a summary.
pub(crate) fn run(arguments: &Arguments, terminal: &Terminal) -> anyhow::Result<()> {
    let requests = signals::listen()?;
    let config = &arguments.config.load()?;
    let remote = config.storage.url.as_deref().map(Remote::open).transpose()?;
    let origin = start::find(config, arguments.fresh, remote.as_ref())?;
    if let Origin::Checkpoint(checkpoint) = &origin
        && checkpoint.state.step >= config.model.train.steps
    {
        let (step, run) = (checkpoint.state.step, config.storage.dir.display());
        info!(
            "{run} has done its {step} steps: raise model.train.steps, or start over with --fresh"
        );
        return remote.map_or(Ok(()), |remote| start::upload(config, checkpoint, remote));
    }
    let start = Instant::now();
    let mut training = Training::start(arguments, config, (origin, remote), terminal)?;
    let trained = training.train(&requests);
    training.progress.finish();
    let duration = start.elapsed();
    let result = training.finish(trained)?;
    if !terminal.is_quiet() {
        print::out(&summary::text(config, &result, duration))?;
    }
    result.check()
}

/// A run while it trains.
struct Training<'a> {
    arguments: &'a ConfigArguments,
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
    progress: ProgressLine,
    step: u64,
    /// Steps that were done when it started.
    first_step: u64,
    /// The clips of the steps since the last reading of the losses.
    recent_clips: VecDeque<StepClips>,
    /// Embeddings by which checkpoints are compared.
    recent_embeddings: RecentEmbeddings,
    /// When the last checkpoint was written, or the run started.
    saved: Instant,
    /// The step of the last checkpoint, or of the one that it resumed from.
    saved_step: u64,
}

impl<'a> Training<'a> {
    fn start(
        arguments: &'a Arguments,
        config: &'a Config,
        (origin, remote): (Origin, Option<Remote>),
        terminal: &Terminal,
    ) -> anyhow::Result<Self> {
        let device = config.device.open()?;
        let telemetry = Telemetry::load(&config.pipeline)?;
        let input = clips::input(&config.pipeline, telemetry.columns().len());
        let mut trainer = model::trainer(&config.model, input, config.seed, &device)?;
        let folder = &config.storage.dir;
        if let Some(warning) = checkpoint::free_space::warn_before_start(
            folder,
            &config.checkpoint,
            &config.pipeline,
            trainer.as_ref(),
        ) {
            warn!("{warning}");
        }
        let device_name = model::device_name(&device);
        let started = start::open(config, origin, remote, trainer.as_mut(), &device_name)?;
        let Started { run_id, step, store, mirror, ingest, ledger, events } = started;
        info!("training on {device_name}; the tables go to {}", folder.display());
        let view = arguments.listen.map(|address| View::open(address, config, &ingest));
        let training = Self {
            arguments: &arguments.config,
            config,
            run_id,
            device,
            telemetry,
            trainer,
            store,
            mirror,
            ingest,
            streams: Streams::new(&config.pipeline.stream),
            ledger,
            view: view.transpose()?,
            progress: terminal.progress(step, config.model.train.steps),
            step,
            first_step: step,
            recent_clips: VecDeque::new(),
            recent_embeddings: RecentEmbeddings::default(),
            saved: Instant::now(),
            saved_step: step,
        };
        training.store_events(events)?;
        Ok(training)
    }

    /// Trains until the steps are done, the streams have ended, or a signal asks to stop.
    fn train(&mut self, requests: &Requests) -> anyhow::Result<()> {
        let mut meter = ThroughputMeter::start();
        let heartbeat = tick(HEARTBEAT);
        let mut waiting_since = Instant::now();
        while self.step < self.config.model.train.steps {
            if requests.stop.try_recv() == Err(TryRecvError::Disconnected) {
                info!("interrupted: saving after step {}", self.step);
                break;
            }
            select! {
                recv(self.ingest.batches()) -> batch => {
                    let Ok(batch) = batch else { break };
                    self.mark_active();
                    self.step(batch, waiting_since.elapsed(), &mut meter)?;
                    let is_due = self.config.checkpoint.is_due(self.step, self.saved.elapsed());
                    // The last step has a checkpoint in any case.
                    if is_due && self.step < self.config.model.train.steps {
                        self.write_checkpoint()?;
                    }
                    waiting_since = Instant::now();
                }
                recv(self.ingest.events()) -> event => {
                    let rows = event.into_iter().map(|event| self.apply(event)).collect();
                    self.store_events(rows)?;
                }
                recv(requests.stop) -> _ => {}
                recv(requests.reload) -> _ => self.reload()?,
                recv(heartbeat) -> _ => self.heartbeat()?,
            }
        }
        Ok(())
    }
}
