//! The dense branch: every patch of the target, predicted from r and the patches of the source, as
//! in PhiNet v2. The global objective alone does not ask where things are in the image.

use burn::module::{Module, Param};
use burn::nn::{LayerNorm, Linear};
use burn::tensor::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::AdaSsl;
use super::direction::Prediction;
use super::views::{X, Y};
use crate::encoder::blocks::CrossBlock;
use crate::loss::mean_squared;
use crate::train::nan_trace::watched;
use crate::validate::ensure;
use crate::{EncoderShape, Init, Result, VitShape};

/// The `[model.method.dense]` table.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct DenseConfig {
    /// Blocks of self- and cross-attention.
    pub depth: usize,
    /// Weight of the mean squared error of the patches.
    pub coeff: f64,
}

impl Default for DenseConfig {
    fn default() -> Self {
        Self { depth: 4, coeff: 1.0 }
    }
}

impl DenseConfig {
    pub(super) fn validate(&self, shape: &EncoderShape) -> Result<()> {
        shape.vit()?;
        ensure(self.depth > 0, "dense.depth", "must be at least 1")?;
        ensure(self.coeff >= 0.0, "dense.coeff", "must be 0 or more")
    }

    /// Fresh weights for an encoder of `shape` and an r of `latent` numbers, or none.
    pub(super) fn init(&self, shape: &VitShape, latent: usize, init: &mut Init) -> Dense {
        let dim = shape.dim;
        Dense {
            latent_token: (latent > 0).then(|| init.linear(latent, dim)),
            mask_token: init.normal([1, 1, dim], 0.02),
            pos_embed: init.normal([1, shape.tokens() - 1, dim], 0.02),
            blocks: (0..self.depth)
                .map(|_| CrossBlock::new(dim, shape.heads, shape.precision, init))
                .collect(),
            norm: init.layer_norm(dim),
            head: init.linear(dim, dim),
        }
    }
}

/// Queries for the target's patches, with cross-attention to the source and r.
#[derive(Module, Debug)]
pub(crate) struct Dense {
    latent_token: Option<Linear>,
    mask_token: Param<Tensor<3>>,
    pos_embed: Param<Tensor<3>>,
    blocks: Vec<CrossBlock>,
    norm: LayerNorm,
    head: Linear,
}

impl Dense {
    /// The mean squared error of the patches predicted from `source` `[n, patches, d]` and `r`
    /// `[n, d_r]`. The `target`, of the source's shape, is layer-normed and a constant.
    pub(super) fn loss(
        &self,
        source: Tensor<3>,
        r: Option<Tensor<2>>,
        target: Tensor<3>,
    ) -> Tensor<1> {
        let [n, patches, d] = source.dims();
        let queries = (self.mask_token.val() + self.pos_embed.val()).expand([n, patches, d]);
        let token = r.zip(self.latent_token.as_ref());
        let token = token.map(|(r, linear)| watched::linear(linear, r).unsqueeze_dim::<3>(1));
        let memory = Tensor::cat(token.into_iter().chain([source]).collect(), 1);
        let predicted =
            self.blocks.iter().fold(queries, |x, block| block.forward(x, memory.clone()));
        let predicted = watched::linear(&self.head, watched::norm(&self.norm, predicted));
        mean_squared(predicted, Tensor::from_inner(layer_norm(target)))
    }
}

impl AdaSsl {
    /// The patches of y, predicted from those of x and r. The targets are the teacher's or, without
    /// one, the student's own without gradient.
    pub(super) fn dense_loss(
        &self,
        dense: &Dense,
        tokens: Tensor<3>,
        target_tokens: Option<Tensor<3>>,
        forward: &Prediction,
    ) -> Tensor<1> {
        let patches = |tokens: Tensor<3>, views: &[usize], view: usize| {
            let [rows, count, d] = tokens.dims();
            let at = views.iter().position(|it| *it == view).expect("an encoded view");
            let all: Tensor<4> = tokens.reshape([rows / views.len(), views.len(), count, d]);
            let view: Tensor<3> = all.narrow(1, at, 1).squeeze_dim(1);
            view.narrow(1, 1, count - 1)
        };
        let [student_views, teacher_views] = self.encoded_views();
        let target = match target_tokens {
            Some(tokens) => patches(tokens, &teacher_views, Y),
            None => patches(tokens.clone().inner(), &student_views, Y),
        };
        let source = patches(tokens, &student_views, X);
        let coeff = self.config.dense.as_ref().map_or(0.0, |it| it.coeff);
        dense.loss(source, forward.inferred.r.clone(), target) * coeff
    }
}

/// Every token at mean 0 and deviation 1.
fn layer_norm(tokens: Tensor<3>) -> Tensor<3> {
    let centred = tokens.clone() - tokens.mean_dim(2);
    let variance = centred.clone().square().mean_dim(2);
    centred / (variance + 1e-6).sqrt()
}
