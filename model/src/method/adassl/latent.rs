//! AdaSSL's latent variable r, inferred from the embeddings of both views, and the editor that uses
//! it (Zhang et al., 2026, sections 3 and 4).

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::Tensor;
use burn::tensor::activation::{sigmoid, softplus};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Init;
use crate::nn::batch_norm::NormMode;
use crate::nn::mlp::{LastLayer, NormedMlp, Widths};

/// The latent variable.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Latent {
    /// AdaSSL-V: Gaussian, with a prior given the first view alone; its cost is the divergence.
    #[default]
    Gaussian,
    /// AdaSSL-S: sparse, a few rank-one edits; its cost is their expected number.
    Sparse,
    /// None: the deterministic baseline of the other two.
    None,
}

/// How the latent variable edits an embedding.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum EditorKind {
    /// An MLP of these widths over the embedding and r.
    Mlp(Widths),
    /// The sum of both; r is as wide as the embedding.
    Additive,
    /// A sum of rank-one edits, AdaSSL-S's (equation 11).
    RankOne,
}

/// Dimensions of the networks.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    /// Width of an embedding.
    pub(crate) embedding: usize,
    pub(crate) latent: Latent,
    /// Width of r.
    pub(crate) dim: usize,
    /// Hidden width of prior and posterior.
    pub(crate) hidden: usize,
    pub(crate) editor: EditorKind,
    /// The predictor after the editor, of the distillation objective.
    pub(crate) predictor: Option<Widths>,
    /// Whether the logits' scale is learned, of the contrastive objective.
    pub(crate) learn_scale: bool,
}

/// The networks after the projector.
#[derive(Module, Debug)]
pub(crate) struct Networks {
    sampler: Sampler,
    editor: Editor,
    predictor: Option<NormedMlp>,
    /// Before the softplus; it starts where that gives 1.
    scale: Option<Param<Tensor<1>>>,
    #[module(skip)]
    latent: Latent,
    #[module(skip)]
    dim: usize,
}

#[derive(Module, Debug)]
struct Sampler {
    prior_net: Option<NormedMlp>,
    latent_predictor: Option<NormedMlp>,
}

#[derive(Module, Debug)]
struct Editor {
    mlp: Option<NormedMlp>,
    rank_one: Option<RankOne>,
}

/// `e + B(tanh(r) ⊙ (A e + a))`.
#[derive(Module, Debug)]
struct RankOne {
    editor_in: Linear,
    editor_out: Linear,
}

/// A Gaussian with independent coordinates, `[n, dim]`.
#[derive(Clone, Debug)]
pub(crate) struct Gaussian {
    pub(crate) mean: Tensor<2>,
    pub(crate) deviation: Tensor<2>,
}

/// r and its cost.
#[derive(Clone, Debug)]
pub(crate) struct Inferred {
    /// `[n, dim]`; none without a latent variable.
    pub(crate) r: Option<Tensor<2>>,
    /// The regulariser, a mean over the clips: nats, or the expected number of edits.
    pub(crate) cost: Tensor<1>,
    /// Posterior and prior.
    pub(crate) gaussians: Option<[Gaussian; 2]>,
}

impl Shape {
    /// Fresh networks.
    pub(crate) fn init(&self, init: &mut Init) -> Networks {
        let Self { embedding, latent, dim, hidden, .. } = *self;
        let parameters = Widths::from([hidden, 2 * dim]);
        let mut mlp = |input, last: LastLayer, widths: &Widths| {
            let mlp = NormedMlp::new(input, widths, last, init);
            mlp.xavier(init)
        };
        let posterior = latent != Latent::None;
        let sampler = Sampler {
            prior_net: (latent == Latent::Gaussian)
                .then(|| mlp(embedding, LastLayer::Bias, &parameters)),
            latent_predictor: posterior.then(|| mlp(2 * embedding, LastLayer::Bias, &parameters)),
        };
        let read = if posterior { dim } else { 0 };
        let predictor = self.predictor.as_ref().map(|it| mlp(embedding, LastLayer::NoBias, it));
        let editor = Editor {
            mlp: match &self.editor {
                EditorKind::Mlp(widths) => Some(mlp(embedding + read, LastLayer::NoBias, widths)),
                EditorKind::Additive | EditorKind::RankOne => None,
            },
            rank_one: (self.editor == EditorKind::RankOne)
                .then(|| RankOne::new(embedding, dim, init)),
        };
        // softplus(ln(e − 1)) = 1.
        let one = (std::f32::consts::E - 1.0).ln();
        let scale = self.learn_scale.then(|| init.constant([1], one));
        Networks { sampler, editor, predictor, scale, latent, dim }
    }
}

impl RankOne {
    fn new(embedding: usize, dim: usize, init: &mut Init) -> Self {
        let editor_in = init.default_linear(embedding, dim);
        let editor_out = Linear { weight: init.constant([dim, embedding], 0.0), bias: None };
        Self { editor_in, editor_out }
    }
}

impl Networks {
    /// Width of r.
    pub(crate) fn dim(&self) -> usize {
        self.dim
    }

    /// Samples r given the embeddings `input` and `posterior_input`, `[n, d]` each. `noise`
    /// `[n, dim]` is standard normal for the Gaussian, and uniform in 0..1 for the sparse latent.
    pub(crate) fn infer(
        &self,
        input: Tensor<2>,
        posterior_input: Tensor<2>,
        noise: Tensor<2>,
        mode: NormMode,
    ) -> Inferred {
        let Some(predictor) = &self.sampler.latent_predictor else {
            let cost = input.sum() * 0.0;
            return Inferred { r: None, cost, gaussians: None };
        };
        let both = Tensor::cat(vec![input.clone(), posterior_input], 1);
        let parameters = predictor.forward(both, mode);
        if self.latent == Latent::Sparse {
            return sparse(parameters, noise);
        }
        let posterior = Gaussian::of(parameters);
        let prior = self.prior(input, mode).expect("a Gaussian latent has a prior");
        Inferred {
            r: Some(posterior.sample(noise)),
            cost: posterior.divergence(&prior),
            gaussians: Some([posterior, prior]),
        }
    }

    /// p(r | input), of the Gaussian latent.
    pub(crate) fn prior(&self, input: Tensor<2>, mode: NormMode) -> Option<Gaussian> {
        self.sampler.prior_net.as_ref().map(|it| Gaussian::of(it.forward(input, mode)))
    }

    /// t(e, r): the embedding, edited by r, `[n, d]`.
    pub(crate) fn edit(&self, e: Tensor<2>, r: Option<Tensor<2>>, mode: NormMode) -> Tensor<2> {
        if let Some(mlp) = &self.editor.mlp {
            return mlp.forward(Tensor::cat([e].into_iter().chain(r).collect(), 1), mode);
        }
        let Some(r) = r else { return e };
        match &self.editor.rank_one {
            Some(RankOne { editor_in, editor_out }) => {
                let edits = r.tanh() * editor_in.forward(e.clone());
                e + editor_out.forward(edits)
            }
            None => e + r,
        }
    }

    /// The prediction of the target: the edited embedding, after the predictor if there is one.
    pub(crate) fn predict(&self, e: Tensor<2>, r: Option<Tensor<2>>, mode: NormMode) -> Tensor<2> {
        let edited = self.edit(e, r, mode);
        match &self.predictor {
            Some(it) => it.forward(edited, mode),
            None => edited,
        }
    }

    /// The scale λ of the logits, `[1]`.
    pub(crate) fn scale(&self) -> Option<Tensor<1>> {
        self.scale.as_ref().map(|it| softplus(it.val(), 1.0))
    }
}

/// A sampled mask with a straight-through gradient, times a magnitude. The cost is the expected
/// number of edits.
fn sparse(parameters: Tensor<2>, uniform: Tensor<2>) -> Inferred {
    let [logits, magnitudes] = halves(parameters);
    let uniform = uniform.clamp(1e-6, 1.0 - 1e-6);
    let noise = uniform.clone().log() - (uniform.neg() + 1.0).log();
    let soft = sigmoid(logits.clone() + Tensor::from_inner(noise));
    let hard = soft.clone().greater_elem(0.5).float();
    let mask = (hard - soft.clone()).detach() + soft;
    let cost = sigmoid(logits).sum_dim(1).mean();
    Inferred { r: Some(mask * magnitudes), cost, gaussians: None }
}

impl Gaussian {
    /// From `[n, 2 · dim]`: means, and deviations before their softplus.
    pub(crate) fn of(parameters: Tensor<2>) -> Self {
        let [mean, raw] = halves(parameters);
        let log_variance = ((softplus(raw, 1.0) + 1e-6).log() * 2.0).clamp(-10.0, 10.0);
        Self { mean, deviation: (log_variance * 0.5).exp() }
    }

    /// One sample, from standard normal `noise`.
    pub(crate) fn sample(&self, noise: Tensor<2>) -> Tensor<2> {
        let noise = if self.mean.is_autodiff() { Tensor::from_inner(noise) } else { noise };
        self.mean.clone() + self.deviation.clone() * noise
    }

    /// The Kullback-Leibler divergence from `prior` in nats, mean over the rows.
    pub(crate) fn divergence(&self, prior: &Self) -> Tensor<1> {
        let ratio = self.deviation.clone() / prior.deviation.clone();
        let shift = (self.mean.clone() - prior.mean.clone()) / prior.deviation.clone();
        let nats = (ratio.clone().square() + shift.square() - 1.0) * 0.5 - ratio.log();
        nats.sum_dim(1).mean()
    }
}

fn halves(x: Tensor<2>) -> [Tensor<2>; 2] {
    let half = x.dims()[1] / 2;
    [x.clone().narrow(1, 0, half), x.narrow(1, half, half)]
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution};

    use super::*;

    fn gaussian(mean: [f32; 2], deviation: [f32; 2]) -> Gaussian {
        let device = Device::flex();
        let [mean, deviation] = [mean, deviation].map(|it| Tensor::from_floats([it], &device));
        Gaussian { mean, deviation }
    }

    /// Golden value G2 of the methods' documents.
    #[test]
    fn the_divergence_is_the_textbooks() {
        let (q, p) = (gaussian([0.5, -1.0], [0.3, 0.8]), gaussian([0.0, -0.5], [1.0, 0.5]));
        let nats: f32 = q.divergence(&p).into_scalar();
        assert!((nats - 1.683_969_2).abs() < 1e-5, "{nats}");
        let nothing: f32 = q.divergence(&q).into_scalar();
        assert!(nothing.abs() < 1e-6, "{nothing}");
    }

    /// Golden value G4.
    #[test]
    fn the_rank_one_editor_is_the_papers() {
        let device = Device::flex();
        let matrix = |rows: [[f32; 2]; 3]| Param::from_tensor(Tensor::from_floats(rows, &device));
        let editor_in = Linear {
            weight: matrix([[0.1, -0.1], [0.2, 0.4], [0.3, 0.0]]),
            bias: Some(Param::from_tensor(Tensor::from_floats([0.05, -0.05], &device))),
        };
        let editor_out = Linear {
            weight: Param::from_tensor(Tensor::from_floats(
                [[0.2, 0.1, 0.0], [0.0, -0.3, 0.5]],
                &device,
            )),
            bias: None,
        };
        let networks = Networks {
            sampler: Sampler { prior_net: None, latent_predictor: None },
            editor: Editor { mlp: None, rank_one: Some(RankOne { editor_in, editor_out }) },
            predictor: None,
            scale: None,
            latent: Latent::Sparse,
            dim: 2,
        };
        let e = Tensor::from_floats([[0.5, -0.2, 0.1]], &device);
        let r = Tensor::from_floats([[0.8, 0.0]], &device);
        let got =
            networks.edit(e, Some(r), NormMode::Train).into_data().try_to_vec::<f32>().unwrap();
        for (got, wanted) in got.iter().zip([0.511_952_66, -0.194_023_67, 0.1]) {
            assert!((got - wanted).abs() < 1e-6, "{got} is not {wanted}");
        }
    }

    #[test]
    fn the_mask_is_hard_and_its_gradient_is_the_sigmoids() {
        let device = Device::flex();
        let parameters =
            Tensor::<2>::from_floats([[1.2, -0.7, 2.0, 3.0]], &device.clone().autodiff());
        let parameters = parameters.require_grad();
        // u = 0.5 adds no noise.
        let inferred = sparse(parameters.clone(), Tensor::from_floats([[0.5, 0.5]], &device));
        let cost: f32 = inferred.cost.clone().into_scalar();
        assert!((cost - 1.100_337).abs() < 1e-5, "G4's expected number is {cost}");
        let r = inferred.r.unwrap();
        assert_eq!(r.clone().into_data().try_to_vec::<f32>().unwrap(), [2.0, 0.0]);
        let grad = parameters.grad(&r.sum().backward()).unwrap();
        let grad = grad.into_data().try_to_vec::<f32>().unwrap();
        let slope = |x: f32| (-x).exp() / (1.0 + (-x).exp()).powi(2);
        for (got, wanted) in grad.iter().zip([2.0 * slope(1.2), 3.0 * slope(-0.7), 1.0, 0.0]) {
            assert!((got - wanted).abs() < 1e-6, "{got} is not {wanted}");
        }
    }

    #[test]
    fn a_divergence_is_never_negative() {
        let device = Device::flex();
        device.seed(1);
        let of = || Gaussian::of(Tensor::random([64, 6], Distribution::Normal(0.0, 3.0), &device));
        for _ in 0..10 {
            let nats: f32 = of().divergence(&of()).into_scalar();
            assert!(nats >= 0.0, "{nats}");
        }
    }
}
