//! Files and folders of a run on disk.

pub mod fault;
pub(crate) mod free_space;
pub(crate) mod lock;
pub(crate) mod publish;
