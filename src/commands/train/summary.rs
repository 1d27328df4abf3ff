//! What a run prints at its end: its streams, its tables and its weights.

use std::fmt::Write as _;
use std::time::Duration;

use pipeline::{FrameOutcome, StreamCounter, StreamEnd, StreamReport};

use super::finish::TrainingResult;
use crate::Config;
use crate::terminal::print::{bytes, count};
use crate::terminal::progress::clock;

/// The summary as text.
pub(crate) fn text(config: &Config, result: &TrainingResult, duration: Duration) -> String {
    let steps = count(result.steps);
    let done = match result.first_step {
        0 => format!("{steps} steps"),
        first => format!("{steps} steps, {} of them", count(result.steps - first)),
    };
    let mut text = format!("\n{done} in {}\n\nstreams\n", clock(duration));
    for report in &result.streams {
        stream(&mut text, report);
    }
    let tables: Vec<_> = result.tables.iter().filter(|table| table.rows > 0).collect();
    let folder = config.storage.dir.display();
    text.push_str("\ntables\n");
    for table in &tables {
        let (rows, size) = (count(table.rows), bytes(table.bytes));
        let path = format!("{folder}/{}/*.parquet", table.table);
        writeln!(text, "  {path}  {rows} rows, {size} in {} parts", table.parts).ok();
    }
    if let Some(url) = &config.storage.url {
        writeln!(text, "  and in {url}").ok();
    }
    if let Some(checkpoint) = &result.checkpoint {
        writeln!(text, "\nweights\n  {}/encoder.safetensors", checkpoint.display()).ok();
    }
    if tables.iter().any(|table| table.table == "metrics") {
        writeln!(text, "\na query to try\n  duckdb -c \"{}\"", query(&folder.to_string())).ok();
    }
    text
}

fn stream(text: &mut String, report: &StreamReport) {
    let StreamReport { name, end, counts, problems } = report;
    let end = match end {
        StreamEnd::Ended => "ended".into(),
        StreamEnd::Stopped => "stopped".into(),
        StreamEnd::Failed(reason) => {
            let prefix = format!("stream {name:?}: ");
            format!("FAILED: {}", reason.strip_prefix(&prefix).unwrap_or(reason))
        }
    };
    let (decoded, clips) = (count(counts.decoded), count(counts.clips));
    writeln!(text, "  {name}: {end}; {decoded} frames decoded, {clips} clips cut").ok();
    let outcomes = FrameOutcome::ALL.iter();
    let outcomes = outcomes.map(|outcome| (outcome.description(), counts.frames(*outcome)));
    if let Some(outcomes) = list(outcomes) {
        writeln!(text, "    frames: {outcomes}").ok();
    }
    let counters = StreamCounter::ALL.iter().filter(|counter| **counter != StreamCounter::Clips);
    let counters = counters.map(|counter| (counter.description(), counts.counter(*counter)));
    if let Some(counters) = list(counters) {
        writeln!(text, "    {counters}").ok();
    }
    for problem in problems {
        writeln!(text, "    {problem}").ok();
    }
}

/// The numbers above 0, each with its description; none when all are 0.
fn list(numbers: impl Iterator<Item = (&'static str, u64)>) -> Option<String> {
    let numbers = numbers.filter(|(_, number)| *number > 0);
    let parts: Vec<_> = numbers.map(|(what, number)| format!("{} {what}", count(number))).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// The latest losses and copy ratios.
fn query(folder: &str) -> String {
    format!(
        "SELECT step, name, round(value, 4) AS value FROM '{folder}/metrics/*.parquet' \
         WHERE name IN ('loss', 'copy_ratio') ORDER BY step DESC LIMIT 10"
    )
}
