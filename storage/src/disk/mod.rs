//! Files that survive a crash: written whole or not at all, and synced before they count.

pub(crate) mod digest;
pub mod fault;
pub(crate) mod folder;
pub(crate) mod free_space;
pub(crate) mod lock;
pub(crate) mod publish;

pub use digest::{file_sha256, sha256};
pub use folder::sync;
pub use publish::{rename, write_atomically};
