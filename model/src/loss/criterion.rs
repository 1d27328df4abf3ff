//! What a joint-embedding method minimises.

use burn::tensor::{Bool, Tensor};
use serde::{Deserialize, Serialize};

use crate::Result;

/// A loss over the projections of two views. The type is the `[model.method.loss]` table.
///
/// A new criterion is a file in this folder, a line in the list of methods
/// (`method/registry.rs`), a config in `configs/` and a line in `method/tests/cases.rs`.
pub trait Criterion:
    Clone + std::fmt::Debug + Default + Serialize + for<'de> Deserialize<'de> + Send + Sync + 'static
{
    /// The projector of the paper.
    const PROJECTOR: &'static str;

    /// Whether it pushes the projections of different clips apart, so that `other_videos` matters.
    const HAS_NEGATIVES: bool = false;

    /// Checks the constants.
    ///
    /// # Errors
    /// A value that cannot be used, with its key.
    fn validate(&self) -> Result<()>;

    /// Number of random directions that the loss projects on; they are drawn at every step.
    fn directions(&self) -> usize {
        0
    }

    /// The loss of the projections `z1` and `z2`, `[n, d]` each.
    fn loss(&self, z1: Tensor<2>, z2: Tensor<2>, given: Given) -> Tensor<1>;
}

/// What a criterion may need beside the projections of a batch.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// Unit columns `[d, s]`, absent where [`Criterion::directions`] is 0.
    pub directions: Option<Tensor<2>>,
    /// Pairs of views `[2n, 2n]` that are no negatives, because both are of one video; those of
    /// the first view come before those of the second. Absent where all are.
    pub same_video: Option<Tensor<2, Bool>>,
}
