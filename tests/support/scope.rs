//! How much of the suite runs: a test whose tool is missing says so and is skipped, and tests that
//! kill the program many times do it less often unless the long tier is asked for.

use std::env;
use std::io::Write as _;
use std::panic::Location;
use std::thread;

/// The Python interpreter that a variable names; without the variable the test is skipped.
#[track_caller]
pub(crate) fn python(variable: &str, packages: &str) -> Option<String> {
    let python = env::var(variable).ok();
    if python.is_none() {
        skip(&format!("{variable} names no Python with {packages}"));
    }
    python
}

/// Says that the calling test is skipped, and why. With `ONWARD_TEST_ALL=1` it fails instead.
#[track_caller]
pub(crate) fn skip(missing: &str) {
    let text = format!("{missing}; scripts/test installs all that the tests need");
    assert!(!is_on("ONWARD_TEST_ALL"), "{text}");
    say("skipped", &text);
}

/// Says that the calling test is skipped because the system refuses what it needs. No setup changes
/// that, so that it is never a failure.
#[track_caller]
pub(crate) fn skip_refused(what: &str) {
    say("skipped", &format!("the system refuses {what}"));
}

/// What the test does in the short tier, or in the long one, which `ONWARD_TEST_LONG=1` chooses.
#[track_caller]
pub(crate) fn tier<T>(short: T, long: T) -> T {
    if is_on("ONWARD_TEST_LONG") {
        say("long tier", "everything");
        return long;
    }
    say("short tier", "ONWARD_TEST_LONG=1 or scripts/test --long does more");
    short
}

fn is_on(variable: &str) -> bool {
    env::var(variable).is_ok_and(|it| it == "1")
}

/// Writes to standard error itself: libtest hides what `eprintln!` prints in a test that passes.
#[track_caller]
fn say(what: &str, text: &str) {
    let (place, thread) = (Location::caller(), thread::current());
    let test = thread.name().unwrap_or_default();
    let line = format!("{what}: {}:{} {test}: {text}\n", place.file(), place.line());
    std::io::stderr().write_all(line.as_bytes()).ok();
}
