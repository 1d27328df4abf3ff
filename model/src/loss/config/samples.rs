//! Losses of pairs of samples.

use serde::{Deserialize, Serialize};

use super::positive;
use crate::Result;

/// Of [`nt_xent`](crate::loss::contrastive::nt_xent).
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct SimClr {
    /// Divides the cosines. 0.1 on ImageNet and 0.5 on CIFAR-10 (Chen et al., 2020); Garrido et
    /// al. (2023) tuned it to 0.15.
    pub temperature: f64,
}

impl Default for SimClr {
    fn default() -> Self {
        Self { temperature: 0.1 }
    }
}

impl SimClr {
    /// # Errors
    /// A temperature that nothing can be divided by.
    pub fn validate(&self) -> Result<()> {
        positive("temperature", self.temperature)
    }
}

/// Of [`simclr_sq`](crate::loss::contrastive::simclr_sq) and
/// [`simclr_abs`](crate::loss::contrastive::simclr_abs).
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct SimClrTransformed {
    /// Divides the transformed cosines.
    pub temperature: f64,
    /// What happens to the positive pair.
    pub positives: Positives,
}

impl Default for SimClrTransformed {
    fn default() -> Self {
        Self { temperature: 0.15, positives: Positives::Plain }
    }
}

impl SimClrTransformed {
    /// # Errors
    /// A temperature that nothing can be divided by.
    pub fn validate(&self) -> Result<()> {
        positive("temperature", self.temperature)
    }
}

/// Whether the positive pair's cosine is transformed as the negatives' are.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Positives {
    /// It is not.
    #[default]
    Plain,
    /// It is, which rewards opposite embeddings as much as equal ones.
    Transformed,
}

/// Of [`dcl`](crate::loss::decoupled::dcl), [`dcl_sq`](crate::loss::decoupled::dcl_sq) and
/// [`dcl_abs`](crate::loss::decoupled::dcl_abs).
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dcl {
    /// Divides the cosines.
    pub temperature: f64,
}

impl Default for Dcl {
    fn default() -> Self {
        Self { temperature: 0.1 }
    }
}

impl Dcl {
    /// # Errors
    /// A temperature that nothing can be divided by.
    pub fn validate(&self) -> Result<()> {
        positive("temperature", self.temperature)
    }
}

/// Of [`dclw`](crate::loss::decoupled::dclw).
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dclw {
    /// Divides the cosines.
    pub temperature: f64,
    /// Divides the cosines of positives in the softmax that weighs them.
    pub sigma: f64,
}

impl Default for Dclw {
    fn default() -> Self {
        Self { temperature: 0.1, sigma: 0.5 }
    }
}

impl Dclw {
    /// # Errors
    /// A temperature or sigma that nothing can be divided by.
    pub fn validate(&self) -> Result<()> {
        positive("temperature", self.temperature)?;
        positive("sigma", self.sigma)
    }
}

/// Of [`spectral`](crate::loss::spectral::spectral).
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Spectral {
    /// Squared radius of the ball that embeddings are kept in. The authors' 10 is for ImageNet;
    /// they take 1 for CIFAR.
    pub mu: f64,
}

impl Default for Spectral {
    fn default() -> Self {
        Self { mu: 10.0 }
    }
}

impl Spectral {
    /// # Errors
    /// A ball without a radius.
    pub fn validate(&self) -> Result<()> {
        positive("mu", self.mu)
    }
}
