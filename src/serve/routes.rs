//! The paths that the server answers.

use std::time::{Instant, SystemTime};

use serde::Serialize;

use super::history::History;
use super::http::Response;
use super::metrics;
use super::process::Process;
use super::snapshot::{Snapshot, seconds};
use super::state::ServerState;

/// `/state.json`.
#[derive(Serialize)]
struct StateJson<'a> {
    now: f64,
    published: f64,
    last_step: Option<f64>,
    health: Check,
    ready: Check,
    #[serde(flatten)]
    snapshot: &'a Snapshot,
    history: &'a History,
    process: Process,
}

/// The result of a health check.
#[derive(Serialize)]
struct Check {
    ok: bool,
    reason: String,
}

impl From<Result<(), String>> for Check {
    fn from(result: Result<(), String>) -> Self {
        Self { ok: result.is_ok(), reason: result.err().unwrap_or_default() }
    }
}

impl ServerState {
    /// The response to a GET of `path`.
    pub(super) fn respond(&mut self, path: &str) -> Response {
        self.snapshot.queue.batches = (self.queued_batches)();
        match path {
            "/" => Response::page(include_str!("page.html")),
            "/state.json" => self.json(),
            "/metrics" => Response::metrics(metrics::text(&self.snapshot, Process::read())),
            "/healthz" => Response::check("ok", self.health(Instant::now())),
            "/readyz" => Response::check("ready", self.snapshot.ready()),
            _ => Response::text(
                404,
                "not found; there are /, /state.json, /metrics, /healthz and /readyz\n",
            ),
        }
    }

    fn json(&self) -> Response {
        let state = StateJson {
            now: seconds(SystemTime::now()),
            published: seconds(self.published),
            last_step: self.last_step.map(seconds),
            health: self.health(Instant::now()).into(),
            ready: self.snapshot.ready().into(),
            snapshot: &self.snapshot,
            history: &self.history,
            process: Process::read(),
        };
        match serde_json::to_string(&state) {
            Ok(text) => Response::json(text),
            Err(err) => Response::text(500, &format!("the state could not be written: {err}\n")),
        }
    }
}
