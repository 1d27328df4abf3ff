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
//! Encodings keep what actions change, the aggregate what they leave alone: the first are
//! equivariant, the second is invariant, and no loss but this one asks for either.

mod aggregator;
mod config;
mod looks;
#[cfg(test)]
mod reference;

pub use config::Config;
pub use looks::Actions;

use std::path::Path;

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};

use super::two_views::parts;
use super::{Method, Recalled};
use crate::export::safetensors;
use crate::loss::Losses;
use crate::loss::cosine::cosine_distance;
use crate::loss::pairs::{paired, unit_rows};
use crate::metrics::linear_probe::LinearProbe;
use crate::nn::batch_norm::NormMode;
use crate::nn::mlp::NormedMlp;
use crate::nn::parameters;
use crate::train::data_parallel::{self, Done, Work, together};
use crate::train::ema;
use crate::train::random::{Draws, Stage};
use crate::train::state::tensors::Kept;
use crate::{Clips, EncoderChoice, FrameEncoder, Result};
use aggregator::{ActionEmbedding, Aggregator, Dropout};
use looks::{Eye, Looks};

/// The networks that learn.
#[derive(Module, Debug)]
pub(crate) struct Student {
    encoder: FrameEncoder,
    behind: Behind,
}

/// Everything behind the encoder.
#[derive(Module, Debug)]
pub(crate) struct Behind {
    action_proj: Option<ActionEmbedding>,
    aggregator: Aggregator,
    predictor: NormedMlp,
}

/// The method's state beside the student.
pub(crate) struct SeqJepa {
    config: Config,
    eye: Eye,
    /// Of the encoder alone.
    teacher: FrameEncoder,
    /// What two encodings tell of the action between them.
    action: LinearProbe,
    /// What the aggregate tells of the way from the first view to the target.
    path: LinearProbe,
}

/// What the networks make of a sequence.
struct Thought {
    /// `[n, d + action_dim]`.
    aggregate: Tensor<2>,
    /// e(a_M), `[n, action_dim]`.
    last_action: Option<Tensor<2>>,
    /// ẑ, `[n, d]`.
    predicted: Tensor<2>,
}

impl Behind {
    /// From encodings `[n, m, d]` of the observed views and the actions `[n, m, a]` that follow
    /// each. `counted` is what the actions beside the observed views are in the statistics of
    /// their batch norm, where the last is no longer needed.
    fn think(
        &self,
        observed: Tensor<3>,
        actions: Tensor<3>,
        counted: Tensor<3>,
        mode: NormMode,
        dropout: &mut Option<Dropout>,
    ) -> Thought {
        let [n, m, a] = actions.dims();
        let Some(action_proj) = &self.action_proj else {
            let aggregate = self.aggregator.forward(observed, dropout);
            let predicted = self.predictor.forward(aggregate.clone(), mode);
            return Thought { aggregate, last_action: None, predicted };
        };
        let beside = action_proj.observed(counted, mode);
        let aggregate = self.aggregator.forward(Tensor::cat(vec![observed, beside], 2), dropout);
        let last: Tensor<2> = actions.narrow(1, m - 1, 1).reshape([n, a]);
        let last = action_proj.forward(last, mode);
        let seen = Tensor::cat(vec![aggregate.clone(), last.clone()], 1);
        let predicted = self.predictor.forward(seen, mode);
        Thought { aggregate, last_action: Some(last), predicted }
    }
}

/// The actions with zeros in the place of the last, as the authors count them for fixations.
fn without_last(actions: Tensor<3>) -> Tensor<3> {
    let [n, m, a] = actions.dims();
    let none = Tensor::zeros([n, 1, a], &actions.device());
    if m == 1 { none } else { Tensor::cat(vec![actions.narrow(1, 0, m - 1), none], 1) }
}

/// `1 − mean cos(ẑ, z̄)`.
fn loss(thought: &Thought, target: Tensor<2>) -> Tensor<1> {
    cosine_distance(thought.predicted.clone(), target)
}

/// The vector that stands for every image, `[n, d]`.
fn encode(encoder: &FrameEncoder, images: Tensor<4>, mode: NormMode) -> Tensor<2> {
    encoder.forward(images, mode).narrow(1, 0, 1).squeeze_dim(1)
}

impl SeqJepa {
    fn dropout(&self, work: &Work) -> Option<Dropout> {
        let probability = self.config.dropout;
        let device = work.tracked.clone().inner();
        (probability > 0.0).then(|| {
            let draws = Draws::at(self.eye.seed, work.number, Stage::Dropout, &device);
            Dropout { probability, draws }
        })
    }

    /// Both probes' features with what they are asked for: encodings of neighbouring views with
    /// the action between them, and the aggregate with all the way.
    fn asked(
        &self,
        observed: &Tensor<3>,
        thought: &Thought,
        actions: &Tensor<3>,
    ) -> [Option<[Tensor<2>; 2]>; 2] {
        let [n, m, d] = observed.dims();
        let changes: Vec<i64> = self.eye.changes().iter().map(|it| *it as i64).collect();
        let changes = Tensor::<1, Int>::from_data(changes.as_slice(), &actions.device());
        let actions = actions.clone().select(2, changes);
        let k = actions.dims()[2];
        let pairs = (m > 1).then(|| {
            let view = |from| observed.clone().narrow(1, from, m - 1);
            let rows = n * (m - 1);
            let features = Tensor::cat(vec![view(0), view(1)], 2).reshape([rows, 2 * d]);
            [features, actions.clone().narrow(1, 0, m - 1).reshape([rows, k])]
        });
        // With one view the way is the last action, which the aggregate's companion tells by itself.
        let way = (m > 1).then(|| {
            let all = [Some(thought.aggregate.clone()), thought.last_action.clone()];
            let features = Tensor::cat(all.into_iter().flatten().collect(), 1);
            [features, actions.sum_dim(1).squeeze_dim(1)]
        });
        [pairs, way]
    }

    /// Scores the probes, when somebody reads, and keeps what they were asked.
    fn ask(
        &mut self,
        asked: [Option<[Tensor<2>; 2]>; 2],
        work: &Work,
    ) -> Vec<(&'static str, Tensor<1>)> {
        let probes = [
            (&mut self.action, ["r2_action", "r2_action_pooled"]),
            (&mut self.path, ["r2_path", "r2_path_pooled"]),
        ];
        let mut terms = Vec::new();
        for ((probe, names), asked) in probes.into_iter().zip(asked) {
            let Some([features, targets]) = asked else { continue };
            let device = features.device();
            let score = work
                .read
                .then(|| probe.score(work.step, features.clone(), targets.clone()))
                .flatten();
            if let Some(score) = score {
                let values = [score.uniform, score.pooled];
                let values = values.map(|it| Tensor::from_floats([it as f32], &device));
                terms.extend(names.into_iter().zip(values));
            }
            probe.push(work.step, features, targets);
        }
        terms
    }
}

impl Method for SeqJepa {
    type Student = Student;

    fn has_teacher(&self) -> bool {
        true
    }

    fn step(&mut self, student: &Student, clips: &Clips, work: &Work) -> Done {
        let (n, m) = (clips.len(), self.config.observed);
        let Looks { views, actions } = self.eye.look(clips, work.number);
        let last = parts(views.clone().narrow(1, m, 1), &student.encoder, work);
        let see = |part: Tensor<5>| encode(&self.teacher, part.flatten(0, 1), NormMode::Train);
        let target = Tensor::cat(data_parallel::map(last, see), 0);
        let observed = parts(views.narrow(1, 0, m), &student.encoder, work);
        let see = |student: &Student, part: Tensor<5>| {
            let images = Tensor::from_inner(part.flatten::<4>(0, 1));
            encode(&student.encoder, images, NormMode::Train)
        };
        let mut dropout = self.dropout(work);
        let mut asked = [None, None];
        let mut done = together(student, work, observed, see, |student, encodings| {
            let d = encodings.dims()[1];
            let observed: Tensor<3> = encodings.reshape([n, m, d]);
            let told = Tensor::from_inner(actions.clone());
            let counted = without_last(told.clone());
            let thought = student.behind.think(
                observed.clone(),
                told,
                counted,
                NormMode::Train,
                &mut dropout,
            );
            let total = loss(&thought, Tensor::from_inner(target.clone()));
            let observed = observed.inner();
            let thought = Thought {
                aggregate: thought.aggregate.inner(),
                last_action: thought.last_action.map(Tensor::inner),
                predicted: thought.predicted.inner(),
            };
            asked = self.asked(&observed, &thought, &actions);
            let cosine = paired(unit_rows(thought.predicted.clone()), unit_rows(target.clone()));
            Losses {
                total,
                terms: Vec::new(),
                per_clip: vec![("cosine", cosine.flatten(0, 1))],
                tokens: vec![
                    ("frame", observed),
                    ("aggregate", thought.aggregate.clone().unsqueeze_dim(1)),
                    ("teacher", target.unsqueeze_dim(1)),
                ],
                projections: Some(thought.predicted),
            }
        });
        let terms = self.ask(asked, work);
        done.losses[0].0.terms.extend(terms);
        done
    }

    fn after_step(&mut self, student: &Student, progress: f64) {
        let momentum = ema::cosine(self.config.momentum, progress);
        self.teacher = ema::update(self.teacher.clone(), &student.encoder, momentum);
    }

    fn encoder(&self, student: &Student, choice: EncoderChoice) -> FrameEncoder {
        match choice {
            EncoderChoice::Teacher => self.teacher.clone(),
            EncoderChoice::Student => student.encoder.valid(),
        }
    }

    fn least_frames(&self) -> usize {
        match self.config.actions {
            Actions::Fixation | Actions::Augment => 1,
            Actions::Camera | Actions::Telemetry => self.eye.views,
        }
    }

    /// The aggregate of a sequence of views, which the seed decides.
    fn vectors(&self, student: &Student, clips: &Clips) -> Vec<(&'static str, Tensor<2>)> {
        let (n, m) = (clips.len(), self.config.observed);
        let student = student.valid();
        let Looks { views, actions } = self.eye.look(clips, u64::MAX);
        let images = views.narrow(1, 0, m).flatten::<4>(0, 1);
        let encodings = encode(&student.encoder, images, NormMode::Evaluate);
        let d = encodings.dims()[1];
        let counted = without_last(actions.clone());
        let thought = student.behind.think(
            encodings.reshape([n, m, d]),
            actions,
            counted,
            NormMode::Evaluate,
            &mut None,
        );
        vec![("aggregate", thought.aggregate)]
    }

    fn parameters(&self, student: &Student) -> Vec<(&'static str, usize)> {
        let Behind { action_proj, aggregator, predictor } = &student.behind;
        vec![
            ("frame encoder", parameters::count(&student.encoder)),
            ("action embedding", parameters::count(action_proj)),
            ("aggregator", parameters::count(aggregator)),
            ("predictor", parameters::count(predictor)),
        ]
    }

    fn save_teacher(&self, folder: &Path) -> Result<()> {
        safetensors::save(&self.teacher, &folder.join("teacher.safetensors"))
    }

    fn load_teacher(&mut self, folder: &Path) -> Result<()> {
        self.teacher =
            safetensors::load(self.teacher.clone(), &folder.join("teacher.safetensors"))?;
        Ok(())
    }

    fn remember(&self, kept: &mut Kept) {
        self.action.save_state("action", kept);
        self.path.save_state("path", kept);
    }

    fn recall(&mut self, kept: &mut Kept, device: &Device) -> Recalled {
        self.action = LinearProbe::load_state("action", kept, device)?;
        self.path = LinearProbe::load_state("path", kept, device)?;
        Ok(())
    }
}
