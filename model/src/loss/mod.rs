//! Losses as plain functions of tensors.
//!
//! A batch of embeddings is `[n, d]`, two of them are views of the same `n` samples, and a loss is
//! `[1]`. A function with the plain name of a paper is the form that its authors released; its
//! comment names the forms of other libraries. Where an argument is a target, it is a constant
//! inside. Values and gradients are finite for rows of zeros, features without variance, a batch
//! of two and values of 1e4.
//!
//! ```text
//! pairs of samples       contrastive, decoupled, spectral ─┐
//!                                                          ├─ duality: the two are one
//! pairs of dimensions    variance, redundancy ─────────────┘
//! predictions            cosine, distillation
//! shape of the whole     sigreg, coding_rate
//! ```

use burn::tensor::Tensor;

pub mod coding_rate;
pub mod contrastive;
pub mod cosine;
pub mod decoupled;
mod distillation;
pub mod duality;
mod losses;
pub mod pairs;
pub mod redundancy;
#[cfg(test)]
mod reference;
pub mod sigreg;
pub mod spectral;
mod validate;
pub mod variance;

pub use contrastive::{Positives, SimClr, SimClrTransformed};
pub use decoupled::{Dcl, Dclw};
pub use distillation::{Distillation, PrototypeLogits, distillation};
pub(crate) use losses::Losses;
pub use redundancy::{BarlowTwins, TiCo};
pub use sigreg::{LeJepa, SigReg};
pub use spectral::Spectral;
pub use variance::{CtrReading, VicReg, VicRegCtr, VicRegExp};

/// Mean squared distance, over every element.
pub fn mean_squared<const D: usize>(x: Tensor<D>, y: Tensor<D>) -> Tensor<1> {
    (x - y).square().mean()
}

/// A tensor whose value is `value` and whose gradient with respect to each `x` is its `grad`.
///
/// `Σ x · grad` has the right gradient; taking it away from itself leaves the value alone.
fn with_gradients<const N: usize>(
    value: Tensor<1>,
    parts: [(&Tensor<2>, Tensor<2>); N],
) -> Tensor<1> {
    let value = Tensor::from_inner(value);
    parts.into_iter().fold(value, |value, (x, grad)| {
        let inner = (x.clone() * Tensor::from_inner(grad)).sum();
        value + inner.clone() - inner.detach()
    })
}
