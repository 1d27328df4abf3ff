//! AdaSSL (Zhang et al., 2026, arXiv 2602.02381): a latent variable r for what the first view
//! cannot tell of the second. It is inferred from both, edits the first view's embedding, and is
//! paid for, so that it carries no more than it must.
//!
//! ```text
//! e_x = f(x)      e_y = f(y)
//! r   ~ q(r | e_x, e_y)                       or from a third view u in the place of y
//! ŷ   = t(e_x, r)
//! loss = objective(ŷ, y) + β cost(r)          KL(q ‖ p(r | e_x)), or the expected edits
//! ```
//!
//! The objective is contrastive (ŷ finds e_y among all embeddings) or distilled (a predictor of ŷ
//! meets a teacher's projection of y), and works in both directions or from x to y alone.

mod config;
mod dense;
mod latent;
#[cfg(test)]
mod reference;

pub use config::{Config, Directions, Objective, ThirdView};
pub use dense::DenseConfig;
pub(crate) use latent::Gaussian;
pub use latent::Latent;

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::Module;
use burn::tensor::Tensor;

use super::two_views::{self, Branch};
use super::{Futures, Method, Warning};
use crate::export::safetensors;
use crate::loss::Losses;
use crate::loss::contrastive::{one_way_nt_xent, two_way_nt_xent};
use crate::loss::cosine::cosine_distance;
use crate::loss::pairs::{paired, same_group, unit_rows};
use crate::nn::batch_norm::NormMode;
use crate::nn::parameters;
use crate::train::data_parallel::{self, Done, Work, together};
use crate::train::ema;
use crate::train::random::{Draws, Stage};
use crate::{Clips, EncoderChoice, FrameEncoder, Pool, Result};
use dense::Dense;
use latent::{Drawn, Networks};

/// The networks that learn.
#[derive(Module, Debug)]
pub(crate) struct Student {
    branch: Branch,
    networks: Networks,
    dense: Option<Dense>,
}

/// The method's state beside the student.
pub(crate) struct AdaSsl {
    config: Config,
    seed: u64,
    window: usize,
    /// Of the distilled objective.
    teacher: Option<Branch>,
}

/// Embeddings of what a direction goes from and to, and of what r is inferred from, `[n, d]`.
struct Way {
    from: Tensor<2>,
    to: Tensor<2>,
    shown: Tensor<2>,
}

/// One direction's prediction, and what r cost.
struct Gone {
    way: Way,
    drawn: Drawn,
    predicted: Tensor<2>,
}

impl AdaSsl {
    /// The views x, y and what r is inferred from beside x (and beside y, for the way back):
    /// `[n, views, 3 · window, h, w]`.
    fn views(&self, clips: &Clips, work: &Work) -> Tensor<5> {
        let w = self.window;
        let starts: &[usize] = match (self.config.third_view, self.config.directions) {
            (ThirdView::None, _) => &[0, 1],
            (ThirdView::Next, _) => &[0, 1, 2],
            (ThirdView::Augmented, Directions::Forward) => &[0, 1, 1],
            (ThirdView::Augmented, Directions::Both) => &[0, 1, 1, 0],
        };
        let views = starts.iter().map(|it| clips.window(it * w, w).unsqueeze_dim::<5>(1));
        let views = Tensor::cat(views.collect(), 1);
        let Some(augment) = &self.config.augment else { return views };
        let [n, v, channels, height, width] = views.dims();
        let windows = views.reshape([n * v, w, 3, height, width]);
        let mut draws = Draws::at(self.seed, work.number, Stage::Augment, &clips.device());
        augment.augment(windows, &mut draws, true).reshape([n, v, channels, height, width])
    }

    /// Which of the views the student sees, and which the teacher. A view that only one of them
    /// needs is none of the other's business, nor of its batch norms'.
    fn seen_by(&self) -> [Vec<usize>; 2] {
        let both = self.config.directions == Directions::Both;
        let thirds = match self.config.third_view {
            ThirdView::None => 0,
            ThirdView::Augmented if both => 2,
            ThirdView::Next | ThirdView::Augmented => 1,
        };
        if self.teacher.is_none() {
            return [(0..2 + thirds).collect(), Vec::new()];
        }
        let student = (0..2 + thirds).filter(|it| *it != 1 || both).collect();
        [student, if both { vec![0, 1] } else { vec![1] }]
    }

    /// What the encoder says of views that nothing tracks, `[n · v, places, d]`: the mean of the
    /// patches, and all tokens behind it when the dense branch needs them.
    fn see(&self, encoder: &FrameEncoder, images: Tensor<4>) -> Tensor<3> {
        let tokens = encoder.forward(images, NormMode::Train);
        let places = tokens.dims()[1] - 1;
        let patches = tokens.narrow(1, 1, places);
        let mean = patches.clone().mean_dim(1);
        match self.config.dense {
            Some(_) => Tensor::cat(vec![mean, patches], 1),
            None => mean,
        }
    }

    /// What the teacher says of the same views.
    fn look_ahead(&self, parts: &[Tensor<5>]) -> Option<Tensor<3>> {
        let teacher = self.teacher.as_ref()?;
        let see = |part: Tensor<5>| self.see(&teacher.encoder, part.flatten(0, 1));
        Some(Tensor::cat(data_parallel::map(parts.to_vec(), see), 0))
    }

    /// Both ways, or the way from x to y. `online` holds the student's projections of the views,
    /// `still` the teacher's, which an r may see where no third view is.
    fn ways(&self, online: &Projected, still: Option<&Projected>) -> Vec<Way> {
        let target = |idx: usize| match still {
            Some(still) => Tensor::from_inner(still[&idx].clone()),
            None => online[&idx].clone(),
        };
        let shown = |third: usize, idx: usize| match self.config.third_view {
            ThirdView::None => target(idx),
            ThirdView::Next | ThirdView::Augmented => online[&third].clone(),
        };
        let there = Way { from: online[&0].clone(), to: target(1), shown: shown(2, 1) };
        if self.config.directions == Directions::Forward {
            return vec![there];
        }
        let back = Way { from: online[&1].clone(), to: target(0), shown: shown(3, 0) };
        vec![there, back]
    }

    fn go(&self, networks: &Networks, way: Way, noise: Tensor<2>) -> Gone {
        let drawn = networks.infer(way.from.clone(), way.shown.clone(), noise, NormMode::Train);
        let (from, r) = (way.from.clone(), drawn.r.clone());
        let predicted = match self.config.objective {
            Objective::Distillation => networks.predict(from, r, NormMode::Train),
            Objective::Contrastive => networks.edit(from, r, NormMode::Train),
        };
        Gone { way, drawn, predicted }
    }

    /// The objective over all directions.
    fn objective(&self, networks: &Networks, gone: &[Gone], videos: &[usize]) -> Tensor<1> {
        let distances = gone.iter().map(|it| {
            // −cos, as the authors write it; the target is a constant inside.
            cosine_distance(it.predicted.clone(), it.way.to.clone()) - 1.0
        });
        if self.config.objective == Objective::Distillation {
            return distances.reduce(|a, b| a + b).expect("at least one direction");
        }
        self.contrast(networks, gone, videos)
    }

    /// Contexts against embeddings. The way from x to y alone has negatives among the y.
    fn contrast(&self, networks: &Networks, gone: &[Gone], videos: &[usize]) -> Tensor<1> {
        let predicted: Vec<_> = gone.iter().map(|it| it.predicted.clone()).collect();
        let to: Vec<_> = gone.iter().map(|it| it.way.to.clone()).collect();
        // Predictions of x stand before those of y, and embeddings likewise.
        let (contexts, targets) = match gone.len() {
            1 => (predicted[0].clone(), to[0].clone()),
            _ => (
                Tensor::cat(vec![predicted[1].clone(), predicted[0].clone()], 0),
                Tensor::cat(vec![to[1].clone(), to[0].clone()], 0),
            ),
        };
        let device = contexts.device();
        let scale = networks.scale().unwrap_or_else(|| Tensor::ones([1], &device));
        let excluded = self.config.other_videos.then(|| {
            let n = videos.len();
            let mask = same_group(videos, &device);
            if gone.len() == 1 { mask.slice([0..n, 0..n]) } else { mask }
        });
        if gone.len() == 1 {
            return one_way_nt_xent(contexts, targets, scale, self.config.temperature, excluded);
        }
        two_way_nt_xent(contexts, targets, scale, self.config.temperature, excluded)
    }

    /// β at this point of the run.
    fn beta(&self, progress: f64) -> f64 {
        let warmup = self.config.beta_warmup;
        if warmup > 0.0 {
            self.config.beta * (progress / warmup).min(1.0)
        } else {
            self.config.beta
        }
    }

    fn noise(&self, n: usize, dim: usize, ways: usize, work: &Work) -> Vec<Tensor<2>> {
        let device = work.tracked.clone().inner();
        let mut draws = Draws::at(self.seed, work.number, Stage::Latent, &device);
        let mut draw = || match self.config.latent {
            Latent::Sparse => draws.uniform([n, dim], [0.0, 1.0]),
            Latent::Gaussian | Latent::None => draws.normal([n, dim]),
        };
        (0..ways).map(|_| draw()).collect()
    }

    /// How well the way from x to y is predicted with r from the posterior, without knowing y,
    /// and with another clip's r. Statistics of batch norms stay as they are.
    fn usage(&self, student: &Student, gone: &Gone) -> Vec<(&'static str, Tensor<1>)> {
        let networks = student.networks.valid();
        let from = gone.way.from.clone().inner();
        let to = gone.way.to.clone().inner();
        let cosine = |r: Option<Tensor<2>>| {
            let predicted = match self.config.objective {
                Objective::Distillation => networks.predict(from.clone(), r, NormMode::Train),
                Objective::Contrastive => networks.edit(from.clone(), r, NormMode::Train),
            };
            cosine_distance(predicted, to.clone()) - 1.0
        };
        let Some(r) = gone.drawn.r.clone().map(Tensor::inner) else {
            return vec![("minus_cosine", cosine(None))];
        };
        let n = r.dims()[0];
        let shuffled =
            Tensor::cat(vec![r.clone().narrow(0, n - 1, 1), r.clone().narrow(0, 0, n - 1)], 0);
        let unknown = match networks.prior(from.clone(), NormMode::Train) {
            Some(prior) => prior.mean,
            None => r.zeros_like(),
        };
        let (posterior, shuffled) = (cosine(Some(r)), cosine(Some(shuffled)));
        vec![
            ("minus_cosine", posterior.clone()),
            ("minus_cosine_prior", cosine(Some(unknown))),
            ("minus_cosine_shuffled", shuffled.clone()),
            ("usage_gap", shuffled - posterior),
        ]
    }

    fn meet(
        &self,
        student: &Student,
        seen: Tensor<3>,
        ahead: Option<Tensor<3>>,
        clips: &Clips,
        work: &Work,
    ) -> Losses {
        let n = clips.len();
        let [by_student, by_teacher] = self.seen_by();
        let online = projections(&student.branch, seen.clone(), &by_student);
        let still = ahead.as_ref().zip(self.teacher.as_ref());
        let still = still.map(|(ahead, teacher)| projections(teacher, ahead.clone(), &by_teacher));
        let ways = self.ways(&online, still.as_ref());
        let noise = self.noise(n, student.networks.dim(), ways.len(), work);
        let gone = ways.into_iter().zip(noise);
        let gone: Vec<_> =
            gone.map(|(way, noise)| self.go(&student.networks, way, noise)).collect();
        let ssl = self.objective(&student.networks, &gone, clips.videos());
        let cost = gone.iter().map(|it| it.drawn.cost.clone()).reduce(|a, b| a + b);
        let cost = cost.expect("at least one direction") / gone.len() as f64;
        let mut total = ssl.clone() + cost.clone() * self.beta(work.progress);

        let mut terms = vec![("ssl", ssl.inner()), (self.cost_name(), cost.inner())];
        if let Some(dense) = &student.dense {
            let loss = self.dense_loss(dense, seen, ahead, &gone[0]);
            terms.push(("dense", loss.clone().inner()));
            total = total + loss;
        }
        if work.read {
            terms.extend(self.usage(student, &gone[0]));
        }
        if let Some([posterior, prior]) = &gone[0].drawn.gaussians {
            terms.push(("posterior_std", posterior.deviation.clone().inner().mean()));
            terms.push(("prior_std", prior.deviation.clone().inner().mean()));
        }
        if self.config.other_videos {
            let share = strangers(clips.videos()) as f32;
            terms.push(("negatives", Tensor::from_floats([share], &clips.device())));
        }
        let embedding = online[&0].clone().inner();
        let cosine = paired(
            unit_rows(gone[0].predicted.clone().inner()),
            unit_rows(gone[0].way.to.clone().inner()),
        );
        Losses {
            total,
            terms,
            per_clip: vec![("cosine", cosine.flatten(0, 1))],
            tokens: vec![("projection", embedding.clone().unsqueeze_dim(1))],
            projections: Some(embedding),
        }
    }

    /// The patches of y, predicted from those of x and r, against the teacher's or, without one,
    /// the student's own standing still.
    fn dense_loss(
        &self,
        dense: &Dense,
        seen: Tensor<3>,
        ahead: Option<Tensor<3>>,
        there: &Gone,
    ) -> Tensor<1> {
        let patches = |tokens: Tensor<3>, views: &[usize], view: usize| {
            let [rows, places, d] = tokens.dims();
            let at = views.iter().position(|it| *it == view).expect("a view that is seen");
            let all: Tensor<4> = tokens.reshape([rows / views.len(), views.len(), places, d]);
            let view: Tensor<3> = all.narrow(1, at, 1).squeeze_dim(1);
            view.narrow(1, 1, places - 1)
        };
        let [by_student, by_teacher] = self.seen_by();
        let target = match ahead {
            Some(ahead) => patches(ahead, &by_teacher, 1),
            None => patches(seen.clone().inner(), &by_student, 1),
        };
        let coeff = self.config.dense.as_ref().map_or(0.0, |it| it.coeff);
        dense.loss(patches(seen, &by_student, 0), there.drawn.r.clone(), target) * coeff
    }

    fn cost_name(&self) -> &'static str {
        if self.config.latent == Latent::Sparse { "edits" } else { "kl" }
    }
}

/// Projections `[n, p]` by view.
type Projected = BTreeMap<usize, Tensor<2>>;

/// The projections of `views` in `[n · v, places, d]`. Every view is a batch of its own to the
/// projector's batch norms.
fn projections(branch: &Branch, seen: Tensor<3>, views: &[usize]) -> Projected {
    let [rows, _, d] = seen.dims();
    let means: Tensor<3> = seen.narrow(1, 0, 1).reshape([rows / views.len(), views.len(), d]);
    let project = |at: usize| {
        branch.projector.forward(means.clone().narrow(1, at, 1).squeeze_dim(1), NormMode::Train)
    };
    views.iter().enumerate().map(|(at, view)| (*view, project(at))).collect()
}

/// `[n, views, ..]` of which only some are kept.
fn only(views: &Tensor<5>, wanted: &[usize]) -> Tensor<5> {
    let wanted = wanted.iter().map(|it| views.clone().narrow(1, *it, 1));
    Tensor::cat(wanted.collect(), 1)
}

/// The share of a clip's others in the batch that are of other videos, mean over the clips.
fn strangers(videos: &[usize]) -> f64 {
    let n = videos.len();
    let pairs = videos.iter().flat_map(|a| videos.iter().map(move |b| a != b));
    pairs.filter(|it| *it).count() as f64 / (n * n.saturating_sub(1)).max(1) as f64
}

/// Below this many nats, r says nothing.
const COLLAPSED: f32 = 0.1;
/// Above this many nats, with the objective near its floor, r says everything.
const LEAKING: f32 = 50.0;
/// What counts as near the floor of −cos.
const FLOOR: f32 = -0.95;

/// A warning when the posterior tells nothing that the prior does not.
pub(crate) fn collapse(kl: f32) -> Option<Warning> {
    let message = || {
        format!(
            "the posterior has collapsed: {kl:.3} nats, so that r says nothing; lower \
             model.method.beta, or lengthen its warm-up where it has one"
        )
    };
    (kl < COLLAPSED).then(|| Warning { kind: "posterior collapse", message: message() })
}

impl Method for AdaSsl {
    type Student = Student;

    fn has_teacher(&self) -> bool {
        self.teacher.is_some()
    }

    fn step(&mut self, student: &Student, clips: &Clips, work: &Work) -> Done {
        let views = self.views(clips, work);
        let [by_student, by_teacher] = self.seen_by();
        let encoder = &student.branch.encoder;
        let ahead = (!by_teacher.is_empty())
            .then(|| self.look_ahead(&two_views::parts(only(&views, &by_teacher), encoder, work)))
            .flatten();
        let parts = two_views::parts(only(&views, &by_student), encoder, work);
        let see = |student: &Student, part: Tensor<5>| {
            self.see(&student.branch.encoder, Tensor::from_inner(part.flatten::<4>(0, 1)))
        };
        together(student, work, parts, see, |student, seen| {
            self.meet(student, seen, ahead, clips, work)
        })
    }

    fn after_step(&mut self, student: &Student, progress: f64) {
        let config = &self.config;
        let momentum = if config.momentum_rises {
            ema::cosine(config.momentum, progress)
        } else {
            config.momentum
        };
        let teacher = self.teacher.take();
        self.teacher = teacher.map(|it| ema::update(it, &student.branch, momentum));
    }

    fn encoder(&self, student: &Student, choice: EncoderChoice) -> FrameEncoder {
        match (&self.teacher, choice) {
            (Some(teacher), EncoderChoice::Teacher) => teacher.encoder.clone(),
            _ => student.branch.encoder.valid(),
        }
    }

    fn least_frames(&self) -> usize {
        self.config.windows() * self.window
    }

    /// Futures of x: r from the prior, then the edit; with running statistics throughout.
    fn futures(&self, student: &Student, clips: &Clips, samples: usize) -> Option<Futures> {
        let (n, w) = (clips.len(), self.window);
        let student = student.valid();
        let project = |branch: &Branch, from: usize| {
            let seen = branch.encoder.forward(clips.window(from, w), NormMode::Evaluate);
            let places = seen.dims()[1] - 1;
            let mean: Tensor<2> = seen.narrow(1, 1, places).mean_dim(1).squeeze_dim(1);
            branch.projector.forward(mean, NormMode::Evaluate)
        };
        let x = project(&student.branch, 0);
        let predict = |e: Tensor<2>, r: Option<Tensor<2>>| {
            unit_rows(student.networks.predict(e, r, NormMode::Evaluate))
        };
        let prior = student.networks.prior(x.clone(), NormMode::Evaluate);
        let expected = predict(x.clone(), prior.as_ref().map(|it| it.mean.clone()));
        let mut draws = Draws::at(self.seed, u64::MAX, Stage::Latent, &clips.device());
        let drawn = (0..samples).map(|_| match &prior {
            Some(prior) => {
                let noise = draws.normal([n, student.networks.dim()]);
                predict(x.clone(), Some(prior.draw(noise)))
            }
            None => expected.clone(),
        });
        let drawn = drawn.collect();
        let came = unit_rows(project(self.teacher.as_ref().unwrap_or(&student.branch), w));
        Some(Futures::of(drawn, expected, came))
    }

    fn warnings(&self, values: &[(String, f32)], progress: f64) -> Vec<Warning> {
        let value = |name: &str| values.iter().find(|it| it.0 == name).map(|it| it.1);
        let mut warnings = Vec::new();
        if value("negatives") == Some(0.0) {
            let message = "all clips of the batch are of one video and other_videos = true leaves \
                           no negative among them: nothing is contrasted; add streams or files"
                .into();
            warnings.push(Warning { kind: "no negatives", message });
        }
        if self.config.latent != Latent::Gaussian || progress < self.config.beta_warmup {
            return warnings;
        }
        let (Some(kl), Some(cosine)) = (value("kl"), value("minus_cosine")) else {
            return warnings;
        };
        warnings.extend(collapse(kl));
        if kl > LEAKING && cosine < FLOOR {
            let message = format!(
                "r leaks the target: {kl:.0} nats with the objective near its floor; raise \
                 model.method.beta, lower model.method.dim, or take a third view"
            );
            warnings.push(Warning { kind: "leakage", message });
        }
        warnings
    }

    fn pool(&self) -> Pool {
        Pool::Mean
    }

    fn parameters(&self, student: &Student) -> Vec<(&'static str, usize)> {
        let mut all = student.branch.parameters();
        all.push(("prior, posterior and editor", parameters::count(&student.networks)));
        all.extend(student.dense.iter().map(|it| ("dense branch", parameters::count(it))));
        all
    }

    fn save_teacher(&self, folder: &Path) -> Result<()> {
        match &self.teacher {
            Some(teacher) => safetensors::save(teacher, &folder.join("teacher.safetensors")),
            None => Ok(()),
        }
    }

    fn load_teacher(&mut self, folder: &Path) -> Result<()> {
        if let Some(teacher) = self.teacher.take() {
            self.teacher = Some(safetensors::load(teacher, &folder.join("teacher.safetensors"))?);
        }
        Ok(())
    }
}
