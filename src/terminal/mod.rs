//! What people see in a terminal: standard output, log messages and the progress line.

pub(crate) mod print;
pub(crate) mod progress;
