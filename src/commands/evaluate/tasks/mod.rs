//! The tasks: from vectors to one number per item.

mod classify;
mod correspond;
mod factors;
mod propagate;

use std::borrow::Cow;

pub(super) use classify::classify;
pub(super) use correspond::correspond;
pub(super) use factors::factors;
pub(super) use propagate::{ProtocolName, propagate};

/// Numbers of an encoder: for each metric one per test item. Empty if the encoder cannot do the
/// task.
#[derive(Clone, Debug, Default)]
pub(super) struct Scores {
    pub(super) metrics: Vec<(Cow<'static, str>, Vec<f64>)>,
}
