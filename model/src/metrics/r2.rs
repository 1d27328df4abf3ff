//! R², of which the field has two definitions. Which one a number is must be said beside it.

use burn::tensor::Tensor;

/// R² of every output, then their plain mean: scikit-learn's `r2_score`, and seq-JEPA's number.
///
/// `predicted` and `target` are `[n, k]`. As in scikit-learn, an output that never varies counts
/// as 1 where it is predicted exactly, else as 0.
pub fn r2_uniform(predicted: Tensor<2>, target: Tensor<2>) -> f64 {
    let outputs = r2_per_output(predicted, target);
    outputs.iter().sum::<f64>() / outputs.len() as f64
}

/// R² of every output; see [`r2_uniform`].
pub fn r2_per_output(predicted: Tensor<2>, target: Tensor<2>) -> Vec<f64> {
    assert_eq!(predicted.dims(), target.dims(), "a prediction for every target");
    let [_, outputs] = target.dims();
    let (predicted, target) = (on_host(predicted), on_host(target));
    let column = |values: &[f64], idx: usize| -> Vec<f64> {
        values.iter().skip(idx).step_by(outputs).copied().collect()
    };
    (0..outputs).map(|idx| r2(&column(&predicted, idx), &column(&target, idx))).collect()
}

/// R² of all outputs pooled, with one mean over all of them: the number of SIE's code (Garrido
/// et al., 2023). Outputs of a larger spread count more, and so do differences of their means.
pub fn r2_pooled(predicted: Tensor<2>, target: Tensor<2>) -> f64 {
    assert_eq!(predicted.dims(), target.dims(), "a prediction for every target");
    r2(&on_host(predicted), &on_host(target))
}

fn on_host(values: Tensor<2>) -> Vec<f64> {
    values.inner().into_data().iter::<f64>().collect()
}

fn r2(predicted: &[f64], target: &[f64]) -> f64 {
    let mean = target.iter().sum::<f64>() / target.len() as f64;
    let left: f64 = predicted.iter().zip(target).map(|(p, t)| (t - p).powi(2)).sum();
    let spread: f64 = target.iter().map(|t| (t - mean).powi(2)).sum();
    if spread > 0.0 {
        1.0 - left / spread
    } else if left > 0.0 {
        0.0
    } else {
        1.0
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    fn tensor(rows: [[f64; 2]; 3]) -> Tensor<2> {
        Tensor::from_data(rows, &Device::flex())
    }

    #[test]
    fn an_output_that_never_varies_is_right_or_worth_nothing() {
        let target = tensor([[1.0, 2.0], [2.0, 2.0], [3.0, 2.0]]);
        assert_eq!(r2_per_output(target.clone(), target.clone()), [1.0, 1.0]);
        let wrong = tensor([[2.0, 0.0], [2.0, 0.0], [2.0, 0.0]]);
        assert_eq!(r2_per_output(wrong, target), [0.0, 0.0]);
    }

    #[test]
    fn pooling_rewards_the_difference_of_means() {
        let target = tensor([[0.0, 100.0], [1.0, 101.0], [2.0, 102.0]]);
        let means = tensor([[1.0, 101.0]; 3]);
        assert_eq!(r2_uniform(means.clone(), target.clone()), 0.0);
        assert!(r2_pooled(means, target) > 0.999);
    }
}
