//! `onward embed`: the embeddings of any streams by the encoder of any checkpoint, as Parquet.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use crossbeam_channel::select;
use model::{Device, Embedder, Input, Tokens, VectorBatch};
use pipeline::{Batch, Ingest, StreamEnd, StreamReport};
use storage::{Record, Store, Watermark};
use tracing::{info, warn};

use crate::Config;
use crate::commands::ConfigArguments;
use crate::process::signals::{self, Requests};
use crate::run::checkpoint::{self, Checkpoint, CheckpointState, Contents};
use crate::run::ledger::Ledger;
use crate::run::streams::Streams;
use crate::run::telemetry::Telemetry;
use crate::run::{clips, records};
use crate::terminal::Terminal;
use crate::terminal::print::{self, count};
use crate::terminal::progress::clock;

/// What to embed, and where to write it.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    config: ConfigArguments,
    /// A checkpoint, as in runs/NAME/checkpoints/step-00000450.
    #[arg(long, value_name = "FOLDER")]
    checkpoint: PathBuf,
    /// Folder to write the tables into. Repeating an interrupted command continues there.
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// Which of a frame's tokens to store: cls, mean, patches.
    #[arg(long, value_delimiter = ',', default_value = "cls", value_parser = parse_tokens)]
    tokens: Vec<Tokens>,
    /// Layers whose output is stored, counted from 1; by default the last.
    #[arg(long, value_delimiter = ',')]
    layers: Vec<usize>,
}

fn parse_tokens(text: &str) -> Result<Tokens, String> {
    let all = [Tokens::Cls, Tokens::Mean, Tokens::Patches];
    let tokens = all.into_iter().find(|tokens| tokens.name() == text);
    tokens.ok_or_else(|| format!("{text:?} is not one of cls, mean, patches"))
}

/// Embeds the first frame of every clip of the streams, each read once.
pub(crate) fn run(arguments: &Arguments, terminal: &Terminal) -> anyhow::Result<()> {
    let requests = signals::listen()?;
    let config = &load_config(arguments)?;
    let mut embedding = Embedding::start(arguments, config)?;
    let start = Instant::now();
    embedding.embed(&requests)?;
    let result = embedding.finish()?;
    if !terminal.is_quiet() {
        print::out(&result.text(config, start.elapsed()))?;
    }
    result.check()
}

/// The config with every stream read once, and a last batch that may be smaller.
fn load_config(arguments: &Arguments) -> anyhow::Result<Config> {
    let mut config = arguments.config.load()?;
    config.storage.dir.clone_from(&arguments.out);
    // The object store is that of the training.
    config.storage.url = None;
    config.pipeline.batch.pool = 1;
    config.pipeline.batch.reuse = 0;
    config.pipeline.batch.remainder = true;
    config.pipeline.stream.iter_mut().for_each(|stream| stream.repeat = false);
    Ok(config)
}

/// The command while it runs.
struct Embedding<'a> {
    config: &'a Config,
    device: Device,
    telemetry: Telemetry,
    embedder: Embedder,
    tokens: &'a [Tokens],
    layers: Vec<usize>,
    /// Names the weights, the layers and the tokens. Rows of another identity are not mixed in.
    identity: String,
    trained: CheckpointState,
    store: Store,
    ingest: Ingest,
    streams: Streams,
    batches: u64,
    rows: u64,
    saved: Instant,
    /// Batches at the last checkpoint.
    saved_batches: u64,
}

struct EmbeddingResult {
    rows: u64,
    reports: Vec<StreamReport>,
}

impl<'a> Embedding<'a> {
    fn start(arguments: &'a Arguments, config: &'a Config) -> anyhow::Result<Self> {
        let folder = &arguments.checkpoint;
        checkpoint::verify(folder)
            .with_context(|| format!("{} is not an intact checkpoint", folder.display()))?;
        let trained = checkpoint::read(folder)?;
        let device = config.device.open()?;
        let embedder = load_embedder(&trained, folder, &device)?;
        let mut layers = arguments.layers.clone();
        if layers.is_empty() {
            layers.push(embedder.layers());
        }
        let tokens: Vec<_> = arguments.tokens.iter().map(|tokens| tokens.name()).collect();
        let CheckpointState { run_id, step, .. } = &trained;
        let identity = format!("{run_id} step {step} layers {layers:?} tokens {tokens:?}");
        let out = &config.storage.dir;
        let (store, ingest, batches) = open(config, &identity, checkpoint::newest(out)?)?;
        let device_name = model::device_name(&device);
        info!("embedding on {device_name}; the tables go to {}", out.display());
        Ok(Self {
            config,
            device,
            telemetry: Telemetry::load(&config.pipeline)?,
            embedder,
            tokens: &arguments.tokens,
            layers,
            identity,
            trained,
            store,
            ingest,
            streams: Streams::new(&config.pipeline.stream),
            batches,
            rows: 0,
            saved: Instant::now(),
            saved_batches: batches,
        })
    }

    /// Embeds until the streams have ended or a signal asks to stop.
    fn embed(&mut self, requests: &Requests) -> anyhow::Result<()> {
        loop {
            select! {
                recv(self.ingest.batches()) -> batch => {
                    let Ok(batch) = batch else { return Ok(()) };
                    self.embed_batch(batch)?;
                }
                // Only a training run has the table `events`. A failure is in the stream's report.
                recv(self.ingest.events()) -> _ => {}
                recv(requests.stop) -> _ => {
                    info!("interrupted: the same command resumes from here");
                    return Ok(());
                }
            }
        }
    }

    fn embed_batch(&mut self, mut batch: Batch) -> anyhow::Result<()> {
        let clips = clips::upload(&mut batch, &self.telemetry, &self.device);
        let vectors = self.embedder.embed(&clips, &self.layers, self.tokens)?;
        self.store.write(Record::Embeddings(self.record(&batch, vectors)))?;
        self.ingest.trained(&batch);
        self.batches += 1;
        self.rows += batch.clips.len() as u64;
        storage::disk::fault::point("embed batch");
        if self.config.checkpoint.is_due(self.batches, self.saved.elapsed()) {
            self.write_checkpoint()?;
        }
        Ok(())
    }

    fn record(&self, batch: &Batch, vectors: Vec<VectorBatch>) -> storage::Embeddings {
        let CheckpointState { run_id, step, .. } = &self.trained;
        let mut vectors = vectors.into_iter().zip(self.column_names());
        let (first, _) = vectors.next().expect("at least one kind of tokens");
        let others = vectors
            .map(|(VectorBatch { dim, values }, name)| storage::VectorColumn { name, dim, values })
            .collect();
        let encoder = format!("{run_id}, step {step}");
        let rows = records::embeddings(*step, encoder, (&self.streams, batch), first);
        storage::Embeddings { vectors: others, ..rows }
    }

    /// Columns of the vectors, as in `mean_12`. The first vector has the column `embedding`.
    fn column_names(&self) -> impl Iterator<Item = String> {
        self.layers.iter().flat_map(|layer| {
            self.tokens.iter().map(move |tokens| format!("{}_{layer}", tokens.name()))
        })
    }

    /// Writes a checkpoint with all rows until now.
    fn write_checkpoint(&mut self) -> anyhow::Result<()> {
        let out = &self.config.storage.dir;
        let contents = Contents {
            run_id: &self.identity,
            step: self.batches,
            config: self.config.resolve()?,
            streams: &self.ingest.resume_state(),
            totals: Default::default(),
            watermark: self.store.sync()?,
            trainer: None,
            rankme: None,
        };
        checkpoint::write(out, contents)?;
        let only_last = checkpoint::Config { keep_last: 1, ..Default::default() };
        checkpoint::prune(out, &only_last)?;
        (self.saved, self.saved_batches) = (Instant::now(), self.batches);
        Ok(())
    }

    fn finish(mut self) -> anyhow::Result<EmbeddingResult> {
        if self.batches > self.saved_batches {
            self.write_checkpoint()?;
        }
        let reports = self.ingest.finish();
        for report in reports.iter().filter(|report| !report.is_balanced()) {
            warn!("stream {:?}: its frames do not add up: {report:?}", report.name);
        }
        // One row per stream with all its counters. A command that resumes replaces it.
        let totals = Ledger::default().last_rows(self.batches, &reports);
        self.store.write(Record::Streams(totals))?;
        self.store.finish().context("the tables are incomplete")?;
        Ok(EmbeddingResult { rows: self.rows, reports })
    }
}

/// The encoder of a checkpoint. Positions are interpolated for frames of another size.
fn load_embedder(
    trained: &CheckpointState,
    folder: &Path,
    device: &Device,
) -> anyhow::Result<Embedder> {
    let config: Config = toml::from_str(&trained.config)
        .with_context(|| format!("the config in {} cannot be read", folder.display()))?;
    let input = Input::frames(config.pipeline.size, config.pipeline.clip.frames);
    Ok(Embedder::load(&config.model, input, &folder.join("encoder.safetensors"), device)?)
}

/// Opens the tables and the streams, where an interrupted command left them.
fn open(
    config: &Config,
    identity: &str,
    checkpoint: Option<Checkpoint>,
) -> anyhow::Result<(Store, Ingest, u64)> {
    let resolved = config.resolve()?;
    let run = storage::RunIdentity {
        name: config.run_name(),
        id: identity.to_owned(),
        config_hash: resolved.hash,
    };
    let Some(Checkpoint { folder, state, .. }) = checkpoint else {
        // Rows without a checkpoint are of a command that was killed early.
        let store = storage::resume(&config.storage, &run, &Watermark::default())?;
        return Ok((store, pipeline::start(&config.pipeline, config.seed)?, 0));
    };
    let out = config.storage.dir.display();
    if state.run_id != identity {
        bail!("{out} holds embeddings of {}: choose another --out", state.run_id);
    }
    let changes = checkpoint::changes::between(&state.config, &resolved.text)?;
    if let Some(change) = changes.iter().find(|change| !change.is_within("storage")) {
        bail!("{out} was started with another config: {change}; choose another --out");
    }
    let streams = state.resume_streams(&folder, config.pipeline.size)?;
    let store = storage::resume(&config.storage, &run, &state.watermark)?;
    info!("resuming after {} batches", state.step);
    Ok((store, pipeline::resume(&config.pipeline, config.seed, streams)?, state.step))
}

fn has_failed(report: &&StreamReport) -> bool {
    matches!(report.end, StreamEnd::Failed(_))
}

impl EmbeddingResult {
    fn text(&self, config: &Config, duration: Duration) -> String {
        let seconds = duration.as_secs_f64().max(1e-9);
        let frames: u64 = self.reports.iter().map(|report| report.counts.decoded).sum();
        let (rows, frames) = (count(self.rows), count(frames));
        let per_second = self.rows as f64 / seconds;
        let failed = self.reports.iter().filter(has_failed);
        let failed: String =
            failed.map(|report| format!("{} FAILED, see above\n", report.name)).collect();
        format!(
            "\n{rows} embeddings in {}, {per_second:.1} per second, from {frames} decoded frames\n\
             {failed}\ntables\n  {}/embeddings/*.parquet\n",
            clock(duration),
            config.storage.dir.display(),
        )
    }

    /// An error when no stream could be read.
    fn check(&self) -> anyhow::Result<()> {
        let all = self.reports.len();
        ensure!(
            self.reports.iter().filter(has_failed).count() < all,
            "no stream could be read: all {all} failed, see above"
        );
        Ok(())
    }
}
