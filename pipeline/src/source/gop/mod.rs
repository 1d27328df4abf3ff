//! Decodes only the beginning of each group of pictures (GOP), as long as one clip needs.
//!
//! ```text
//! coded frame ──▶ nal (kind of keyframe) ──▶ plan (decode it?) ──▶ filter (probe on the decoder)
//! ```

mod filter;
mod nal;
mod plan;

pub(super) use filter::GopFilter;
