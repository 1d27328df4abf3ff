//! Layers that encoders and methods share, and their initial weights.

pub(crate) mod batch_norm;
pub(crate) mod dino_head;
pub(crate) mod init;
pub(crate) mod mlp;
pub(crate) mod parameters;

pub use batch_norm::NormMode;
pub use dino_head::{DinoHead, DinoHeadConfig};
pub use init::Init;
pub use mlp::Widths;
