//! The training step, the same for every method. The caller owns the loop.
//!
//! ```text
//! clips ─▶ Method::step ─▶ gradients ─▶ clip ─▶ AdamW ─▶ student ─▶ moving average ─▶ teacher
//! ```

pub(crate) mod data_parallel;
pub(crate) mod ema;
pub(crate) mod gradients;
mod method_trainer;
pub(crate) mod nan_trace;
pub(crate) mod optimizer;
pub(crate) mod random;
mod report;
pub(crate) mod state;
#[cfg(test)]
mod tests;

pub(crate) use method_trainer::MethodTrainer;
pub use nan_trace::NotFinite;
pub use optimizer::TrainConfig;
pub use report::{Embeddings, Report};

use std::path::Path;
use std::sync::Arc;

use burn::tensor::Device;

use crate::export::import;
use crate::method::{Futures, InitContext, Recipe as _, with_recipe};
use crate::{Clips, Config, Embedder, Input, Result};

/// A method with its networks and its optimizer.
pub trait Trainer {
    /// One optimizer step. Reading the metrics waits for the device, so it is done only with
    /// `read`.
    ///
    /// # Errors
    /// With `read`, any loss since the last read was not finite.
    fn step(&mut self, clips: &Clips, read: bool) -> Result<Option<Report>>;

    /// One optimizer step that checks all its numbers in the order in which they arise: the weights
    /// and the clips, the first layer's output, the losses, the gradients, and the new weights.
    /// Gives those that are not finite, up to the first kind that has any.
    fn trace(&mut self, clips: &Clips) -> Vec<NotFinite>;

    /// The embeddings of the first frame of every clip, and the method's other vectors of a clip.
    fn embed(&self, clips: &Clips) -> Embeddings;

    /// The encoder of [`Trainer::embed`] by itself, with the weights that it has now.
    fn embedder(&self) -> Embedder;

    /// Samples of the representation of each clip's future; none where the method predicts none.
    fn futures(&self, clips: &Clips, samples: usize) -> Option<Futures>;

    /// The fewest frames of a clip that a step needs.
    fn least_frames(&self) -> usize;

    /// Whether the cost of a step grows with the frames of a clip.
    fn uses_all_frames(&self) -> bool;

    /// The networks by name, with their numbers of parameters.
    fn parameters(&self) -> Vec<(&'static str, usize)>;

    /// Checks all losses that were not read, which waits for the device.
    ///
    /// # Errors
    /// One of them is not finite.
    fn check(&mut self) -> Result<()>;

    /// Writes the state of the trainer into `folder`, which exists. In it,
    /// `encoder.safetensors` is the frame encoder with DINOv2's or torchvision's names: the
    /// teacher's, or the student's without a teacher.
    ///
    /// # Errors
    /// A file cannot be written.
    fn save(&self, folder: &Path) -> Result<()>;

    /// Reads what a trainer of the same config saved. Later steps are bit-identical to those of
    /// that trainer.
    ///
    /// # Errors
    /// A file cannot be read, or belongs to another config. The trainer cannot be used then.
    fn load(&mut self, folder: &Path) -> Result<()>;
}

/// A trainer of the configured method with fresh networks, for clips as `input` says.
///
/// # Errors
/// The configuration cannot be used; see [`Config::validate`].
pub fn trainer(
    config: &Config,
    input: Input,
    seed: u64,
    device: &Device,
) -> Result<Box<dyn Trainer>> {
    config.validate(input, device)?;
    let shape = config.shape(input)?;
    let encoder = import::weights(&config.encoder, &shape)?.map(Arc::new);
    let context = InitContext { shape, input, seed, device: device.clone(), encoder };
    Ok(with_recipe!(&config.method, recipe => {
        Box::new(MethodTrainer::new(recipe.init(&context), config, device))
    }))
}
