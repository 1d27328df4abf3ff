//! What a run is made of: its config, its folder, and what it writes.

pub(crate) mod checkpoint;
pub(crate) mod clips;
pub(crate) mod config;
pub(crate) mod environment;
pub(crate) mod ledger;
pub(crate) mod records;
pub(crate) mod streams;
pub(crate) mod telemetry;
