//! The coefficient of determination R². The field uses two definitions, so that a reported number
//! must say which.

use burn::tensor::Tensor;

/// R² of each output, then their mean, as in scikit-learn's `r2_score` and seq-JEPA.
///
/// `predicted` and `target` are `[n, k]`. As in scikit-learn, the R² of a constant output is 1 if it
/// is predicted exactly, else 0.
pub fn r2_uniform(predicted: Tensor<2>, target: Tensor<2>) -> f64 {
    let outputs = r2_per_output(predicted, target);
    outputs.iter().sum::<f64>() / outputs.len() as f64
}

/// R² of each output; see [`r2_uniform`].
pub fn r2_per_output(predicted: Tensor<2>, target: Tensor<2>) -> Vec<f64> {
    assert_eq!(predicted.dims(), target.dims(), "a prediction for every target");
    let [_, outputs] = target.dims();
    let (predicted, target) = (to_vec(predicted), to_vec(target));
    let column = |values: &[f64], idx: usize| -> Vec<f64> {
        values.iter().skip(idx).step_by(outputs).copied().collect()
    };
    (0..outputs).map(|idx| r2(&column(&predicted, idx), &column(&target, idx))).collect()
}

/// R² of all outputs pooled, with one mean over all values, as in the code of SIE (Garrido et al.,
/// 2023). Outputs of a larger variance count more, and so do differences between output means.
pub fn r2_pooled(predicted: Tensor<2>, target: Tensor<2>) -> f64 {
    assert_eq!(predicted.dims(), target.dims(), "a prediction for every target");
    r2(&to_vec(predicted), &to_vec(target))
}

fn to_vec(values: Tensor<2>) -> Vec<f64> {
    values.inner().into_data().iter::<f64>().collect()
}

fn r2(predicted: &[f64], target: &[f64]) -> f64 {
    let mean = target.iter().sum::<f64>() / target.len() as f64;
    let residual: f64 = predicted.iter().zip(target).map(|(p, t)| (t - p).powi(2)).sum();
    let total: f64 = target.iter().map(|t| (t - mean).powi(2)).sum();
    if total > 0.0 {
        1.0 - residual / total
    } else if residual > 0.0 {
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
    fn r2_of_a_constant_output_is_one_or_zero() {
        let target = tensor([[1.0, 2.0], [2.0, 2.0], [3.0, 2.0]]);
        assert_eq!(r2_per_output(target.clone(), target.clone()), [1.0, 1.0]);
        let wrong = tensor([[2.0, 0.0], [2.0, 0.0], [2.0, 0.0]]);
        assert_eq!(r2_per_output(wrong, target), [0.0, 0.0]);
    }

    #[test]
    fn pooling_counts_differences_between_output_means() {
        let target = tensor([[0.0, 100.0], [1.0, 101.0], [2.0, 102.0]]);
        let means = tensor([[1.0, 101.0]; 3]);
        assert_eq!(r2_uniform(means.clone(), target.clone()), 0.0);
        assert!(r2_pooled(means, target) > 0.999);
    }
}
