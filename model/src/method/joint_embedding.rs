//! Joint-embedding methods: two views, one network, and a loss over the pair of projections.
//!
//! ```text
//! x ──▶ encoder ──▶ projector ──▶ z1 ─┐
//!                                     ├─▶ criterion
//! y ──▶ encoder ──▶ projector ──▶ z2 ─┘
//! ```
//!
//! The criteria are those whose duality Garrido et al. (2023) show, and their kin: what pulls the
//! views of a clip together is the same, and what keeps everything apart works on samples or on
//! dimensions. Methods with a second network are in `byol`, `simsiam` and `tico`.

use burn::module::Module as _;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::two_views::{self, Branch, Pairs, Views};
use super::{Method, Setting};
use crate::loss::Losses;
use crate::loss::pairs::{paired, unit_rows};
use crate::loss::{
    BarlowTwins, Dcl, Dclw, LeJepa, SimClr, SimClrTransformed, Spectral, VicReg, VicRegCtr,
    VicRegExp, contrastive, decoupled, redundancy, sigreg, spectral, variance,
};
use crate::nn::batch_norm::NormMode;
use crate::nn::mlp::{LastLayer, Widths};
use crate::train::data_parallel::{Done, Work, together};
use crate::train::random::{Draws, Stage};
use crate::{AugmentConfig, Clips, EncoderChoice, EncoderShape, FrameEncoder, Input, Result};

/// The `[model.method]` table of every method over one network.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default, bound = "C: Criterion")]
pub struct Config<C> {
    /// Where the two views come from.
    pub views: Views,
    /// How views are augmented, where they are.
    pub augment: AugmentConfig,
    /// Widths of the projector's layers, as in `"2048-2048-128"`.
    pub projector: Widths,
    /// The criterion's constants.
    pub loss: C,
}

impl<C: Criterion> Default for Config<C> {
    fn default() -> Self {
        Self {
            views: Views::default(),
            augment: AugmentConfig::default(),
            projector: C::PROJECTOR.into(),
            loss: C::default(),
        }
    }
}

/// A loss over the projections `[n, d]` of two views.
pub trait Criterion:
    Clone + std::fmt::Debug + Default + Serialize + for<'de> Deserialize<'de> + Send + Sync + 'static
{
    /// The projector of the paper.
    const PROJECTOR: &'static str;

    /// Checks the constants.
    ///
    /// # Errors
    /// One that cannot be used, with its key.
    fn validate(&self) -> Result<()>;

    /// How many directions, redrawn every step, the loss looks along.
    fn directions(&self) -> usize {
        0
    }

    /// The loss; `directions` `[d, s]` are unit columns.
    fn loss(&self, z1: Tensor<2>, z2: Tensor<2>, directions: Option<Tensor<2>>) -> Tensor<1>;
}

/// A criterion without directions: its constants, its projector, and the function.
macro_rules! criterion {
    ($config:ty, $projector:literal, |$z1:ident, $z2:ident, $it:ident| $loss:expr) => {
        impl Criterion for $config {
            const PROJECTOR: &'static str = $projector;

            fn validate(&self) -> Result<()> {
                self.validate()
            }

            fn loss(&self, $z1: Tensor<2>, $z2: Tensor<2>, _: Option<Tensor<2>>) -> Tensor<1> {
                let $it = self;
                $loss
            }
        }
    };
}

/// SimCLR with squared similarities.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(transparent)]
pub struct SimClrSq(SimClrTransformed);

/// SimCLR with absolute similarities.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(transparent)]
pub struct SimClrAbs(SimClrTransformed);

impl SimClrSq {
    fn validate(&self) -> Result<()> {
        self.0.validate()
    }
}

impl SimClrAbs {
    fn validate(&self) -> Result<()> {
        self.0.validate()
    }
}

criterion!(SimClr, "2048-2048-128", |x, y, it| contrastive::nt_xent(x, y, it.temperature));
criterion!(SimClrSq, "8192-8192-512", |x, y, it| {
    contrastive::simclr_sq(x, y, it.0.temperature, it.0.positives)
});
criterion!(SimClrAbs, "8192-8192-512", |x, y, it| {
    contrastive::simclr_abs(x, y, it.0.temperature, it.0.positives)
});
criterion!(Dcl, "2048-2048-128", |x, y, it| decoupled::dcl(x, y, it.temperature));
criterion!(Dclw, "2048-2048-128", |x, y, it| decoupled::dclw(x, y, it.temperature, it.sigma));
criterion!(Spectral, "8192-8192-8192", |x, y, it| spectral::spectral(x, y, it.mu));
criterion!(VicReg, "8192-8192-8192", |x, y, it| variance::vicreg(x, y, it));
criterion!(VicRegExp, "8192-8192-8192", |x, y, it| variance::vicreg_exp(x, y, it));
criterion!(VicRegCtr, "8192-8192-8192", |x, y, it| variance::vicreg_ctr(x, y, it));
criterion!(BarlowTwins, "8192-8192-8192", |x, y, it| redundancy::barlow_twins(x, y, it.lambda));

impl Criterion for LeJepa {
    const PROJECTOR: &'static str = "2048-2048-128";

    fn validate(&self) -> Result<()> {
        self.validate()
    }

    fn directions(&self) -> usize {
        self.directions
    }

    fn loss(&self, z1: Tensor<2>, z2: Tensor<2>, directions: Option<Tensor<2>>) -> Tensor<1> {
        let directions = directions.expect("were drawn");
        sigreg::lejepa(&[z1, z2], 2, &directions, self)
    }
}

impl<C: Criterion> Config<C> {
    pub(super) fn validate(&self, shape: &EncoderShape, input: &Input) -> Result<()> {
        self.loss.validate()?;
        two_views::validate(self.views, &self.augment, shape, input)
    }

    /// Fresh networks.
    pub(crate) fn init(&self, setting: &Setting) -> (JointEmbedding<C>, Branch) {
        let mut init = setting.init();
        let student = Branch::new(&setting.shape, &self.projector, LastLayer::NoBias, &mut init);
        let pairs = Pairs::new(self.views, &self.augment, setting);
        (JointEmbedding { criterion: self.loss.clone(), pairs }, student)
    }
}

/// The method's state beside the student: there is none that changes.
pub(crate) struct JointEmbedding<C> {
    criterion: C,
    pairs: Pairs,
}

impl<C: Criterion> JointEmbedding<C> {
    fn directions(&self, dim: usize, work: &Work) -> Option<Tensor<2>> {
        let count = self.criterion.directions();
        (count > 0).then(|| directions([dim, count], self.pairs.seed, work))
    }
}

impl<C: Criterion> Method for JointEmbedding<C> {
    type Student = Branch;

    fn has_teacher(&self) -> bool {
        false
    }

    fn step(&mut self, student: &Branch, clips: &Clips, work: &Work) -> Done {
        let views = self.pairs.of(clips, work);
        let parts = two_views::parts(views, &student.encoder, work);
        together(student, work, parts, Branch::see, |student, embeddings| {
            let [z1, z2] = student.project(embeddings.clone(), NormMode::Train);
            let directions = self.directions(z1.dims()[1], work).map(Tensor::from_inner);
            let total = self.criterion.loss(z1.clone(), z2.clone(), directions);
            seen(total, embeddings, [z1, z2])
        })
    }

    fn least_frames(&self) -> usize {
        self.pairs.least_frames()
    }

    fn encoder(&self, student: &Branch, _: EncoderChoice) -> FrameEncoder {
        student.encoder.valid()
    }

    fn parameters(&self, student: &Branch) -> Vec<(&'static str, usize)> {
        student.parameters()
    }
}

/// `count` unit columns of `dim` numbers, redrawn every step.
pub(super) fn directions([dim, count]: [usize; 2], seed: u64, work: &Work) -> Tensor<2> {
    let device = work.tracked.clone().inner();
    let mut draws = Draws::at(seed, work.number, Stage::Slices, &device);
    unit_rows(draws.normal([count, dim])).transpose()
}

/// A loss over two views, and what a person would want to see of it.
pub(super) fn seen(total: Tensor<1>, embeddings: Tensor<2>, views: [Tensor<2>; 2]) -> Losses {
    let [z1, z2] = views.map(Tensor::inner);
    let cosine = paired(unit_rows(z1.clone()), unit_rows(z2)).flatten::<1>(0, 1);
    Losses {
        total,
        terms: vec![("cosine", cosine.clone().mean())],
        per_clip: vec![("cosine", cosine)],
        tokens: vec![
            ("frame", embeddings.inner().unsqueeze_dim(1)),
            ("projection", z1.clone().unsqueeze_dim(1)),
        ],
        projections: Some(z1),
    }
}
