//! The distillation objective: a prediction has the direction of the teacher's projection.

use burn::tensor::Tensor;

use super::direction::Prediction;
use crate::loss::cosine::cosine_distance;

/// `−cos(ŷ, sg ȳ)`, summed over the directions, as the authors write it.
pub(super) fn objective(predictions: &[Prediction]) -> Tensor<1> {
    let distances = predictions.iter().map(minus_cosine);
    distances.reduce(|a, b| a + b).expect("at least one direction")
}

fn minus_cosine(prediction: &Prediction) -> Tensor<1> {
    cosine_distance(prediction.predicted.clone(), prediction.direction.target.clone()) - 1.0
}
