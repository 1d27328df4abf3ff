//! An encoder and its projector, the two networks of every method over views.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::Teacher;
use crate::nn::batch_norm::NormMode;
use crate::nn::mlp::{HiddenLayers, LastLayer, NormedMlp, Widths};
use crate::nn::parameters;
use crate::train::data_parallel;
use crate::train::ema;
use crate::{EncoderShape, FrameEncoder, Init};

/// An encoder, and the projector of its embedding.
#[derive(Module, Debug)]
pub(crate) struct EncoderProjector {
    pub(crate) encoder: FrameEncoder,
    pub(crate) projector: NormedMlp,
}

impl Teacher for EncoderProjector {
    fn frame_encoder(&self) -> Option<FrameEncoder> {
        Some(self.encoder.clone())
    }
}

impl EncoderProjector {
    /// Fresh networks, with batch norms between the projector's layers.
    pub(crate) fn new(
        shape: &EncoderShape,
        projector: &Widths,
        last: LastLayer,
        init: &mut Init,
    ) -> Self {
        Self::with_hidden(shape, projector, HiddenLayers::BatchNorm, last, init)
    }

    /// Fresh networks, with `hidden` between the projector's layers.
    pub(crate) fn with_hidden(
        shape: &EncoderShape,
        projector: &Widths,
        hidden: HiddenLayers,
        last: LastLayer,
        init: &mut Init,
    ) -> Self {
        let encoder = shape.init(init);
        let projector = NormedMlp::with_hidden(shape.dim(), projector, hidden, last, init);
        Self { encoder, projector }
    }

    /// A teacher: a copy without gradients, with batch norm statistics of its own.
    pub(crate) fn teacher(
        &self,
        shape: &EncoderShape,
        projector: &Widths,
        last: LastLayer,
        device: &Device,
    ) -> Self {
        let fresh = Self::new(shape, projector, last, &mut Init::new(0, device));
        ema::update(fresh, self, 0.0)
    }

    /// Views `[n, v, 3 · window, h, w]` to embeddings `[n · v, d]`, view after view of clip after
    /// clip.
    pub(crate) fn encode(&self, views: Tensor<5>) -> Tensor<2> {
        self.encoder.forward(views.flatten(0, 1), NormMode::Train).narrow(1, 0, 1).squeeze_dim(1)
    }

    /// Embeddings `[n · views, d]`, as [`EncoderProjector::encode`] gives them, to the projections
    /// of each view, `[n, p]`. The batch norms take their statistics per view.
    pub(crate) fn project<const V: usize>(&self, embeddings: Tensor<2>) -> [Tensor<2>; V] {
        view_by_view(embeddings).map(|view| self.projector.forward(view, NormMode::Train))
    }

    /// The teacher path: the projections of each view of all `parts`, `[n, p]`.
    pub(crate) fn teacher_forward<const V: usize>(&self, parts: Vec<Tensor<5>>) -> [Tensor<2>; V] {
        let embeddings = data_parallel::map(parts, |part| self.encode(part));
        self.project(Tensor::cat(embeddings, 0))
    }

    /// The networks by name, with their numbers of parameters.
    pub(crate) fn parameters(&self) -> Vec<(&'static str, usize)> {
        vec![
            ("frame encoder", parameters::count(&self.encoder)),
            ("projector", parameters::count(&self.projector)),
        ]
    }
}

/// Rows `[n · views, d]`, view after view of clip after clip, as `views` times `[n, d]`.
fn view_by_view<const V: usize>(rows: Tensor<2>) -> [Tensor<2>; V] {
    let [all, d] = rows.dims();
    let rows: Tensor<3> = rows.reshape([all / V, V, d]);
    std::array::from_fn(|view| rows.clone().narrow(1, view, 1).squeeze_dim(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_separated_view_by_view() {
        let rows = Tensor::<2>::from_floats([[0.0], [1.0], [10.0], [11.0]], &Device::flex());
        let views: [_; 2] = view_by_view(rows);
        let views = views.map(|it| it.into_data().try_to_vec::<f32>().unwrap());
        assert_eq!(views, [[0.0, 10.0], [1.0, 11.0]]);
    }
}
