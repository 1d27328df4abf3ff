//! The process as the system sees it: its memory and its signals.

pub(crate) mod allocator;
pub(crate) mod signals;
