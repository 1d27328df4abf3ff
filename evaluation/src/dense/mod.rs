//! How well patch tokens tell objects apart, without training: the labels of a video's first frame
//! are propagated through the rest of it, and the masks are compared with the true ones.
//!
//! ```text
//! davis: a folder of videos -> masks, frames (decoded and encoded by the caller)
//!     first mask -> Labels::from_mask -> propagate over TokenGrids -> Labels::to_mask
//!                                                     evaluate_video -> DatasetScore
//! ```
//!
//! The steps follow two published programs, and [`Protocol`] holds all in which they differ:
//! [`Protocol::dino`] and [`Protocol::crop_mae`]. The scores are those of the DAVIS 2017 toolkit.

mod labels;
mod mask;
mod nearest;
mod propagation;
mod protocol;
mod resize;
mod segmentation;
mod similarity;

pub mod davis;

pub use labels::Labels;
pub use mask::Mask;
pub use propagation::{Propagation, propagate};
pub use protocol::{InputSize, Neighbourhood, Protocol, Resampling};
pub use segmentation::{
    DatasetScore, ObjectScore, Statistics, VideoScore, boundary_accuracy, evaluate_video,
    region_similarity,
};
pub use similarity::TokenGrid;
