//! The networks of seq-JEPA after the encoder: action embedding, aggregator, predictor.

use burn::module::Module;
use burn::tensor::Tensor;

use super::aggregator::{ActionEmbedding, Aggregator, Dropout};
use crate::nn::batch_norm::NormMode;
use crate::nn::mlp::NormedMlp;

/// The networks after the encoder.
#[derive(Module, Debug)]
pub(crate) struct Heads {
    pub(super) action_proj: Option<ActionEmbedding>,
    pub(super) aggregator: Aggregator,
    pub(super) predictor: NormedMlp,
}

/// The outputs of the heads for a sequence of views.
pub(super) struct Prediction {
    /// z_AGG, `[n, d + action_dim]`.
    pub(super) aggregate: Tensor<2>,
    /// e(a_M), `[n, action_dim]`.
    pub(super) last_action: Option<Tensor<2>>,
    /// ẑ, `[n, d]`.
    pub(super) predicted: Tensor<2>,
}

impl Prediction {
    /// The same values without gradients.
    pub(super) fn inner(self) -> Self {
        Self {
            aggregate: self.aggregate.inner(),
            last_action: self.last_action.map(Tensor::inner),
            predicted: self.predicted.inner(),
        }
    }
}

impl Heads {
    /// From encodings `[n, m, d]` of the observed views and the actions `[n, m, a]` after each.
    /// `observed_actions` are the actions as the batch norm counts them for the observed views,
    /// where the last is not used.
    pub(super) fn forward(
        &self,
        observed: Tensor<3>,
        actions: Tensor<3>,
        observed_actions: Tensor<3>,
        mode: NormMode,
        dropout: &mut Option<Dropout>,
    ) -> Prediction {
        let [n, m, a] = actions.dims();
        let Some(action_proj) = &self.action_proj else {
            let aggregate = self.aggregator.forward(observed, dropout);
            let predicted = self.predictor.forward(aggregate.clone(), mode);
            return Prediction { aggregate, last_action: None, predicted };
        };
        let embedded = action_proj.observed(observed_actions, mode);
        let aggregate = self.aggregator.forward(Tensor::cat(vec![observed, embedded], 2), dropout);
        let last: Tensor<2> = actions.narrow(1, m - 1, 1).reshape([n, a]);
        let last = action_proj.forward(last, mode);
        let input = Tensor::cat(vec![aggregate.clone(), last.clone()], 1);
        let predicted = self.predictor.forward(input, mode);
        Prediction { aggregate, last_action: Some(last), predicted }
    }
}

/// The actions with zeros in the place of the last, as the authors count them for fixations.
pub(super) fn without_last(actions: Tensor<3>) -> Tensor<3> {
    let [n, m, a] = actions.dims();
    let none = Tensor::zeros([n, 1, a], &actions.device());
    if m == 1 { none } else { Tensor::cat(vec![actions.narrow(1, 0, m - 1), none], 1) }
}
