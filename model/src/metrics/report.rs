//! The metrics of a step, from the losses of its parts.

use burn::tensor::Tensor;

use super::collapse::{TokenStatistics, token_statistics};
use crate::loss::{duality::Duality, pairs::unit_rows};
use crate::method::Losses;

/// Metrics of a step, merged over its parts.
pub(crate) struct StepMetrics {
    /// The loss and its terms, each part's weighted with its share of the batch.
    terms: Vec<(&'static str, Tensor<1>)>,
    pub(crate) per_clip: Vec<(&'static str, Tensor<1>)>,
    tokens: Vec<(&'static str, Tensor<3>)>,
    projections: Option<Tensor<2>>,
}

impl StepMetrics {
    /// Of a part that is `share` of the batch.
    pub(crate) fn of_part(losses: Losses, share: f64) -> Self {
        let Losses { total, terms, per_clip, tokens, projections } = losses;
        let terms = [("loss", total)].into_iter().chain(terms);
        let terms = terms.map(|(name, it)| (name, it * share)).collect();
        Self { terms, per_clip, tokens, projections }
    }

    /// Of both parts.
    pub(crate) fn merge(self, other: Self) -> Self {
        let projections = self.projections.into_iter().chain(other.projections);
        Self {
            terms: zip(self.terms, other.terms, |a, b| a + b),
            per_clip: zip(self.per_clip, other.per_clip, |a, b| Tensor::cat(vec![a, b], 0)),
            tokens: zip(self.tokens, other.tokens, |a, b| Tensor::cat(vec![a, b], 0)),
            projections: projections.reduce(|a, b| Tensor::cat(vec![a, b], 0)),
        }
    }

    pub(crate) fn loss(&self) -> Tensor<1> {
        self.terms[0].1.clone()
    }

    /// The loss, its terms, the statistics of the tokens, and the duality of the projections. Reading
    /// them waits for the device.
    pub(crate) fn values(&self) -> Vec<(String, f32)> {
        let terms = self.terms.iter().map(|(name, it)| ((*name).to_owned(), it.clone()));
        let statistics = self.tokens.iter().flat_map(|(name, tokens)| {
            let TokenStatistics { variance, covariance } = token_statistics(tokens.clone());
            [(format!("variance_{name}"), variance), (format!("covariance_{name}"), covariance)]
        });
        let criteria = self.projections.iter().flat_map(|it| criteria(it.clone()));
        let all = terms.chain(statistics).chain(criteria);
        all.map(|(name, it)| (name, it.into_scalar())).collect()
    }
}

/// Both criteria of unit vectors `[n, d]`, and their difference (Garrido et al., 2023, theorem
/// 3.3): `dimension_contrastive = sample_contrastive + duality_gap`.
fn criteria(projections: Tensor<2>) -> [(String, Tensor<1>); 3] {
    let duality = Duality::of(unit_rows(projections));
    [
        ("sample_contrastive".into(), duality.sample_contrastive),
        ("dimension_contrastive".into(), duality.dimension_contrastive),
        ("duality_gap".into(), duality.sample_norms - duality.dimension_norms),
    ]
}

type Named<const D: usize> = Vec<(&'static str, Tensor<D>)>;

fn zip<const D: usize>(
    a: Named<D>,
    b: Named<D>,
    join: impl Fn(Tensor<D>, Tensor<D>) -> Tensor<D>,
) -> Named<D> {
    a.into_iter().zip(b).map(|((name, a), (_, b))| (name, join(a, b))).collect()
}
