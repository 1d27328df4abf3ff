//! One file or folder for each command.

pub(crate) mod check;
pub(crate) mod compact;
pub(crate) mod embed;
pub(crate) mod export;
pub(crate) mod replay;
pub(crate) mod train;
