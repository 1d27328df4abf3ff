//! The layers that encoders and methods are made of.

pub(crate) mod batch_norm;
pub(crate) mod dino_head;
pub(crate) mod init;
pub(crate) mod mlp;
pub(crate) mod parameters;

pub use batch_norm::Mode;
pub use dino_head::{Head, HeadConfig};
pub use init::Init;
pub use mlp::Widths;
