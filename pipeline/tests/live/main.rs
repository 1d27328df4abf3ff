//! Live streams from real servers on the loopback interface, which fail on command.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod faults;
mod fleet;
mod sources;
mod watch;
