//! Whether r is used: metrics of a prediction, and warnings when r has collapsed or leaks.

use burn::module::Module as _;
use burn::tensor::Tensor;

use super::direction::Prediction;
use super::latent::Networks;
use super::{AdaSsl, Latent};
use crate::loss::cosine::cosine_distance;
use crate::method::Warning;
use crate::nn::batch_norm::NormMode;

/// Below this many nats, r carries nothing.
const COLLAPSED: f32 = 0.1;
/// Above this many nats, with the objective near its floor, r carries the whole target.
const LEAKING: f32 = 50.0;
/// Below this, −cos is near its floor.
const FLOOR: f32 = -0.95;

/// `−cos` of the prediction with r from the posterior, with the prior's mean, and with another
/// clip's r. The running statistics of the batch norms do not move.
pub(super) fn usage(
    networks: &Networks,
    prediction: &Prediction,
) -> Vec<(&'static str, Tensor<1>)> {
    let networks = networks.valid();
    let input = prediction.direction.input.clone().inner();
    let target = prediction.direction.target.clone().inner();
    let minus_cosine = |r: Option<Tensor<2>>| {
        let predicted = networks.predict(input.clone(), r, NormMode::Train);
        cosine_distance(predicted, target.clone()) - 1.0
    };
    let Some(r) = prediction.inferred.r.clone().map(Tensor::inner) else {
        return vec![("minus_cosine", minus_cosine(None))];
    };
    let n = r.dims()[0];
    let shuffled =
        Tensor::cat(vec![r.clone().narrow(0, n - 1, 1), r.clone().narrow(0, 0, n - 1)], 0);
    let expected = match networks.prior(input.clone(), NormMode::Train) {
        Some(prior) => prior.mean,
        None => r.zeros_like(),
    };
    let (posterior, shuffled) = (minus_cosine(Some(r)), minus_cosine(Some(shuffled)));
    vec![
        ("minus_cosine", posterior.clone()),
        ("minus_cosine_prior", minus_cosine(Some(expected))),
        ("minus_cosine_shuffled", shuffled.clone()),
        ("usage_gap", shuffled - posterior),
    ]
}

/// A warning when the posterior carries nothing that the prior does not.
pub(crate) fn posterior_collapse(kl: f32) -> Option<Warning> {
    let message = || {
        format!(
            "the posterior has collapsed: r carries only {kl:.3} nats; lower model.method.beta, or \
             lengthen its warm-up if it has one"
        )
    };
    (kl < COLLAPSED).then(|| Warning { kind: "posterior collapse", message: message() })
}

impl AdaSsl {
    /// The warnings for the metrics of a step.
    pub(super) fn check(&self, values: &[(String, f32)], progress: f64) -> Vec<Warning> {
        let value = |name: &str| values.iter().find(|it| it.0 == name).map(|it| it.1);
        let mut warnings = Vec::new();
        if value("negatives") == Some(0.0) {
            let message = "all clips of the batch are of one video, and other_videos = true allows \
                           only negatives of other videos: there are none; add streams or files, or \
                           set other_videos = false"
                .into();
            warnings.push(Warning { kind: "no negatives", message });
        }
        if self.config.latent != Latent::Gaussian || progress < self.config.beta_warmup {
            return warnings;
        }
        let (Some(kl), Some(cosine)) = (value("kl"), value("minus_cosine")) else {
            return warnings;
        };
        warnings.extend(posterior_collapse(kl));
        if kl > LEAKING && cosine < FLOOR {
            let message = format!(
                "r leaks the target: {kl:.0} nats with the objective near its floor; raise \
                 model.method.beta, lower model.method.dim, or use a third view"
            );
            warnings.push(Warning { kind: "leakage", message });
        }
        warnings
    }
}
