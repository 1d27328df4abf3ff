//! The motion encoder of TDV: the frame encoder's skeleton over the difference of two frames,
//! with cross-attention to the first frame's tokens in every block (section 3.2).

use burn::module::{Module, Param};
use burn::nn::LayerNorm;
use burn::tensor::Tensor;

use crate::encoder::blocks::{CrossBlock, PatchEmbed, embed_patches};
use crate::train::nan_trace::watched;
use crate::{Init, VitShape};

/// Frame differences, with cross-attention to a frame, to motion tokens.
#[derive(Module, Debug)]
pub struct MotionEncoder {
    cls_token: Param<Tensor<3>>,
    pos_embed: Param<Tensor<3>>,
    patch_embed: PatchEmbed,
    blocks: Vec<CrossBlock>,
    norm: LayerNorm,
    #[module(skip)]
    grid: [usize; 2],
}

impl MotionEncoder {
    /// Fresh weights; `shape.dim` is also the width of the tokens that it attends to.
    pub fn new(shape: &VitShape, init: &mut Init) -> Self {
        Self {
            patch_embed: PatchEmbed::new(shape.patch, shape.dim, init),
            cls_token: init.normal([1, 1, shape.dim], 1e-6),
            pos_embed: init.normal([1, shape.tokens(), shape.dim], 0.02),
            blocks: (0..shape.depth)
                .map(|_| CrossBlock::new(shape.dim, shape.heads, shape.precision, init))
                .collect(),
            norm: init.layer_norm(shape.dim),
            grid: shape.grid,
        }
    }

    /// Differences `[n, 3, h, w]` and the frame's tokens `[n, 1 + patches, dim]` to motion
    /// tokens `[n, 1 + patches, dim]`. All of `frame` is attended to, `[CLS]` included.
    pub fn forward(&self, difference: Tensor<4>, frame: Tensor<3>) -> Tensor<3> {
        let (cls, positions) = (&self.cls_token, &self.pos_embed);
        let tokens = embed_patches(difference, &self.patch_embed, cls, positions, self.grid);
        let motion = self.blocks.iter().fold(tokens, |x, block| block.forward(x, frame.clone()));
        watched::norm(&self.norm, motion)
    }
}
