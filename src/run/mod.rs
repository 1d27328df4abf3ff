//! A run: its config, its folder, and what it records.

pub(crate) mod checkpoint;
pub(crate) mod clips;
pub(crate) mod config;
pub(crate) mod environment;
pub(crate) mod ledger;
pub(crate) mod records;
pub(crate) mod streams;
pub(crate) mod telemetry;
pub(crate) mod throughput;
pub(crate) mod trained;
