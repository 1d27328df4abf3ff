//! `onward train`: streams in, tables and weights out.

use std::collections::VecDeque;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, bail};
use crossbeam_channel::{TryRecvError, select, tick};
use model::{Report, Trainer};
use pipeline::{Batch, ClipInfo, Event, Ingest, Outcome, StreamReport};
use storage::{EventRow, Events, Record, Store, TableSummary};
use tracing::{debug, info, warn};

use crate::interrupt::Requests;
use crate::ledger::Ledger;
use crate::progress::{Progress, RunLine};
use crate::reports::{self, Stopwatch};
use crate::streams::Streams;
use crate::telemetry::Telemetry;
use crate::view::View;
use crate::{Config, clips, environment, interrupt, print, summary};

/// How often a run looks up while it waits for clips.
const LOOK_UP: Duration = Duration::from_secs(1);
/// The longest that the ledger goes without a row while no step is made.
const LEDGER_EVERY: Duration = Duration::from_secs(60);

/// Trains as a config says, and prints what came of it.
pub(crate) fn run(
    arguments: &crate::Run,
    listen: Option<SocketAddr>,
    progress: &Progress,
) -> anyhow::Result<()> {
    let config = &arguments.load()?;
    let requests = interrupt::listen()?;
    let device = config.device.open()?;
    let telemetry = Telemetry::load(&config.pipeline)?;
    let input = clips::input(&config.pipeline, telemetry.columns().len());
    let trainer = model::trainer(&config.model, input, config.seed, &device)?;
    let store = storage::start(&config.storage, &config.run_name())?;
    environment::write(config, &model::device_name(&device))?;
    let on = model::device_name(&device);
    info!("training on {on}; the tables go to {}", config.storage.dir.display());

    let ingest = pipeline::start(&config.pipeline, config.seed)?;
    let view = listen.map(|it| View::open(it, config, &ingest)).transpose()?;
    let line = progress.run(config.model.train.steps);
    let mut run = Run {
        arguments,
        config,
        device,
        telemetry,
        trainer,
        store,
        ingest,
        streams: Streams::new(&config.pipeline),
        ledger: Ledger::default(),
        view,
        line,
        step: 0,
        recent: VecDeque::new(),
    };
    let begun = Instant::now();
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
    device: model::Device,
    telemetry: Telemetry,
    trainer: Box<dyn Trainer>,
    store: Store,
    ingest: Ingest,
    streams: Streams,
    ledger: Ledger,
    view: Option<View>,
    line: RunLine,
    step: u64,
    /// Where the clips of the steps since the last reading of the loss came from.
    recent: VecDeque<Origin>,
}

/// A step and the clips that it trained on.
struct Origin {
    step: u64,
    clips: Vec<ClipInfo>,
    times: Vec<f64>,
}

/// What a run left behind.
pub(crate) struct Ended {
    pub(crate) steps: u64,
    pub(crate) streams: Vec<StreamReport>,
    pub(crate) tables: Vec<TableSummary>,
    pub(crate) checkpoint: Option<PathBuf>,
}

impl Run<'_> {
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

    /// Reads the list of streams again. A config that is wrong changes nothing.
    fn reload(&mut self) -> anyhow::Result<()> {
        let rows = match self.arguments.load() {
            Ok(config) => self.streams.follow(&config, &mut self.ingest, &mut self.telemetry),
            Err(err) => {
                warn!("the streams stay as they are: {err:#}");
                vec![event("streams", format!("the config cannot be read again: {err:#}"))]
            }
        };
        if rows.is_empty() {
            info!("the config was read again: its streams are those that run");
        }
        self.store(rows)
    }

    /// Stores what happened, and a row of the ledger when none was written for long.
    fn look_up(&mut self) -> anyhow::Result<()> {
        self.take_events()?;
        if let Some(view) = &mut self.view {
            view.refresh(&self.streams, &self.ingest.snapshot());
        }
        if self.ledger.age() > LEDGER_EVERY {
            self.write_ledger()?;
        }
        Ok(())
    }

    fn take_events(&mut self) -> anyhow::Result<()> {
        let events: Vec<Event> = self.ingest.events().try_iter().collect();
        let rows = events.into_iter().map(|it| self.take(it)).collect();
        self.store(rows)
    }

    fn take(&mut self, event: Event) -> EventRow {
        if let Some(view) = &mut self.view {
            view.note(self.streams.name(event.stream), &event);
        }
        self.streams.take(event)
    }

    fn store(&self, rows: Vec<EventRow>) -> anyhow::Result<()> {
        if !rows.is_empty() {
            self.store.write(Record::Events(Events { step: self.step, rows }))?;
        }
        Ok(())
    }

    fn write_ledger(&mut self) -> anyhow::Result<()> {
        let rows = self.ledger.running(self.step, &self.streams, &self.ingest.snapshot());
        Ok(self.store.write(Record::Streams(rows))?)
    }

    fn step(
        &mut self,
        mut batch: Batch,
        waited: Duration,
        watch: &mut Stopwatch,
    ) -> anyhow::Result<()> {
        let config = self.config;
        self.step += 1;
        let step = self.step;
        let log =
            step.is_multiple_of(config.log_every) || step == 1 || step == config.model.train.steps;
        let embed = config.embed_every > 0 && step.is_multiple_of(config.embed_every);
        self.remember(&batch);
        if let Some(view) = &mut self.view {
            view.picture(&batch);
        }
        let clips = clips::upload(&mut batch, &self.telemetry, &self.device);
        // Before the step: the embeddings and the losses of a row are of the same weights.
        let embedded = embed.then(|| self.trainer.embed(&clips));
        let report = match self.trainer.step(&clips, log || embed) {
            Err(err @ model::Error::Diverged { .. }) => return Err(self.diverged(err)),
            other => other?,
        };
        self.ingest.trained(&batch.clips);
        self.ledger.trained(&batch.clips);
        self.line.advance(step);
        self.alive();
        watch.step(&batch, waited);
        let Some(report) = report else { return Ok(()) };
        if let Some(embedded) = embedded {
            let record = reports::embeddings(step, &self.streams, &batch, embedded, &report);
            self.store.write(record)?;
        }
        self.report(&report, watch)
    }

    /// Stores and shows what the last step measured, and what the streams did until then.
    fn report(&mut self, report: &Report, watch: &mut Stopwatch) -> anyhow::Result<()> {
        self.recent.clear();
        let step = self.step;
        let loss = report.values.first().map_or(f32::NAN, |it| it.1);
        let (pace, step_seconds) = watch.lap(loss);
        self.store.write(reports::metrics(step, report, pace, step_seconds))?;
        if let Some(view) = &mut self.view {
            view.learn(step, report, pace, step_seconds);
        }
        self.take_events()?;
        self.write_ledger()?;
        self.line.show(step, pace);
        for warning in &report.warnings {
            warn!("step {step}: {}", warning.message);
        }
        let warnings = report.warnings.iter().map(|it| event("warning", it.message.clone()));
        self.store(warnings.collect())?;
        debug!("step {step}: {:?}", report.values);
        Ok(())
    }

    /// Tells those who watch that the trainer works.
    fn alive(&self) {
        if let Some(view) = &self.view {
            view.alive(self.step);
        }
    }

    fn remember(&mut self, batch: &Batch) {
        let Batch { clips, times, .. } = batch;
        let (clips, times) = (clips.clone(), times.clone());
        self.recent.push_back(Origin { step: self.step, clips, times });
    }

    /// Saves the weights and where the clips of the last steps came from.
    fn diverged(&self, err: model::Error) -> anyhow::Error {
        let folder = self.config.storage.dir.join(format!("diverged/step-{:08}", self.step));
        let saved = fs::create_dir_all(&folder)
            .map_err(anyhow::Error::new)
            .and_then(|()| Ok(self.trainer.save(&folder)?))
            .and_then(|()| Ok(fs::write(folder.join("clips.json"), self.origins())?));
        let err = anyhow::Error::new(err);
        match saved {
            Ok(()) => err.context(format!(
                "training diverged; {} holds the weights and the origin of the last clips",
                folder.display()
            )),
            Err(why) => err.context(format!("training diverged, and saving it failed: {why:#}")),
        }
    }

    fn origins(&self) -> String {
        let steps = self.recent.iter().flat_map(|origin| {
            let frames = origin.times.len() / origin.clips.len().max(1);
            let times = origin.times.chunks(frames.max(1));
            origin.clips.iter().zip(times).map(|(clip, times)| {
                serde_json::json!({
                    "step": origin.step, "stream": self.streams.name(clip.stream),
                    "item": &*clip.item, "pass": clip.pass, "times": times,
                })
            })
        });
        serde_json::Value::from_iter(steps).to_string()
    }

    /// Stops the streams, and writes what is left to write, whatever ended the training: a disk
    /// that is too full for the tables need not cost the weights.
    fn end(self, trained: anyhow::Result<()>) -> anyhow::Result<Ended> {
        let Self { config, trainer, store, ingest, ledger, mut streams, step, .. } = self;
        let events = ingest.events().clone();
        let reports = ingest.finish();
        for report in reports.iter().filter(|it| !it.is_balanced()) {
            warn!("stream {:?}: its frames do not add up: {report:?}", report.name);
        }
        let rows = store.write(Record::Streams(ledger.last(step, &reports)));
        let last = events.try_iter().map(|it| streams.take(it)).collect();
        let last = store.write(Record::Events(Events { step, rows: last }));
        let tables = store.finish().context("the tables are incomplete");
        // Weights that nothing was learned into, or that are no numbers, are worth no file.
        let worth = step > 0 && !trained.as_ref().is_err_and(is_divergence);
        let saved = worth.then(|| checkpoint(config, step, trainer.as_ref())).transpose();
        // The writer's own error says why writing to it failed, so it goes first.
        if let Err(err) = trained
            && !is_stopped(&err)
        {
            return Err(err);
        }
        let tables = tables?;
        rows.and(last)?;
        Ok(Ended { steps: step, streams: reports, tables, checkpoint: saved? })
    }
}

/// Something that happened to the run and not to a stream.
fn event(kind: &str, message: String) -> EventRow {
    EventRow {
        time: SystemTime::now(),
        kind: kind.to_owned(),
        stream: None,
        state: None,
        epoch: None,
        message,
    }
}

fn checkpoint(config: &Config, step: u64, trainer: &dyn Trainer) -> anyhow::Result<PathBuf> {
    let folder = config.storage.dir.join(format!("checkpoints/step-{step:08}"));
    fs::create_dir_all(&folder)
        .with_context(|| format!("could not create {}", folder.display()))?;
    trainer.save(&folder)?;
    Ok(folder)
}

fn is_divergence(err: &anyhow::Error) -> bool {
    matches!(err.downcast_ref(), Some(model::Error::Diverged { .. }))
}

/// Whether the writer thread ended first; then it knows why.
fn is_stopped(err: &anyhow::Error) -> bool {
    matches!(err.downcast_ref(), Some(storage::Error::Stopped))
}

impl Ended {
    /// An error when nothing was learned, or no stream is left because all failed.
    fn verdict(&self) -> anyhow::Result<()> {
        let failed = |it: &StreamReport| matches!(it.outcome, Outcome::Failed(_));
        if self.streams.iter().all(failed) {
            bail!("no stream is left: all {} failed, see above", self.streams.len());
        }
        if self.steps == 0 && self.streams.iter().all(|it| it.outcome != Outcome::Stopped) {
            bail!("the streams ended before they filled one batch; lower pipeline.batch.clips");
        }
        Ok(())
    }
}
