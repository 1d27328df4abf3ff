//! Decodes files as fast as it can and prints what that took, as one JSON line.
//!
//! ```sh
//! cargo run --release -p pipeline --example throughput -- HEIGHT WIDTH FRAMES INTERVAL HOP FILE...
//! ```

use std::{env, error::Error, fs, io::Write, time::Instant};

use pipeline::{BatchConfig, ClipConfig, Config, SourceConfig, StreamConfig, start};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [height, width, frames, interval, hop, files @ ..] = &arguments[..] else {
        return Err("usage: throughput HEIGHT WIDTH FRAMES INTERVAL HOP FILE...".into());
    };
    let size = [height.parse()?, width.parse()?];
    let clip = ClipConfig::new(frames.parse()?, interval.parse()?);
    let clip = ClipConfig { hop: hop.parse()?, ..clip };
    let streams = files.iter().enumerate().map(|(idx, it)| stream(idx, it)).collect();
    let config = Config::new(size, clip, BatchConfig::new(8, 8), streams);
    let begin = Instant::now();
    let mut ingest = start(&config, 0)?;
    while let Ok(batch) = ingest.batches().recv() {
        ingest.trained(&batch.clips);
    }
    let reports = ingest.finish();
    let wall = begin.elapsed().as_secs_f64();
    let decoded: u64 = reports.iter().map(|it| it.counts.decoded).sum();
    let clips: u64 = reports.iter().map(|it| it.counts.clips).sum();
    for report in &reports {
        if !report.is_balanced() || !report.problems.is_empty() || report.counts.errors > 0 {
            return Err(format!("{report:?}").into());
        }
    }
    writeln!(
        std::io::stdout(),
        "{{\"frames_decoded\":{decoded},\"clips\":{clips},\"wall_s\":{wall:.3},\"cpu_s\":{:.3}}}",
        cpu_seconds()?
    )?;
    Ok(())
}

fn stream(idx: usize, path: &str) -> StreamConfig {
    StreamConfig::new(&idx.to_string(), SourceConfig::Files(path.into()))
}

/// CPU time of the whole process, user and system.
fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    // The name of the program comes before the last bracket and may hold spaces.
    let (_, fields) = stat.rsplit_once(')').ok_or("/proc/self/stat has no name")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
    Ok(ticks / 100.0)
}
