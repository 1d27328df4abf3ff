//! Losses as plain functions of tensors.
//!
//! A batch of embeddings is `[n, d]`, two of them are views of the same `n` samples, and a loss is
//! `[1]`. A function named after a paper computes what the authors' released code computes; its
//! comment names the forms of other libraries. An argument called `target` gets no gradient. Values and gradients are finite for rows of zeros, features without variance, a batch
//! of two and values of 1e4.
//!
//! ```text
//! pairs of samples       simclr, dcl, spectral, contrastive ─┐
//!                                                            ├─ duality: the two are one
//! pairs of dimensions    vicreg, barlow_twins, tico ─────────┘
//! predictions            cosine, distillation
//! shape of the whole     lejepa, by way of sigreg
//! ```
//!
//! What a joint-embedding method can minimise implements [`Criterion`]: its constants, their
//! checks and its function are one file.

pub mod barlow_twins;
pub mod contrastive;
pub mod cosine;
mod criterion;
pub mod dcl;
mod distillation;
pub mod duality;
pub mod lejepa;
pub mod pairs;
#[cfg(test)]
mod reference;
pub mod sigreg;
pub mod simclr;
pub mod spectral;
pub mod tico;
mod validate;
pub mod vicreg;
pub mod vicreg_exp;

use burn::tensor::Tensor;

pub use barlow_twins::BarlowTwins;
pub use criterion::{Criterion, Given};
pub use dcl::{Dcl, Dclw};
pub use distillation::{Distillation, PrototypeLogits, distillation};
pub use lejepa::LeJepa;
pub use sigreg::SigReg;
pub use simclr::{Positives, SimClr, SimClrAbs, SimClrSq};
pub use spectral::Spectral;
pub use tico::TiCo;
pub use vicreg::VicReg;
pub use vicreg_exp::{CtrReading, VicRegCtr, VicRegExp};

/// Mean squared distance, over every element.
pub fn mean_squared<const D: usize>(x: Tensor<D>, y: Tensor<D>) -> Tensor<1> {
    (x - y).square().mean()
}

/// A tensor whose value is `value` and whose gradient with respect to each `x` is its `grad`.
///
/// `Σ x · grad` has that gradient; subtracting its detached value leaves `value` unchanged.
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
