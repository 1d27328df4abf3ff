//! A direction: from the embedding of one view, r and the editor predict that of another.

use std::collections::BTreeMap;

use burn::tensor::Tensor;

use super::latent::{Inferred, Networks};
use super::views::{THIRD_OF_X, THIRD_OF_Y, X, Y};
use super::{AdaSsl, Directions, Latent, ThirdView};
use crate::method::encoder_projector::EncoderProjector;
use crate::nn::batch_norm::NormMode;
use crate::train::data_parallel::StepContext;
use crate::train::random::{Draws, Stage};

/// Projections `[n, p]` by the index of their view.
pub(super) type Projections = BTreeMap<usize, Tensor<2>>;

/// The projections of a direction, `[n, p]` each.
pub(super) struct Direction {
    pub(super) input: Tensor<2>,
    pub(super) target: Tensor<2>,
    /// What r is inferred from besides the input: the third view, or the target.
    pub(super) posterior_input: Tensor<2>,
}

/// The prediction of a direction, and r with its cost.
pub(super) struct Prediction {
    pub(super) direction: Direction,
    pub(super) inferred: Inferred,
    pub(super) predicted: Tensor<2>,
}

impl AdaSsl {
    /// From x to y, and with `directions = "both"` from y to x. The targets are the teacher's
    /// projections, or the student's without a teacher.
    pub(super) fn directions(
        &self,
        student: &Projections,
        teacher: Option<&Projections>,
    ) -> Vec<Direction> {
        let target = |view: usize| match teacher {
            Some(teacher) => Tensor::from_inner(teacher[&view].clone()),
            None => student[&view].clone(),
        };
        let posterior_input = |third: usize, view: usize| match self.config.third_view {
            ThirdView::None => target(view),
            ThirdView::Next | ThirdView::Augmented => student[&third].clone(),
        };
        let forward = Direction {
            input: student[&X].clone(),
            target: target(Y),
            posterior_input: posterior_input(THIRD_OF_Y, Y),
        };
        if self.config.directions == Directions::Forward {
            return vec![forward];
        }
        let backward = Direction {
            input: student[&Y].clone(),
            target: target(X),
            posterior_input: posterior_input(THIRD_OF_X, X),
        };
        vec![forward, backward]
    }

    /// r ~ q(r | input, posterior input), and ŷ = t(input, r).
    pub(super) fn predict(
        &self,
        networks: &Networks,
        direction: Direction,
        noise: Tensor<2>,
    ) -> Prediction {
        let Direction { input, posterior_input, .. } = &direction;
        let inferred =
            networks.infer(input.clone(), posterior_input.clone(), noise, NormMode::Train);
        let predicted = networks.predict(input.clone(), inferred.r.clone(), NormMode::Train);
        Prediction { direction, inferred, predicted }
    }

    /// The noise of r for each of `directions`, `[n, dim]`.
    pub(super) fn noise(
        &self,
        [n, dim]: [usize; 2],
        directions: usize,
        context: &StepContext,
    ) -> Vec<Tensor<2>> {
        let device = context.autodiff.clone().inner();
        let mut draws = Draws::at(self.seed, context.micro_batch, Stage::Latent, &device);
        let mut draw = || match self.config.latent {
            Latent::Sparse => draws.uniform([n, dim], [0.0, 1.0]),
            Latent::Gaussian | Latent::None => draws.normal([n, dim]),
        };
        (0..directions).map(|_| draw()).collect()
    }
}

/// The projections of `views` in tokens `[n · views, 1 + patches, d]`, of which the first is the
/// embedding. The batch norms take their statistics per view.
pub(super) fn project(
    branch: &EncoderProjector,
    tokens: Tensor<3>,
    views: &[usize],
) -> Projections {
    let [rows, _, d] = tokens.dims();
    let embeddings: Tensor<3> =
        tokens.narrow(1, 0, 1).reshape([rows / views.len(), views.len(), d]);
    let project = |at: usize| {
        branch
            .projector
            .forward(embeddings.clone().narrow(1, at, 1).squeeze_dim(1), NormMode::Train)
    };
    views.iter().enumerate().map(|(at, view)| (*view, project(at))).collect()
}
