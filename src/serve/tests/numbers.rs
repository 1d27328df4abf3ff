//! The metrics as Prometheus reads them, the length of the curves, and when a trainer is stuck.

use std::collections::BTreeMap;

use super::super::history::{History, POINTS};
use super::super::metrics;
use super::super::process::Process;
use super::super::state::{Activity, Update};
use super::*;

/// Samples by name and labels, read by the rules of the text format.
fn read(text: &str) -> BTreeMap<(String, BTreeMap<String, String>), f64> {
    let samples = text.lines().filter(|it| !it.starts_with('#')).map(|line| {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let (name, rest) = series.split_once('{').unwrap_or((series, "}"));
        let mut labels = BTreeMap::new();
        let mut rest = rest.strip_suffix('}').unwrap();
        while !rest.is_empty() {
            let (key, after) = rest.split_once("=\"").unwrap();
            let (value, after) = unquote(after);
            labels.insert(key.trim_start_matches(',').to_owned(), value);
            rest = after;
        }
        ((name.to_owned(), labels), value.parse().unwrap())
    });
    samples.collect()
}

/// A label's value and what follows its closing quote.
fn unquote(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut letters = text.char_indices();
    loop {
        match letters.next().unwrap() {
            (at, '"') => return (value, &text[at + 1..]),
            (_, '\\') => match letters.next().unwrap().1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            (_, other) => value.push(other),
        }
    }
}

#[test]
fn the_metrics_say_what_the_snapshot_says() {
    let snapshot = snapshot(1_234);
    let text = metrics::text(&snapshot, Process::read());
    let samples = read(&text);
    let value = |name: &str, labels: &[(&str, &str)]| {
        let labels = labels.iter().map(|(key, it)| ((*key).to_owned(), (*it).to_owned()));
        let key = (name.to_owned(), labels.collect());
        *samples.get(&key).unwrap_or_else(|| panic!("{key:?} is missing in\n{text}"))
    };
    assert_eq!(value("onward_step", &[]), 1_234.0);
    assert_eq!(value("onward_queue_batches", &[]), 1.0);
    assert_eq!(value("onward_data_wait", &[]), 0.125);
    assert_eq!(value("onward_step_seconds", &[]), 0.43);
    assert_eq!(value("onward_clip_age_seconds", &[]), 8.5);
    assert!(value("onward_loss", &[("name", "probe")]).is_nan());
    assert_eq!(value("onward_loss", &[("name", "loss")]), snapshot.losses[0].1);
    for stream in &snapshot.streams {
        let name = ("stream", stream.name.as_str());
        for (outcome, frames, _) in stream.outcomes() {
            assert_eq!(value("onward_frames_total", &[name, ("outcome", outcome)]), frames as f64);
        }
        let clips = value("onward_clips_total", &[name]);
        assert_eq!(clips, stream.counts.clips as f64);
        assert_eq!(value("onward_stalls_total", &[name]), stream.counts.stalls as f64);
        assert_eq!(value("onward_reconnects_total", &[name]), stream.counts.reconnects as f64);
        for state in super::super::snapshot::STATES {
            let on = f64::from(u8::from(state == stream.state));
            assert_eq!(value("onward_stream_state", &[name, ("state", state.name())]), on);
        }
    }
    assert!(value("onward_process_threads", &[]) >= 1.0);
    assert!(value("onward_process_open_fds", &[]) >= 3.0);
    assert!(value("onward_process_resident_memory_bytes", &[]) > 1e6);
}

#[test]
fn a_long_history_is_thinned_evenly_and_keeps_its_ends() {
    let mut history = History::default();
    let steps = 10 * POINTS as u64 + 5;
    for step in 1..=steps {
        history.add(step, &[("loss".into(), step as f64)]);
    }
    let shown = serde_json::to_value(&history).unwrap();
    let kept: Vec<u64> = serde_json::from_value(shown["steps"].clone()).unwrap();
    let losses: Vec<f64> = serde_json::from_value(shown["values"]["loss"].clone()).unwrap();
    assert!(kept.len() > POINTS / 2 && kept.len() <= POINTS, "{} are kept", kept.len());
    assert_eq!(kept[0], 1);
    assert!(kept.windows(2).all(|it| it[1] - it[0] == 16), "unevenly spaced");
    assert!(steps - kept[kept.len() - 1] < 16, "the newest is {:?}", kept.last());
    assert!(kept.iter().zip(&losses).all(|(step, loss)| *step as f64 == *loss));
}

#[test]
fn a_metric_that_appears_late_or_disappears_keeps_its_steps() {
    let mut history = History::default();
    history.add(1, &[("loss".into(), 1.0)]);
    history.add(2, &[("loss".into(), 2.0), ("probe".into(), 0.5)]);
    history.add(2, &[("loss".into(), 9.0)]);
    history.add(3, &[]);
    history.add(4, &[("probe".into(), f64::INFINITY)]);
    history.add(5, &[("probe".into(), 0.25)]);
    let wanted = serde_json::json!({
        "steps": [1, 2, 4, 5],
        "values": { "loss": [1.0, 2.0, null, null], "probe": [null, 0.5, null, 0.25] },
    });
    assert_eq!(serde_json::to_value(&history).unwrap(), wanted);
}

/// A run with steps of 0.43 s that is active now, with as many batches waiting.
fn active(step: u64, batches: usize) -> (ServerState, Instant) {
    let queued = Box::new(move || batches);
    let mut state = ServerState::new(snapshot(step), StuckAfter::default(), queued);
    let instant = Instant::now();
    state.apply(Update::Activity(Activity { step, time: SystemTime::now(), instant }));
    (state, instant)
}

#[test]
fn a_trainer_is_stuck_after_a_minute_or_ten_steps_though_batches_wait() {
    let after = |at: Instant, seconds| at + Duration::from_secs(seconds);
    let (state, at) = active(7, 1);
    assert_eq!(state.health(after(at, 60)), Ok(()));
    assert!(state.health(after(at, 61)).is_err());
    let (state, at) = active(7, 0);
    assert_eq!(state.health(after(at, 100_000)), Ok(()), "without data it may wait without end");
    let (state, at) = active(0, 1);
    assert_eq!(state.health(after(at, 600)), Ok(()), "the first step may take longer");
    assert!(state.health(after(at, 601)).is_err());
    let (mut state, at) = active(7, 1);
    let mut slow = snapshot(8);
    slow.throughput.step_seconds = 30.0;
    state.apply(Update::Snapshot(Box::new(slow)));
    assert_eq!(state.health(after(at, 299)), Ok(()), "steps of half a minute");
    assert!(state.health(after(at, 400)).is_err());
}
