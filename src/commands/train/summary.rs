//! The last thing that a run prints: where its results are, and what each stream gave.

use std::fmt::Write as _;
use std::time::Duration;

use pipeline::{FrameOutcome, StreamCounter, StreamEnd, StreamReport};

use super::Ended;
use crate::Config;
use crate::terminal::print::{bytes, count};
use crate::terminal::progress::clock;

/// The summary as text.
pub(crate) fn text(config: &Config, ended: &Ended, taken: Duration) -> String {
    let done = match ended.before {
        0 => format!("{} steps", count(ended.steps)),
        before => format!("{} steps, {} of them", count(ended.steps), count(ended.steps - before)),
    };
    let mut text = format!("\n{done} in {}\n\nstreams\n", clock(taken));
    for report in &ended.streams {
        stream(&mut text, report);
    }
    let written: Vec<_> = ended.tables.iter().filter(|it| it.rows > 0).collect();
    let folder = config.storage.dir.display();
    text.push_str("\ntables\n");
    for table in &written {
        let (rows, size) = (count(table.rows), bytes(table.bytes));
        let path = format!("{folder}/{}/*.parquet", table.table);
        writeln!(text, "  {path}  {rows} rows, {size} in {} parts", table.parts).ok();
    }
    if let Some(url) = &config.storage.url {
        writeln!(text, "  and in {url}").ok();
    }
    if let Some(checkpoint) = &ended.checkpoint {
        writeln!(text, "\nweights\n  {}/encoder.safetensors", checkpoint.display()).ok();
    }
    if written.iter().any(|it| it.table == "metrics") {
        writeln!(text, "\na query to try\n  duckdb -c \"{}\"", query(&folder.to_string())).ok();
    }
    text
}

fn stream(text: &mut String, report: &StreamReport) {
    let StreamReport { name, end, counts, problems } = report;
    let end = match end {
        StreamEnd::Ended => "ended".into(),
        StreamEnd::Stopped => "stopped".into(),
        StreamEnd::Failed(why) => {
            let itself = format!("stream {name:?}: ");
            format!("FAILED: {}", why.strip_prefix(&itself).unwrap_or(why))
        }
    };
    let (decoded, clips) = (count(counts.decoded), count(counts.clips));
    writeln!(text, "  {name}: {end}; {decoded} frames decoded, {clips} clips cut").ok();
    let frames = FrameOutcome::ALL.iter().map(|it| (it.description(), counts.frames(*it)));
    if let Some(frames) = listed(frames) {
        writeln!(text, "    frames: {frames}").ok();
    }
    let others = StreamCounter::ALL.iter().filter(|it| **it != StreamCounter::Clips);
    if let Some(others) = listed(others.map(|it| (it.description(), counts.counter(*it)))) {
        writeln!(text, "    {others}").ok();
    }
    for problem in problems {
        writeln!(text, "    {problem}").ok();
    }
}

/// The numbers that are not 0, each before what it counts; none when all are 0.
fn listed(numbers: impl Iterator<Item = (&'static str, u64)>) -> Option<String> {
    let numbers = numbers.filter(|it| it.1 > 0);
    let parts: Vec<_> = numbers.map(|(what, number)| format!("{} {what}", count(number))).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// The loss and the copy ratio over the run.
fn query(folder: &str) -> String {
    format!(
        "SELECT step, name, round(value, 4) AS value FROM '{folder}/metrics/*.parquet' \
         WHERE name IN ('loss', 'copy_ratio') ORDER BY step DESC LIMIT 10"
    )
}
