//! AdaSSL (Zhang et al., 2026, arXiv 2602.02381): a latent variable r for what the first view
//! cannot tell about the second. It is inferred from both, and edits the first view's embedding. It
//! has a cost, so that it carries no more than it must.
//!
//! ```text
//! e_x = f(x)      e_y = f(y)
//! r   ~ q(r | e_x, e_y)                       or from a third view u in the place of y
//! ŷ   = t(e_x, r)
//! loss = objective(ŷ, y) + β cost(r)          KL(q ‖ p(r | e_x)), or the expected edits
//! ```
//!
//! The objective is contrastive (ŷ finds e_y among all embeddings) or distillation (a predictor of
//! ŷ meets a teacher's projection of y), in both directions or from x to y alone.

mod config;
mod contrastive;
mod dense;
mod direction;
mod distillation;
mod latent;
mod monitor;
#[cfg(test)]
mod reference;
mod views;

pub use config::{Config, Directions, Objective, ThirdView};
pub use dense::DenseConfig;
pub(crate) use latent::Gaussian;
pub use latent::Latent;
pub(crate) use monitor::posterior_collapse;

use burn::module::Module;
use burn::tensor::Tensor;

use super::encoder_projector::EncoderProjector;
use super::two_views::split;
use super::{Futures, Method, Warning};
use crate::loss::pairs::{paired, unit_rows};
use crate::method::Losses;
use crate::nn::batch_norm::NormMode;
use crate::nn::parameters;
use crate::train::data_parallel::{self, StepContext, StepOutput, gathered};
use crate::train::ema;
use crate::train::random::{Draws, Stage};
use crate::{Clips, FrameEncoder};
use dense::Dense;
use direction::{Prediction, Projections, project};
use latent::Networks;
use views::{X, select};

/// The networks that the optimizer trains.
#[derive(Module, Debug)]
pub(crate) struct Student {
    branch: EncoderProjector,
    networks: Networks,
    dense: Option<Dense>,
}

/// AdaSSL with its constants.
pub(crate) struct AdaSsl {
    config: Config,
    seed: u64,
    /// Frames of a view.
    window: usize,
}

/// What the teacher gives of its views.
struct Targets {
    tokens: Tensor<3>,
    projections: Projections,
}

impl AdaSsl {
    /// Views `[n, v, ..]` to tokens `[n · v, 1 + patches, d]`. The first is the embedding, the mean
    /// of the patches; without a dense branch it is alone.
    fn encode(&self, encoder: &FrameEncoder, views: Tensor<5>) -> Tensor<3> {
        let tokens = encoder.forward(views.flatten::<4>(0, 1), NormMode::Train);
        let patches = tokens.dims()[1] - 1;
        let patches = tokens.narrow(1, 1, patches);
        let mean = patches.clone().mean_dim(1);
        match self.config.dense {
            Some(_) => Tensor::cat(vec![mean, patches], 1),
            None => mean,
        }
    }

    /// The teacher's tokens and projections of `views` in `parts`.
    fn teacher_forward(
        &self,
        teacher: &EncoderProjector,
        parts: Vec<Tensor<5>>,
        views: &[usize],
    ) -> Targets {
        let tokens = data_parallel::map(parts, |part| self.encode(&teacher.encoder, part));
        let tokens = Tensor::cat(tokens, 0);
        Targets { projections: project(teacher, tokens.clone(), views), tokens }
    }

    /// objective + β cost + dense, with the metrics.
    fn loss(
        &self,
        student: &Student,
        tokens: Tensor<3>,
        targets: Option<Targets>,
        clips: &Clips,
        context: &StepContext,
    ) -> Losses {
        let networks = &student.networks;
        let [student_views, _] = self.encoded_views();
        let projections = project(&student.branch, tokens.clone(), &student_views);
        let directions = self.directions(&projections, targets.as_ref().map(|it| &it.projections));
        let noise = self.noise([clips.len(), networks.dim()], directions.len(), context);
        let predictions = directions.into_iter().zip(noise);
        let predictions: Vec<_> =
            predictions.map(|(it, noise)| self.predict(networks, it, noise)).collect();
        let forward = &predictions[0];

        let ssl = self.objective(networks, &predictions, clips.videos());
        let cost = predictions.iter().map(|it| it.inferred.cost.clone()).reduce(|a, b| a + b);
        let cost = cost.expect("at least one direction") / predictions.len() as f64;
        let mut total = ssl.clone() + cost.clone() * self.beta(context.progress);
        let mut terms = vec![("ssl", ssl.inner()), (self.cost_name(), cost.inner())];
        if let Some(dense) = &student.dense {
            let loss = self.dense_loss(dense, tokens, targets.map(|it| it.tokens), forward);
            terms.push(("dense", loss.clone().inner()));
            total = total + loss;
        }

        if context.read {
            terms.extend(monitor::usage(networks, forward));
        }
        if let Some([posterior, prior]) = &forward.inferred.gaussians {
            terms.push(("posterior_std", posterior.deviation.clone().inner().mean()));
            terms.push(("prior_std", prior.deviation.clone().inner().mean()));
        }
        if self.config.other_videos {
            let share = contrastive::cross_video_share(clips.videos()) as f32;
            terms.push(("negatives", Tensor::from_floats([share], &clips.device())));
        }
        let embedding = projections[&X].clone().inner();
        let cosine = paired(
            unit_rows(forward.predicted.clone().inner()),
            unit_rows(forward.direction.target.clone().inner()),
        );
        Losses {
            total,
            terms,
            per_clip: vec![("cosine", cosine.flatten(0, 1))],
            tokens: vec![("projection", embedding.clone().unsqueeze_dim(1))],
            projections: Some(embedding),
        }
    }

    fn objective(
        &self,
        networks: &Networks,
        predictions: &[Prediction],
        videos: &[usize],
    ) -> Tensor<1> {
        match self.config.objective {
            Objective::Distillation => distillation::objective(predictions),
            Objective::Contrastive => {
                contrastive::objective(&self.config, networks, predictions, videos)
            }
        }
    }

    /// β, which rises linearly in its warm-up.
    fn beta(&self, progress: f64) -> f64 {
        let warmup = self.config.beta_warmup;
        if warmup > 0.0 {
            self.config.beta * (progress / warmup).min(1.0)
        } else {
            self.config.beta
        }
    }

    fn cost_name(&self) -> &'static str {
        if self.config.latent == Latent::Sparse { "edits" } else { "kl" }
    }
}

impl Method for AdaSsl {
    type Student = Student;
    type Teacher = Option<EncoderProjector>;

    fn step(
        &mut self,
        student: &Student,
        teacher: &Option<EncoderProjector>,
        clips: &Clips,
        context: &StepContext,
    ) -> StepOutput {
        let views = self.views(clips, context);
        let [student_views, teacher_views] = self.encoded_views();
        let encoder = &student.branch.encoder;
        let parts = split(select(&views, &student_views), encoder, context);
        let encoded = gathered(student, context, parts, |student, part| {
            self.encode(&student.branch.encoder, part)
        });
        let targets = teacher.as_ref().map(|teacher| {
            let parts = split(select(&views, &teacher_views), encoder, context);
            self.teacher_forward(teacher, parts, &teacher_views)
        });

        encoded.loss(|student, tokens| self.loss(student, tokens, targets, clips, context))
    }

    fn followed(
        &self,
        student: &Student,
        progress: f64,
    ) -> Option<(Option<EncoderProjector>, f64)> {
        let Config { momentum, momentum_rises, .. } = self.config;
        let momentum = if momentum_rises { ema::cosine(momentum, progress) } else { momentum };
        let has_teacher = self.config.objective == Objective::Distillation;
        has_teacher.then(|| (Some(student.branch.clone()), momentum))
    }

    fn frame_encoder(student: &Student) -> FrameEncoder {
        student.branch.encoder.clone()
    }

    fn least_frames(&self) -> usize {
        self.config.windows() * self.window
    }

    /// Futures of x: r from the prior, then the edit. Batch norms use their running statistics.
    fn futures(
        &self,
        student: &Student,
        teacher: &Option<EncoderProjector>,
        clips: &Clips,
        samples: usize,
    ) -> Option<Futures> {
        let (n, w) = (clips.len(), self.window);
        let student = student.valid();
        let project = |branch: &EncoderProjector, from: usize| {
            let tokens = branch.encoder.forward(clips.window(from, w), NormMode::Evaluate);
            let patches = tokens.dims()[1] - 1;
            let mean: Tensor<2> = tokens.narrow(1, 1, patches).mean_dim(1).squeeze_dim(1);
            branch.projector.forward(mean, NormMode::Evaluate)
        };
        let x = project(&student.branch, 0);
        let predict = |e: Tensor<2>, r: Option<Tensor<2>>| {
            unit_rows(student.networks.predict(e, r, NormMode::Evaluate))
        };
        let prior = student.networks.prior(x.clone(), NormMode::Evaluate);
        let expected = predict(x.clone(), prior.as_ref().map(|it| it.mean.clone()));
        let mut draws = Draws::at(self.seed, u64::MAX, Stage::Latent, &clips.device());
        let samples = (0..samples).map(|_| match &prior {
            Some(prior) => {
                let noise = draws.normal([n, student.networks.dim()]);
                predict(x.clone(), Some(prior.sample(noise)))
            }
            None => expected.clone(),
        });
        let samples = samples.collect();
        let actual = unit_rows(project(teacher.as_ref().unwrap_or(&student.branch), w));
        Some(Futures::new(samples, expected, actual))
    }

    fn warnings(&self, values: &[(String, f32)], progress: f64) -> Vec<Warning> {
        self.check(values, progress)
    }

    fn parameters(&self, student: &Student) -> Vec<(&'static str, usize)> {
        let mut all = student.branch.parameters();
        all.push(("prior, posterior and editor", parameters::count(&student.networks)));
        all.extend(student.dense.iter().map(|it| ("dense branch", parameters::count(it))));
        all
    }
}
