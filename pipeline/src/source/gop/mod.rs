//! Decodes of each group of pictures only the beginning that one clip needs.

mod filter;
mod nal;
mod plan;

pub(super) use filter::Prefixes;
