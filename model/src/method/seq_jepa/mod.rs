//! seq-JEPA (Ghaemi et al., 2025, arXiv 2505.03176): views and the actions between them predict
//! the next view.
//!
//! ```text
//! z_i    = f(x_i)                                         i = 1..M
//! z_AGG  = g([AGG], (z_1, e(a_1)), .., (z_{M−1}, e(a_{M−1})), (z_M, 0))
//! ẑ      = h(z_AGG, e(a_M))
//! loss   = 1 − cos(ẑ, sg f̄(x_{M+1}))
//! ```
//!
//! The encodings keep what the actions change and become equivariant; the aggregate keeps what they
//! do not change and becomes invariant. No other loss asks for either.

mod aggregator;
mod config;
mod frames;
mod heads;
mod probes;
#[cfg(test)]
mod reference;
mod views;

pub use config::Config;
pub use views::Actions;

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::Method;
use super::two_views::split;
use crate::loss::cosine::cosine_distance;
use crate::loss::pairs::{paired, unit_rows};
use crate::method::Losses;
use crate::nn::batch_norm::NormMode;
use crate::nn::parameters;
use crate::train::data_parallel::{self, StepContext, StepOutput, gathered};
use crate::train::ema;
use crate::train::random::{Draws, Stage};
use crate::train::state::SavedState;
use crate::{Clips, FrameEncoder};
use aggregator::Dropout;
use heads::{Heads, Prediction, without_last};
use probes::Probes;
use views::{ViewSampler, ViewSequence};

/// The networks that the optimizer trains.
#[derive(Module, Debug)]
pub(crate) struct Student {
    encoder: FrameEncoder,
    heads: Heads,
}

/// seq-JEPA with its probes.
pub(crate) struct SeqJepa {
    config: Config,
    sampler: ViewSampler,
    probes: Probes,
}

/// `1 − mean cos(ẑ, sg z̄)`.
fn loss(prediction: &Prediction, target: Tensor<2>) -> Tensor<1> {
    cosine_distance(prediction.predicted.clone(), target)
}

/// The embeddings of views `[n, v, 3, h, w]`, `[n · v, d]`.
fn encode(encoder: &FrameEncoder, views: Tensor<5>, mode: NormMode) -> Tensor<2> {
    encoder.forward(views.flatten(0, 1), mode).narrow(1, 0, 1).squeeze_dim(1)
}

impl SeqJepa {
    fn dropout(&self, context: &StepContext) -> Option<Dropout> {
        let probability = self.config.dropout;
        let device = context.autodiff.clone().inner();
        (probability > 0.0).then(|| {
            let draws = Draws::at(self.sampler.seed, context.micro_batch, Stage::Dropout, &device);
            Dropout { probability, draws }
        })
    }
}

impl Method for SeqJepa {
    type Student = Student;
    /// The moving average of the encoder alone.
    type Teacher = FrameEncoder;

    fn step(
        &mut self,
        student: &Student,
        teacher: &FrameEncoder,
        clips: &Clips,
        context: &StepContext,
    ) -> StepOutput {
        let (n, m) = (clips.len(), self.config.observed);
        let ViewSequence { views, actions } = self.sampler.sample(clips, context.micro_batch);
        let [observed, last] = [(0, m), (m, 1)].map(|(from, len)| {
            split(views.clone().narrow(1, from, len), &student.encoder, context)
        });
        let encoded = gathered(student, context, observed, |student, part| {
            encode(&student.encoder, part, NormMode::Train)
        });
        let targets = data_parallel::map(last, |part| encode(teacher, part, NormMode::Train));
        let target = Tensor::cat(targets, 0);

        let mut dropout = self.dropout(context);
        let changes = self.sampler.changes();
        encoded.loss(|student, encodings| {
            let d = encodings.dims()[1];
            let observed: Tensor<3> = encodings.reshape([n, m, d]);
            let inputs = Tensor::from_inner(actions.clone());
            let prediction = student.heads.forward(
                observed.clone(),
                inputs.clone(),
                without_last(inputs),
                NormMode::Train,
                &mut dropout,
            );
            let total = loss(&prediction, target.clone());

            let (observed, prediction) = (observed.inner(), prediction.inner());
            let terms = self.probes.probe(&observed, &prediction, &actions, &changes, context);
            let cosine = paired(unit_rows(prediction.predicted.clone()), unit_rows(target.clone()));
            Losses {
                total,
                terms,
                per_clip: vec![("cosine", cosine.flatten(0, 1))],
                tokens: vec![
                    ("frame", observed),
                    ("aggregate", prediction.aggregate.unsqueeze_dim(1)),
                    ("teacher", target.unsqueeze_dim(1)),
                ],
                projections: Some(prediction.predicted),
            }
        })
    }

    fn followed(&self, student: &Student, progress: f64) -> Option<(FrameEncoder, f64)> {
        Some((student.encoder.clone(), ema::cosine(self.config.momentum, progress)))
    }

    fn frame_encoder(student: &Student) -> FrameEncoder {
        student.encoder.clone()
    }

    fn least_frames(&self) -> usize {
        match self.config.actions {
            Actions::Fixation | Actions::Augment => 1,
            Actions::Camera | Actions::Telemetry => self.sampler.views,
        }
    }

    /// The aggregate of a sequence of views, which depends on the seed alone.
    fn vectors(&self, student: &Student, clips: &Clips) -> Vec<(&'static str, Tensor<2>)> {
        let (n, m) = (clips.len(), self.config.observed);
        let student = student.valid();
        let ViewSequence { views, actions } = self.sampler.sample(clips, u64::MAX);
        let encodings = encode(&student.encoder, views.narrow(1, 0, m), NormMode::Evaluate);
        let d = encodings.dims()[1];
        let prediction = student.heads.forward(
            encodings.reshape([n, m, d]),
            actions.clone(),
            without_last(actions),
            NormMode::Evaluate,
            &mut None,
        );
        vec![("aggregate", prediction.aggregate)]
    }

    fn parameters(&self, student: &Student) -> Vec<(&'static str, usize)> {
        let Heads { action_proj, aggregator, predictor } = &student.heads;
        vec![
            ("frame encoder", parameters::count(&student.encoder)),
            ("action embedding", parameters::count(action_proj)),
            ("aggregator", parameters::count(aggregator)),
            ("predictor", parameters::count(predictor)),
        ]
    }

    fn save_state(&self, state: &mut SavedState) {
        self.probes.save_state(state);
    }

    fn load_state(
        &mut self,
        state: &mut SavedState,
        device: &Device,
    ) -> std::result::Result<(), String> {
        self.probes = Probes::load_state(state, device)?;
        Ok(())
    }
}
