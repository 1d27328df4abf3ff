//! The last thing that a run prints: where its results are, and what each stream gave.

use std::fmt::Write as _;
use std::time::Duration;

use pipeline::{Outcome, StreamReport};

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
    let StreamReport { name, outcome, counts, trained, untrained, problems } = report;
    let outcome = match outcome {
        Outcome::Ended => "ended".into(),
        Outcome::Stopped => "stopped".into(),
        Outcome::Failed(why) => {
            let itself = format!("stream {name:?}: ");
            format!("FAILED: {}", why.strip_prefix(&itself).unwrap_or(why))
        }
    };
    let (decoded, clips) = (count(counts.decoded), count(counts.clips));
    writeln!(text, "  {name}: {outcome}; {decoded} frames decoded, {clips} clips cut").ok();
    let parts = [
        ("trained on", *trained),
        ("left over", *untrained),
        ("off the time grid", counts.off_grid),
        ("at scene cuts", counts.cut),
        ("at discontinuities", counts.discontinuity),
        ("at missing frames", counts.uneven),
        ("where the light changed", counts.light),
        ("where nothing moves", counts.still),
        ("dropped for newer ones", counts.dropped),
        ("unfinished", counts.unfinished),
    ];
    let parts = parts.iter().filter(|it| it.1 > 0);
    let parts: Vec<_> = parts.map(|(what, frames)| format!("{} {what}", count(*frames))).collect();
    if !parts.is_empty() {
        writeln!(text, "    frames: {}", parts.join(", ")).ok();
    }
    let beside = [
        ("reconnects", counts.reconnects),
        ("stalls", counts.stalls),
        ("coded pictures not decoded in time", counts.late),
        ("coded pictures that no clip needs", counts.unneeded),
        ("pipelines left behind", counts.abandoned),
    ];
    let beside = beside.iter().filter(|it| it.1 > 0);
    let beside: Vec<_> =
        beside.map(|(what, number)| format!("{} {what}", count(*number))).collect();
    if !beside.is_empty() {
        writeln!(text, "    {}", beside.join(", ")).ok();
    }
    for problem in problems {
        writeln!(text, "    {problem}").ok();
    }
}

/// The loss and the copy ratio over the run.
fn query(folder: &str) -> String {
    format!(
        "SELECT step, name, round(value, 4) AS value FROM '{folder}/metrics/*.parquet' \
         WHERE name IN ('loss', 'copy_ratio') ORDER BY step DESC LIMIT 10"
    )
}
