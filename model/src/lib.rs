//! Trains vision encoders on clips of video, and computes embeddings with them.
//!
//! ```text
//! Clips ──▶ Method ──▶ Losses ──backward──▶ gradients ──▶ AdamW ──▶ EMA teacher
//!             │
//!             └─ frame encoder ──▶ embeddings
//! ```
//!
//! The crate has no channels and no clocks, and the only files it writes are weights and training
//! state. The caller owns the training loop: see [`trainer()`].

mod config;
mod validate;

mod clips;
mod device;

mod views;

mod encoder;
mod nn;

pub mod loss;
pub mod method;

mod train;

mod export;
pub mod metrics;

#[cfg(test)]
mod reference_cases;

pub use burn::tensor::Device;

pub use clips::{Clips, IMAGENET_MEAN, IMAGENET_STD};
pub use config::{Config, EmbedConfig, EncoderChoice, Input, Pool};
pub use device::{DeviceChoice, device_name};
pub use encoder::{
    Arch, Conv3dEncoder, Conv3dShape, Embedder, EncoderConfig, EncoderShape, FrameEncoder,
    Precision, ResNet18, ResNetShape, Tokens, VectorBatch, Vit, VitShape, VitSize,
};
pub use export::{Layout, export, load, save, timm_config};
pub use method::{Futures, MethodConfig, MotionEncoder, Warning};
pub use metrics::rankme;
pub use nn::{DinoHead, DinoHeadConfig, Init, NormMode, Widths};
pub use train::{Embeddings, NotFinite, Report, TrainConfig, Trainer, trainer};
pub use views::actions;
pub use views::augment::AugmentConfig;

/// What can go wrong in this crate. A mistaken tensor shape is a bug and panics instead.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A value in the `[model]` table cannot be used.
    #[error("{key}: {message}")]
    Config {
        /// Dotted path of the key.
        key: String,
        /// What is wrong with it, and what to write instead.
        message: String,
    },
    /// The configured device cannot be used on this machine.
    #[error("device {device:?}: {message}")]
    Device {
        /// The device as the user wrote it.
        device: String,
        /// What is missing (a build feature, the driver or the GPU), and how to get it.
        message: String,
    },
    /// A loss is NaN or infinite.
    #[error(
        "the loss is {loss} at step {step}; lower model.train.learning_rate, lengthen \
         model.train.warmup, or look at the clips of this step"
    )]
    Diverged {
        /// The first step whose loss is not finite.
        step: u64,
        /// The loss at this step.
        loss: f32,
    },
    /// A file of weights cannot be read or written.
    #[error("weights {path:?}: {message}")]
    Weights {
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong with the file, and what to do.
        message: String,
    },
}

/// [`std::result::Result`] with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;
