//! How well predicted masks of a video's objects agree with the true ones, with the scores of the
//! DAVIS 2017 toolkit.

mod mask;
mod segmentation;

pub use mask::Mask;
pub use segmentation::{
    DatasetScore, ObjectScore, Statistics, VideoScore, boundary_accuracy, evaluate_video,
    region_similarity,
};
