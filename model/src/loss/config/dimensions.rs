//! Losses of pairs of dimensions, and VICReg-ctr, which turns one of them round.

use serde::{Deserialize, Serialize};

use super::{positive, share, weight};
use crate::Result;

/// Of [`vicreg`](crate::loss::variance::vicreg).
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct VicReg {
    /// Weight of the mean squared distance of the views.
    pub sim_coeff: f64,
    /// Weight of the hinge on the standard deviations, mean of the views.
    pub std_coeff: f64,
    /// Weight of the squared covariances, sum of the views.
    pub cov_coeff: f64,
}

impl Default for VicReg {
    fn default() -> Self {
        Self { sim_coeff: 25.0, std_coeff: 25.0, cov_coeff: 1.0 }
    }
}

impl VicReg {
    /// # Errors
    /// A negative weight.
    pub fn validate(&self) -> Result<()> {
        weights(self.sim_coeff, self.std_coeff, self.cov_coeff)
    }
}

/// Of [`vicreg_exp`](crate::loss::variance::vicreg_exp). The paper's text does not give its
/// coefficients: the defaults are VICReg's, and a temperature that nobody has tuned.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct VicRegExp {
    /// Weight of the mean squared distance of the views.
    pub sim_coeff: f64,
    /// Weight of the hinge on the standard deviations, sum of the views.
    pub std_coeff: f64,
    /// Weight of the log-sum-exp of the covariances, sum of the views.
    pub cov_coeff: f64,
    /// Divides the covariances.
    pub temperature: f64,
}

impl Default for VicRegExp {
    fn default() -> Self {
        Self { sim_coeff: 25.0, std_coeff: 25.0, cov_coeff: 1.0, temperature: 0.1 }
    }
}

impl VicRegExp {
    /// # Errors
    /// A negative weight, or a temperature that nothing can be divided by.
    pub fn validate(&self) -> Result<()> {
        weights(self.sim_coeff, self.std_coeff, self.cov_coeff)?;
        positive("temperature", self.temperature)
    }
}

/// Of [`vicreg_ctr`](crate::loss::variance::vicreg_ctr). The paper's text does not give its
/// coefficients: the defaults are VICReg's, and a temperature that nobody has tuned. SimCLR's
/// balance of attraction and repulsion is at `sim_coeff = d · cov_coeff / temperature` in the
/// unit-norm reading, and without `d` in the literal one.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct VicRegCtr {
    /// Weight of the mean squared distance of the views.
    pub sim_coeff: f64,
    /// Weight of the hinge on the norms or deviations of the samples, sum of the views.
    pub std_coeff: f64,
    /// Weight of the log-sum-exp over pairs of samples, sum of the views.
    pub cov_coeff: f64,
    /// Divides the inner products.
    pub temperature: f64,
    /// What it means to exchange samples and dimensions.
    pub reading: CtrReading,
}

impl Default for VicRegCtr {
    fn default() -> Self {
        Self {
            sim_coeff: 25.0,
            std_coeff: 25.0,
            cov_coeff: 1.0,
            temperature: 0.1,
            reading: CtrReading::UnitNorm,
        }
    }
}

impl VicRegCtr {
    /// # Errors
    /// A negative weight, or a temperature that nothing can be divided by.
    pub fn validate(&self) -> Result<()> {
        weights(self.sim_coeff, self.std_coeff, self.cov_coeff)?;
        positive("temperature", self.temperature)
    }
}

/// Eq. 13 and table 1 of Garrido et al. (2023) do not say the same of VICReg-ctr.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CtrReading {
    /// Eq. 13 to the letter: every sample is centred over its dimensions, and the hinge drives
    /// its norm to about `√d`.
    Literal,
    /// Table 1: dimensions are centred over the batch, and the hinge drives the norm to 1. The
    /// default, because only this gives the embeddings that the paper describes.
    #[default]
    UnitNorm,
}

/// Of [`barlow_twins`](crate::loss::redundancy::barlow_twins).
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct BarlowTwins {
    /// Weight of the correlations off the diagonal.
    pub lambda: f64,
}

impl Default for BarlowTwins {
    fn default() -> Self {
        Self { lambda: 0.0051 }
    }
}

impl BarlowTwins {
    /// # Errors
    /// A negative weight.
    pub fn validate(&self) -> Result<()> {
        weight("lambda", self.lambda)
    }
}

/// Of [`tico`](crate::loss::redundancy::tico).
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct TiCo {
    /// Share of the running covariance that stays, per step.
    pub beta: f64,
    /// Weight of the covariance penalty.
    pub rho: f64,
    /// Whether the gradient also goes through this batch's share of the covariance.
    pub through_covariance: bool,
}

impl Default for TiCo {
    fn default() -> Self {
        Self { beta: 0.9, rho: 8.0, through_covariance: false }
    }
}

impl TiCo {
    /// # Errors
    /// A share outside of 0 to 1, or a negative weight.
    pub fn validate(&self) -> Result<()> {
        share("beta", self.beta)?;
        weight("rho", self.rho)
    }
}

fn weights(sim: f64, std: f64, cov: f64) -> Result<()> {
    weight("sim_coeff", sim)?;
    weight("std_coeff", std)?;
    weight("cov_coeff", cov)
}
