//! The metrics for Prometheus.

use std::sync::atomic::AtomicU64;

use pipeline::StreamCounter;
use prometheus_client::encoding::prometheus_text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::process::Process;
use super::snapshot::{STATES, Snapshot, Stream};

type Labels = Vec<(&'static str, String)>;
type Number = Gauge<f64, AtomicU64>;

/// All metrics in Prometheus' text format.
///
/// They are created from the snapshot for every scrape, so that no number is stored twice.
pub(super) fn text(snapshot: &Snapshot, process: Process) -> String {
    let mut registry = Registry::with_prefix("onward");
    run(&mut registry, snapshot);
    streams(&mut registry, &snapshot.streams);
    machine(&mut registry, process);
    let mut text = String::new();
    // Writing to a string fails only if a metric is invalid, which a test would find.
    prometheus_text::encode(&mut text, &registry).ok();
    text
}

fn run(registry: &mut Registry, snapshot: &Snapshot) {
    let Snapshot { throughput, queue, .. } = snapshot;
    number(registry, "step", "Steps that are done", snapshot.step as f64);
    number(registry, "steps", "Steps of the whole run", snapshot.steps as f64);
    number(registry, "queue_batches", "Batches that wait", queue.batches as f64);
    if let Some(pool) = queue.pool {
        number(registry, "pool_clips", "Clips in the pool", pool as f64);
    }
    for (name, help, value) in [
        ("data_wait", "Share of the time that the trainer waited for data", throughput.data_wait),
        ("step_seconds", "Mean duration of a step", throughput.step_seconds),
        ("clips_per_second", "Clips trained on per second", throughput.clips_per_second),
        ("clip_age_seconds", "Mean age of the clips trained on", throughput.clip_age_seconds),
    ] {
        number(registry, name, help, value);
    }
    let losses = Family::<Labels, Number>::default();
    for (name, value) in &snapshot.losses {
        losses.get_or_create(&vec![("name", name.clone())]).set(*value);
    }
    registry.register("loss", "Losses and other metrics, by name", losses);
}

fn streams(registry: &mut Registry, streams: &[Stream]) {
    let frames = Family::<Labels, Counter>::default();
    let states = Family::<Labels, Gauge>::default();
    for stream in streams {
        for (outcome, count, _) in stream.outcomes() {
            frames.get_or_create(&labels(stream, "outcome", outcome)).inc_by(count);
        }
        for state in STATES {
            let labels = labels(stream, "state", state.name());
            states.get_or_create(&labels).set(i64::from(state == stream.state));
        }
    }
    registry.register("frames", "Decoded frames, by what became of them", frames);
    registry.register("stream_state", "1 for the state that the stream is in", states);
    for counter in StreamCounter::ALL {
        let family = Family::<Labels, Counter>::default();
        for stream in streams {
            let labels = vec![("stream", stream.name.clone())];
            family.get_or_create(&labels).inc_by(stream.counts.counter(*counter));
        }
        registry.register(counter.name(), format!("Number of {}", counter.description()), family);
    }
}

fn machine(registry: &mut Registry, process: Process) {
    let Process { resident_bytes, open_files, threads } = process;
    for (name, help, value) in [
        ("process_resident_memory_bytes", "Resident memory", resident_bytes),
        ("process_open_fds", "Open file descriptors", open_files),
        ("process_threads", "Threads", threads),
    ] {
        if let Some(value) = value {
            number(registry, name, help, value as f64);
        }
    }
}

fn number(registry: &mut Registry, name: &str, help: &str, value: f64) {
    let gauge = Number::default();
    gauge.set(value);
    registry.register(name, help, gauge);
}

fn labels(stream: &Stream, key: &'static str, value: &str) -> Labels {
    vec![("stream", stream.name.clone()), (key, value.into())]
}
