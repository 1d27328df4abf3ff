//! Decodes files as fast as it can and prints the cost as one JSON line.
//!
//! ```sh
//! cargo run --release -p pipeline --example throughput -- HEIGHT WIDTH FRAMES INTERVAL HOP FILE...
//! ```
//!
//! With `--gop-start` in front, only the beginning of each GOP is decoded. With `--isolate` in
//! front, decoding runs in worker processes, whose time is included.

use std::{env, error::Error, fs, io::Write, time::Instant};

use pipeline::{BatchConfig, ClipConfig, Config, Sample, SourceConfig, StreamConfig, start};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments: Vec<String> = env::args().skip(1).collect();
    if arguments == ["decode-worker"] {
        return Ok(pipeline::decode_worker()?);
    }
    let mut flag = |name: &str| {
        let given = arguments.first().is_some_and(|it| it == name);
        arguments.drain(..usize::from(given));
        given
    };
    let (isolate, gop_start) = (flag("--isolate"), flag("--gop-start"));
    let sample = if gop_start { Sample::GopStart } else { Sample::Dense };
    let [height, width, frames, interval, hop, files @ ..] = &arguments[..] else {
        return Err(
            "usage: throughput [--isolate] [--gop-start] HEIGHT WIDTH FRAMES INTERVAL HOP FILE..."
                .into(),
        );
    };
    let size = [height.parse()?, width.parse()?];
    let clip = ClipConfig::new(frames.parse()?, interval.parse()?);
    let clip = ClipConfig { hop: hop.parse()?, ..clip };
    let streams = files.iter().enumerate().map(|(idx, it)| stream(idx, it, sample)).collect();
    let mut config = Config::new(size, clip, BatchConfig::new(8, 8), streams);
    config.isolate = isolate;
    let begin = Instant::now();
    let mut ingest = start(&config, 0)?;
    while let Ok(batch) = ingest.batches().recv() {
        ingest.trained(&batch);
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

fn stream(idx: usize, path: &str, sample: Sample) -> StreamConfig {
    let source = SourceConfig::Files(path.into());
    StreamConfig { sample, ..StreamConfig::new(&idx.to_string(), source) }
}

/// CPU time of the whole process and of its children that have ended, user and system.
fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    // The name of the program may hold spaces; it ends at the last bracket.
    let (_, fields) = stat.rsplit_once(')').ok_or("/proc/self/stat has no name")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = fields[11..15].iter().map(|it| it.parse::<f64>()).sum::<Result<f64, _>>()?;
    Ok(ticks / 100.0)
}
