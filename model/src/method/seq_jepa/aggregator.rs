//! The action embedding, and the transformer that aggregates views and actions into one
//! representation (seq-JEPA, sections 2.2 and A.3). Fields are named as PyTorch's modules.

use burn::module::{Module, Param};
use burn::nn::{LayerNorm, Linear};
use burn::tensor::Tensor;
use burn::tensor::activation::{relu, softmax};

use crate::Init;
use crate::nn::batch_norm::{BatchNorm, NormMode};
use crate::train::nan_trace::watched;
use crate::train::random::Draws;

/// e: a linear layer without bias and a batch norm without scale and shift.
#[derive(Module, Debug)]
pub(super) struct ActionEmbedding {
    linear: Linear,
    norm: BatchNorm,
}

impl ActionEmbedding {
    pub(super) fn new(input: usize, dim: usize, init: &mut Init) -> Self {
        let linear = Linear { bias: None, ..init.default_linear(input, dim) };
        Self { linear, norm: BatchNorm::plain(dim, init) }
    }

    /// `[rows, a]` to `[rows, dim]`.
    pub(super) fn forward(&self, actions: Tensor<2>, mode: NormMode) -> Tensor<2> {
        self.norm.forward(watched::linear(&self.linear, actions), mode)
    }

    /// The embeddings that accompany the observed views, `[n, m, a]` to `[n, m, dim]`. The last is
    /// zero, because its action leads to the target. All rows count in the batch's statistics, the
    /// last of each sequence too.
    pub(super) fn observed(&self, actions: Tensor<3>, mode: NormMode) -> Tensor<3> {
        let [n, m, a] = actions.dims();
        let rows = self.forward(actions.reshape([n * m, a]), mode);
        let dim = rows.dims()[1];
        let slots: Tensor<3> = rows.reshape([n, m, dim]);
        let none = Tensor::zeros([n, 1, dim], &slots.device());
        if m == 1 { none } else { Tensor::cat(vec![slots.narrow(1, 0, m - 1), none], 1) }
    }
}

/// Dropout with a mask that is drawn on the host.
pub(super) struct Dropout {
    pub(super) probability: f64,
    pub(super) draws: Draws,
}

impl Dropout {
    fn apply<const D: usize>(this: &mut Option<Self>, x: Tensor<D>) -> Tensor<D> {
        match this {
            Some(Self { probability, draws }) => {
                let mask: Tensor<D> = draws.flags(x.dims(), 1.0 - *probability);
                let mask = mask / (1.0 - *probability);
                let mask = if x.is_autodiff() { Tensor::from_inner(mask) } else { mask };
                x * mask
            }
            None => x,
        }
    }
}

/// Dimensions of the aggregator.
#[derive(Clone, Copy, Debug)]
pub(super) struct AggregatorShape {
    /// Width of a view's embedding and its action's together.
    pub(super) dim: usize,
    pub(super) depth: usize,
    pub(super) heads: usize,
    /// Hidden width of the feed-forward layers.
    pub(super) hidden: usize,
}

/// A post-norm transformer without positions, with an aggregate token.
#[derive(Module, Debug)]
pub(super) struct Aggregator {
    agg_token: Param<Tensor<3>>,
    layers: Vec<Layer>,
    norm: LayerNorm,
}

impl AggregatorShape {
    pub(super) fn init(&self, init: &mut Init) -> Aggregator {
        Aggregator {
            agg_token: init.constant([1, 1, self.dim], 0.0),
            layers: (0..self.depth).map(|_| Layer::new(self, init)).collect(),
            norm: init.layer_norm_with(self.dim, EPSILON),
        }
    }
}

/// PyTorch's default.
const EPSILON: f64 = 1e-5;

impl Aggregator {
    /// Views with their actions, `[n, m, dim]`, to the aggregate `[n, dim]`.
    pub(super) fn forward(&self, slots: Tensor<3>, dropout: &mut Option<Dropout>) -> Tensor<2> {
        let [n, _, dim] = slots.dims();
        let token = self.agg_token.val().expand([n, 1, dim]);
        let x = Tensor::cat(vec![token, slots], 1);
        let x = self.layers.iter().fold(x, |x, layer| layer.forward(x, dropout));
        watched::norm(&self.norm, x.narrow(1, 0, 1)).squeeze_dim(1)
    }
}

/// PyTorch's `TransformerEncoderLayer` with its defaults.
#[derive(Module, Debug)]
struct Layer {
    self_attn: Attention,
    linear1: Linear,
    linear2: Linear,
    norm1: LayerNorm,
    norm2: LayerNorm,
}

#[derive(Module, Debug)]
struct Attention {
    in_proj: Linear,
    out_proj: Linear,
    #[module(skip)]
    heads: usize,
}

impl Layer {
    fn new(shape: &AggregatorShape, init: &mut Init) -> Self {
        let AggregatorShape { dim, heads, hidden, .. } = *shape;
        let bound = (6.0 / (4 * dim) as f32).sqrt();
        let in_proj = Linear {
            weight: init.uniform([dim, 3 * dim], bound),
            bias: Some(init.constant([3 * dim], 0.0)),
        };
        let mut out_proj = init.default_linear(dim, dim);
        out_proj.bias = Some(init.constant([dim], 0.0));
        Self {
            self_attn: Attention { in_proj, out_proj, heads },
            linear1: init.default_linear(dim, hidden),
            linear2: init.default_linear(hidden, dim),
            norm1: init.layer_norm_with(dim, EPSILON),
            norm2: init.layer_norm_with(dim, EPSILON),
        }
    }

    fn forward(&self, x: Tensor<3>, dropout: &mut Option<Dropout>) -> Tensor<3> {
        let mixed = self.self_attn.forward(x.clone(), dropout);
        let x = watched::norm(&self.norm1, x + Dropout::apply(dropout, mixed));
        let hidden = Dropout::apply(dropout, relu(watched::linear(&self.linear1, x.clone())));
        let out = Dropout::apply(dropout, watched::linear(&self.linear2, hidden));
        watched::norm(&self.norm2, x + out)
    }
}

impl Attention {
    fn forward(&self, x: Tensor<3>, dropout: &mut Option<Dropout>) -> Tensor<3> {
        let [n, tokens, dim] = x.dims();
        let d = dim / self.heads;
        let qkv = watched::linear(&self.in_proj, x).reshape([n, tokens, 3, self.heads, d]);
        let qkv = qkv.permute([2, 0, 3, 1, 4]);
        let part = |idx| -> Tensor<4> { qkv.clone().narrow(0, idx, 1).squeeze_dim(0) };
        let scores = part(0).matmul(part(1).swap_dims(2, 3)) / (d as f64).sqrt();
        let weights = Dropout::apply(dropout, softmax(scores, 3));
        let mixed = weights.matmul(part(2)).swap_dims(1, 2).reshape([n, tokens, dim]);
        watched::linear(&self.out_proj, mixed)
    }
}
