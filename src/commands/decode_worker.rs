//! `onward decode-worker`: a process that decodes for a run with `pipeline.isolate`.

use std::process::ExitCode;

use tracing::Level;

/// Decodes until the run ends. Log messages go to the run, which adds the time.
pub(crate) fn run() -> ExitCode {
    let log = tracing_subscriber::fmt().with_max_level(Level::DEBUG).with_ansi(false);
    log.with_target(false).without_time().with_writer(std::io::stderr).init();
    match pipeline::decode_worker() {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            tracing::error!("this command is started by `onward train`, not by hand: {err}");
            ExitCode::FAILURE
        }
    }
}
