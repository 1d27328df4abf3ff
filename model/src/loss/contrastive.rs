//! AdaSSL's NT-Xent: predictions find the embeddings that they predict among all embeddings.
//!
//! Rows are normalised here, so that only their directions count. `s` is a cosine and `τ` the
//! temperature.

use burn::tensor::{Bool, Tensor};

use super::pairs::{diagonal, log_sum_exp, log_sum_exp_except, other_view, paired, unit_rows};

/// NT-Xent between predictions and embeddings of both directions, as the authors' code has it.
///
/// `contexts` `[2n, d]` are the predictions, `targets` `[2n, d]` the embeddings that they predict,
/// row by row; gradients reach both. The logit of a pair is `scale · s/τ`, clamped to ±20; `scale`
/// `[1]` is learned or one. A row's positive is its own target. Its negatives are the other
/// targets, without the other view of its own sample, `n` rows away, and without those where
/// `excluded` `[2n, 2n]` is true.
pub fn two_way_nt_xent(
    contexts: Tensor<2>,
    targets: Tensor<2>,
    scale: Tensor<1>,
    temperature: f64,
    excluded: Option<Tensor<2, Bool>>,
) -> Tensor<1> {
    let (contexts, targets) = (unit_rows(contexts), unit_rows(targets));
    let ([rows, _], device) = (contexts.dims(), contexts.device());
    assert!(rows % 2 == 0, "{rows} rows are not two directions of the same samples");
    let scale = scale.reshape([1, 1]) / temperature;
    let logits = |cosines: Tensor<2>| (cosines * scale.clone()).clamp(-20.0, 20.0);
    let positives = logits(paired(contexts.clone(), targets.clone()));
    let mut not_negative = other_view(rows / 2, &device);
    if let Some(excluded) = excluded {
        let own = diagonal([rows, rows], 0, &device);
        not_negative = not_negative.bool_or(excluded.bool_and(own.bool_not()));
    }
    let rest = log_sum_exp_except(logits(contexts.matmul(targets.transpose())), not_negative);
    (rest - positives).mean()
}

/// [`two_way_nt_xent`] of one direction: among the `n` targets, the positive of a row of `contexts`
/// `[n, d]` is its own, and its negatives are those where `excluded` `[n, n]` is false.
pub fn one_way_nt_xent(
    contexts: Tensor<2>,
    targets: Tensor<2>,
    scale: Tensor<1>,
    temperature: f64,
    excluded: Option<Tensor<2, Bool>>,
) -> Tensor<1> {
    let (contexts, targets) = (unit_rows(contexts), unit_rows(targets));
    let ([n, _], device) = (contexts.dims(), contexts.device());
    let scale = scale.reshape([1, 1]) / temperature;
    let logits = |cosines: Tensor<2>| (cosines * scale.clone()).clamp(-20.0, 20.0);
    let positives = logits(paired(contexts.clone(), targets.clone()));
    let all = logits(contexts.matmul(targets.transpose()));
    let rest = match excluded {
        Some(mask) => {
            let own = diagonal([n, n], 0, &device);
            log_sum_exp_except(all, mask.bool_and(own.bool_not()))
        }
        None => log_sum_exp(all),
    };
    (rest - positives).mean()
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution};

    use super::super::pairs::same_group;
    use super::*;

    fn random(rows: usize) -> Tensor<2> {
        Tensor::random([rows, 6], Distribution::Normal(0.0, 1.0), &Device::flex())
    }

    fn value(loss: Tensor<1>) -> f64 {
        loss.into_scalar::<f32>().into()
    }

    fn assert_close(got: Tensor<1>, wanted: f64) {
        let got = value(got);
        assert!((got - wanted).abs() < 1e-5 * (1.0 + wanted.abs()), "{got} is not {wanted}");
    }

    /// The numbers were computed in float64.
    #[test]
    fn the_loss_gives_known_numbers() {
        let device = Device::flex();
        let tensor = |rows: [[f64; 2]; 4]| Tensor::<2>::from_data(rows, &device);
        let contexts = tensor([[1.0, 0.2], [0.1, 1.0], [0.9, 0.1], [-0.2, 1.0]]);
        let targets = tensor([[1.0, 0.0], [0.0, 1.0], [0.8, 0.3], [0.1, 0.9]]);
        for (temperature, wanted) in [(0.5, 0.347_949_647_831_881_5), (0.1, 0.001_688_313_709_543)]
        {
            let one = Tensor::ones([1], &device);
            let got = two_way_nt_xent(contexts.clone(), targets.clone(), one, temperature, None);
            assert_close(got, wanted);
        }
    }

    #[test]
    fn logits_are_clamped_and_maskable() {
        let device = Device::flex();
        let (contexts, targets) = (random(6), random(6));
        let scale = Tensor::<1>::full([1], 1e6, &device);
        let got = two_way_nt_xent(contexts.clone(), targets.clone(), scale, 1.0, None);
        assert!(value(got) <= 40.0 + 5f64.ln());
        let all = same_group(&[1; 3], &device);
        let one = Tensor::ones([1], &device);
        assert_close(two_way_nt_xent(contexts, targets, one, 0.1, Some(all)), 0.0);
    }
}
