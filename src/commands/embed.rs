//! `onward embed`: any streams through the encoder of any checkpoint, to Parquet.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use crossbeam_channel::select;
use model::{Device, Embedder, Input, Tokens, Vectors};
use pipeline::{Batch, Ingest, Outcome, Standing, StreamReport};
use storage::{Record, Seal, Store};
use tracing::{info, warn};

use crate::Config;
use crate::process::signals::{self, Requests};
use crate::run::checkpoint::{self, Found, Parts, State};
use crate::run::ledger::Ledger;
use crate::run::streams::Streams;
use crate::run::telemetry::Telemetry;
use crate::run::{clips, records};
use crate::terminal::print::{self, count};
use crate::terminal::progress::{Progress, clock};

/// What to embed with, and where to.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    run: crate::Run,
    /// A checkpoint, as in runs/NAME/checkpoints/step-00000450.
    #[arg(long, value_name = "FOLDER")]
    checkpoint: PathBuf,
    /// Where the tables go; what was begun there goes on.
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// What of a frame's tokens: cls, mean, patches.
    #[arg(long, value_delimiter = ',', default_value = "cls", value_parser = tokens)]
    tokens: Vec<Tokens>,
    /// After which layers, counted from 1; by default the last.
    #[arg(long, value_delimiter = ',')]
    layers: Vec<usize>,
}

fn tokens(text: &str) -> Result<Tokens, String> {
    let all = [Tokens::Cls, Tokens::Mean, Tokens::Patches];
    let found = all.into_iter().find(|it| it.name() == text);
    found.ok_or_else(|| format!("{text:?} is none of cls, mean, patches"))
}

/// Embeds the first frame of every clip of the streams, each read once.
pub(crate) fn run(arguments: &Arguments, progress: &Progress) -> anyhow::Result<()> {
    let config = &config(arguments)?;
    let requests = signals::listen()?;
    let mut run = Run::begin(arguments, config)?;
    let begun = Instant::now();
    run.embed(&requests)?;
    let ended = run.end()?;
    if !progress.is_quiet() {
        print::out(&ended.text(config, begun.elapsed()))?;
    }
    ended.verdict()
}

/// The config of the streams, read once and in batches of which the last may be smaller.
fn config(arguments: &Arguments) -> anyhow::Result<Config> {
    let mut config = arguments.run.load()?;
    config.storage.dir.clone_from(&arguments.out);
    // It is the training's.
    config.storage.url = None;
    config.pipeline.batch.pool = 1;
    config.pipeline.batch.reuse = 0;
    config.pipeline.batch.remainder = true;
    config.pipeline.stream.iter_mut().for_each(|it| it.repeat = false);
    Ok(config)
}

struct Run<'a> {
    config: &'a Config,
    device: Device,
    telemetry: Telemetry,
    embedder: Embedder,
    kinds: &'a [Tokens],
    layers: Vec<usize>,
    /// Of which weights, and what of their tokens.
    identity: String,
    trained: State,
    store: Store,
    ingest: Ingest,
    streams: Streams,
    batches: u64,
    rows: u64,
    saved: Instant,
    /// Batches that are written down.
    saved_batches: u64,
}

struct Ended {
    rows: u64,
    reports: Vec<StreamReport>,
}

impl<'a> Run<'a> {
    fn begin(arguments: &'a Arguments, config: &'a Config) -> anyhow::Result<Self> {
        let folder = &arguments.checkpoint;
        checkpoint::verify(folder)
            .with_context(|| format!("{} is no whole checkpoint", folder.display()))?;
        let trained = checkpoint::read(folder)?;
        let device = config.device.open()?;
        let embedder = embedder(&trained, folder, &device)?;
        let mut layers = arguments.layers.clone();
        if layers.is_empty() {
            layers.push(embedder.layers());
        }
        let kinds: Vec<_> = arguments.tokens.iter().map(|it| it.name()).collect();
        let State { run_id, step, .. } = &trained;
        let identity = format!("{run_id} step {step} layers {layers:?} tokens {kinds:?}");
        let out = &config.storage.dir;
        let found = checkpoint::newest(out)?;
        let (store, ingest, batches) = open(config, &identity, found)?;
        info!("embedding on {}; the tables go to {}", model::device_name(&device), out.display());
        Ok(Self {
            config,
            device,
            telemetry: Telemetry::load(&config.pipeline)?,
            embedder,
            kinds: &arguments.tokens,
            layers,
            identity,
            trained,
            store,
            ingest,
            streams: Streams::new(&config.pipeline),
            batches,
            rows: 0,
            saved: Instant::now(),
            saved_batches: batches,
        })
    }

    fn embed(&mut self, requests: &Requests) -> anyhow::Result<()> {
        loop {
            select! {
                recv(self.ingest.batches()) -> batch => {
                    let Ok(batch) = batch else { return Ok(()) };
                    self.batch(batch)?;
                }
                // The table `events` is a training run's; a failure is in the stream's report.
                recv(self.ingest.events()) -> _ => {}
                recv(requests.stop) -> _ => {
                    info!("interrupted: the same command goes on from here");
                    return Ok(());
                }
            }
        }
    }

    fn batch(&mut self, mut batch: Batch) -> anyhow::Result<()> {
        let clips = clips::upload(&mut batch, &self.telemetry, &self.device);
        let vectors = self.embedder.embed(&clips, &self.layers, self.kinds)?;
        self.store.write(Record::Embeddings(self.record(&batch, vectors)))?;
        self.ingest.trained(&batch);
        self.batches += 1;
        self.rows += batch.clips.len() as u64;
        storage::fault::point("embed batch");
        if self.config.checkpoint.is_due(self.batches, self.saved.elapsed()) {
            self.save()?;
        }
        Ok(())
    }

    fn record(&self, batch: &Batch, vectors: Vec<Vectors>) -> storage::Embeddings {
        let State { run_id, step, .. } = &self.trained;
        let mut vectors = vectors.into_iter().zip(self.names());
        let (first, _) = vectors.next().expect("at least one kind of tokens");
        let others = vectors
            .map(|(Vectors { dim, values }, name)| storage::Vectors { name, dim, values })
            .collect();
        let encoder = format!("{run_id}, step {step}");
        let seen = records::seen(*step, encoder, (&self.streams, batch), first);
        storage::Embeddings { vectors: others, ..seen }
    }

    /// Names of the vectors as columns, as in `mean_12`; the first is the column `embedding`.
    fn names(&self) -> impl Iterator<Item = String> {
        let each = |layer: &usize| {
            let layer = *layer;
            self.kinds.iter().map(move |kind| format!("{}_{layer}", kind.name()))
        };
        self.layers.iter().flat_map(each)
    }

    /// Writes down where it is, together with all rows until now.
    fn save(&mut self) -> anyhow::Result<()> {
        let out = &self.config.storage.dir;
        let parts = Parts {
            run_id: &self.identity,
            step: self.batches,
            config: self.config,
            standing: &self.ingest.standing(),
            ledger: Default::default(),
            seal: self.store.seal()?,
            trainer: None,
            rankme: None,
        };
        checkpoint::write(out, parts)?;
        let last = checkpoint::Config { keep_last: 1, ..Default::default() };
        checkpoint::prune(out, &last)?;
        (self.saved, self.saved_batches) = (Instant::now(), self.batches);
        Ok(())
    }

    fn end(mut self) -> anyhow::Result<Ended> {
        if self.batches > self.saved_batches {
            self.save()?;
        }
        let reports = self.ingest.finish();
        for report in reports.iter().filter(|it| !it.is_balanced()) {
            warn!("stream {:?}: its frames do not add up: {report:?}", report.name);
        }
        // One row a stream with all that it came to; going on from here writes it anew.
        let totals = Ledger::default().last(self.batches, &reports);
        self.store.write(Record::Streams(totals))?;
        self.store.finish().context("the tables are incomplete")?;
        Ok(Ended { rows: self.rows, reports })
    }
}

/// The encoder that was trained, of its own size; frames of another one interpolate positions.
fn embedder(trained: &State, folder: &Path, device: &Device) -> anyhow::Result<Embedder> {
    let config: Config = toml::from_str(&trained.config)
        .with_context(|| format!("the config in {} cannot be read", folder.display()))?;
    let input = Input::frames(config.pipeline.size, config.pipeline.clip.frames);
    Ok(Embedder::load(&config.model, input, &folder.join("encoder.safetensors"), device)?)
}

/// Opens the tables and the streams, where they were left if they were begun.
fn open(
    config: &Config,
    identity: &str,
    found: Option<Found>,
) -> anyhow::Result<(Store, Ingest, u64)> {
    let run = storage::Run {
        name: config.run_name(),
        id: identity.to_owned(),
        config_hash: config.hash()?,
    };
    let Some(Found { folder, state, .. }) = found else {
        // Rows without a place to go on from were written by a run that was killed early.
        let store = storage::resume(&config.storage, &run, &Seal::default())?;
        return Ok((store, pipeline::start(&config.pipeline, config.seed)?, 0));
    };
    let out = config.storage.dir.display();
    if state.run_id != identity {
        bail!("{out} holds embeddings of {}: choose another --out", state.run_id);
    }
    let changes = checkpoint::changes::between(&state.config, &config.resolved()?)?;
    if let Some(change) = changes.iter().find(|it| !it.is_about("storage")) {
        bail!("{out} was begun with another config: {change}; choose another --out");
    }
    let standing: Standing = state.standing(&folder, config.pipeline.size)?;
    let store = storage::resume(&config.storage, &run, &state.parts)?;
    info!("going on after {} batches", state.step);
    Ok((store, pipeline::resume(&config.pipeline, config.seed, standing)?, state.step))
}

fn has_failed(report: &&StreamReport) -> bool {
    matches!(report.outcome, Outcome::Failed(_))
}

impl Ended {
    fn text(&self, config: &Config, taken: Duration) -> String {
        let seconds = taken.as_secs_f64().max(1e-9);
        let frames: u64 = self.reports.iter().map(|it| it.counts.decoded).sum();
        let (rows, frames) = (count(self.rows), count(frames));
        let a_second = self.rows as f64 / seconds;
        let failed = self.reports.iter().filter(has_failed);
        let failed: String = failed.map(|it| format!("{} FAILED, see above\n", it.name)).collect();
        format!(
            "\n{rows} embeddings in {}: {a_second:.1} a second; {frames} frames decoded in all\n\
             {failed}\ntables\n  {}/embeddings/*.parquet\n",
            clock(taken),
            config.storage.dir.display(),
        )
    }

    /// An error when no stream could be read.
    fn verdict(&self) -> anyhow::Result<()> {
        let all = self.reports.len();
        ensure!(
            self.reports.iter().filter(has_failed).count() < all,
            "no stream could be read: all {all} failed, see above"
        );
        Ok(())
    }
}
