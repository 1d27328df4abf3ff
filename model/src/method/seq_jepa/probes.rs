//! Linear probes: how much of the actions the representations hold.

use burn::tensor::{Device, Int, Tensor};

use super::heads::Prediction;
use crate::metrics::linear_probe::LinearProbe;
use crate::train::data_parallel::StepContext;
use crate::train::state::SavedState;

/// The probes of a run, with the features that they are fitted to.
#[derive(Default)]
pub(super) struct Probes {
    /// From two encodings to the action between them.
    action: LinearProbe,
    /// From the aggregate to the sum of all actions, from the first view to the target.
    path: LinearProbe,
}

impl Probes {
    /// Scores both probes if the step is read, and keeps the step's features for later fits.
    /// `observed` are the encodings `[n, m, d]`; `changes` are the columns of an action that add up
    /// along a sequence.
    pub(super) fn probe(
        &mut self,
        observed: &Tensor<3>,
        prediction: &Prediction,
        actions: &Tensor<3>,
        changes: &[usize],
        context: &StepContext,
    ) -> Vec<(&'static str, Tensor<1>)> {
        let [n, m, d] = observed.dims();
        if m == 1 {
            // There is no pair, and the path is the last action, whose embedding is a feature.
            return Vec::new();
        }
        let changes: Vec<i64> = changes.iter().map(|it| *it as i64).collect();
        let changes = Tensor::<1, Int>::from_data(changes.as_slice(), &actions.device());
        let actions = actions.clone().select(2, changes);
        let (rows, k) = (n * (m - 1), actions.dims()[2]);

        let view = |from| observed.clone().narrow(1, from, m - 1);
        let pairs = Tensor::cat(vec![view(0), view(1)], 2).reshape([rows, 2 * d]);
        let between = actions.clone().narrow(1, 0, m - 1).reshape([rows, k]);
        let aggregate = [Some(prediction.aggregate.clone()), prediction.last_action.clone()];
        let aggregate = Tensor::cat(aggregate.into_iter().flatten().collect(), 1);
        let path = actions.sum_dim(1).squeeze_dim(1);

        let names = ["r2_action", "r2_action_pooled"];
        let mut terms = score(&mut self.action, names, [pairs, between], context);
        let names = ["r2_path", "r2_path_pooled"];
        terms.extend(score(&mut self.path, names, [aggregate, path], context));
        terms
    }

    pub(super) fn save_state(&self, state: &mut SavedState) {
        self.action.save_state("action", state);
        self.path.save_state("path", state);
    }

    pub(super) fn load_state(
        state: &mut SavedState,
        device: &Device,
    ) -> std::result::Result<Self, String> {
        let action = LinearProbe::load_state("action", state, device)?;
        Ok(Self { action, path: LinearProbe::load_state("path", state, device)? })
    }
}

fn score(
    probe: &mut LinearProbe,
    names: [&'static str; 2],
    [features, targets]: [Tensor<2>; 2],
    context: &StepContext,
) -> Vec<(&'static str, Tensor<1>)> {
    let device = features.device();
    let score = context
        .read
        .then(|| probe.score(context.step, features.clone(), targets.clone()))
        .flatten();
    probe.push(context.step, features, targets);
    let values = score.map(|it| [it.uniform, it.pooled]);
    let values = values.into_iter().flatten().map(|it| Tensor::from_floats([it as f32], &device));
    names.into_iter().zip(values).collect()
}
