//! The contrastive objective: a prediction finds its target among the embeddings of all clips.

use burn::tensor::Tensor;

use super::Config;
use super::direction::Prediction;
use super::latent::Networks;
use crate::loss::contrastive::{one_way_nt_xent, two_way_nt_xent};
use crate::loss::pairs::same_group;

/// NT-Xent of the predictions. The forward direction alone has negatives among the y; both
/// directions have negatives among all embeddings.
pub(super) fn objective(
    config: &Config,
    networks: &Networks,
    predictions: &[Prediction],
    videos: &[usize],
) -> Tensor<1> {
    let predicted = |idx: usize| predictions[idx].predicted.clone();
    let target = |idx: usize| predictions[idx].direction.target.clone();
    let device = predicted(0).device();
    let scale = networks.scale().unwrap_or_else(|| Tensor::ones([1], &device));
    let excluded = config.other_videos.then(|| same_group(videos, &device));
    if predictions.len() == 1 {
        let n = videos.len();
        let excluded = excluded.map(|it| it.slice([0..n, 0..n]));
        return one_way_nt_xent(predicted(0), target(0), scale, config.temperature, excluded);
    }
    // Predictions of x come before those of y, and so do the embeddings.
    let contexts = Tensor::cat(vec![predicted(1), predicted(0)], 0);
    let targets = Tensor::cat(vec![target(1), target(0)], 0);
    two_way_nt_xent(contexts, targets, scale, config.temperature, excluded)
}

/// The share of pairs of different clips that are of different videos.
pub(super) fn cross_video_share(videos: &[usize]) -> f64 {
    let n = videos.len();
    let pairs = videos.iter().flat_map(|a| videos.iter().map(move |b| a != b));
    pairs.filter(|it| *it).count() as f64 / (n * n.saturating_sub(1)).max(1) as f64
}
